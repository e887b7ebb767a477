-- How often are outpatient appointments missed, by organisation, by age band and by deprivation?
SELECT
  organisation,
  age_band,
  deprivation_decile,
  grouping(organisation, age_band, deprivation_decile) AS level,
  count(*) AS appointments,
  sum(CASE WHEN attended THEN 0 ELSE 1 END) AS not_attended
FROM outpatient_appointment
WHERE deprivation_decile IS NOT NULL
GROUP BY GROUPING SETS ((organisation), (age_band), (deprivation_decile), ())
ORDER BY level, organisation, age_band, deprivation_decile;
