-- As 17, by organisation: one set of groups per statement, and the condition as a FILTER.
SELECT
  organisation,
  count(*) AS appointments,
  count(*) FILTER (WHERE NOT attended) AS not_attended
FROM outpatient_appointment
WHERE deprivation_decile IS NOT NULL
GROUP BY organisation
ORDER BY organisation;
