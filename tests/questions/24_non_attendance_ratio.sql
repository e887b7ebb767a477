-- How many times as often do people miss appointments as those from the least deprived areas?
WITH rates AS (
  SELECT
    deprivation_decile,
    count(*) AS appointments,
    100.0 * count(*) FILTER (WHERE NOT attended) / count(*) AS not_attended_percent
  FROM outpatient_appointment
  WHERE deprivation_decile IS NOT NULL
  GROUP BY deprivation_decile
)
SELECT
  r.deprivation_decile,
  r.appointments,
  r.not_attended_percent,
  r.not_attended_percent / least_deprived.not_attended_percent AS ratio
FROM rates AS r
CROSS JOIN rates AS least_deprived
WHERE least_deprived.deprivation_decile = 10
ORDER BY r.deprivation_decile;
