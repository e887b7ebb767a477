-- How many vaccinations were given to each age band in each month?
SELECT
  vaccination_month,
  age_band,
  count(*) AS vaccinations
FROM vaccination
GROUP BY vaccination_month, age_band
ORDER BY vaccination_month, age_band;
