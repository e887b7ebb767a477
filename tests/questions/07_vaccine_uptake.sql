-- What share of the people in each age band had an influenza vaccination in 2025/26?
SELECT
  p.age_band,
  count(*) AS people,
  count(v.person_number) AS vaccinated,
  round(100.0 * count(v.person_number) / count(*), 1) AS uptake_percent
FROM person AS p
LEFT JOIN (
  SELECT DISTINCT organisation, person_number
  FROM vaccination
  WHERE vaccine = 'influenza' AND vaccination_date >= DATE '2025-04-01'
) AS v ON v.organisation = p.organisation AND v.person_number = p.person_number
GROUP BY p.age_band
ORDER BY p.age_band;
