-- As 16, without totals: one set of groups.
SELECT
  vaccine,
  age_band,
  count(*) AS doses,
  count(*) FILTER (WHERE dose = 2) AS second_doses
FROM vaccination
GROUP BY vaccine, age_band
ORDER BY vaccine, age_band;
