-- Do people from more deprived areas miss more outpatient appointments?
SELECT
  deprivation_decile,
  count(*) AS appointments,
  count(*) FILTER (WHERE NOT attended) AS not_attended,
  round(100.0 * count(*) FILTER (WHERE NOT attended) / count(*), 1) AS not_attended_percent
FROM outpatient_appointment
WHERE deprivation_decile IS NOT NULL
GROUP BY deprivation_decile
ORDER BY deprivation_decile;
