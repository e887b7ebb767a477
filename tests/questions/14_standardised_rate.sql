-- How many emergency admissions are there per 1,000 people, as if all had one age structure?
WITH standard (age_band, weight) AS (
  VALUES ('0-17', 0.19), ('18-34', 0.20), ('35-49', 0.21), ('50-64', 0.20),
         ('65-79', 0.15), ('80+', 0.05)
), people AS (
  SELECT organisation, age_band, count(*) AS people
  FROM person
  GROUP BY organisation, age_band
), admissions AS (
  SELECT p.organisation, p.age_band, count(*) AS admissions
  FROM admitted_care AS a
  JOIN person AS p ON p.organisation = a.organisation AND p.person_number = a.person_number
  WHERE a.admission_type = 'emergency'
  GROUP BY p.organisation, p.age_band
)
SELECT
  p.organisation,
  sum(coalesce(a.admissions, 0)) AS admissions,
  1000.0 * sum(coalesce(a.admissions, 0)) / sum(p.people) AS crude_rate,
  1000.0 * sum(s.weight * coalesce(a.admissions, 0) / p.people) AS standardised_rate
FROM people AS p
JOIN standard AS s ON s.age_band = p.age_band
LEFT JOIN admissions AS a ON a.organisation = p.organisation AND a.age_band = p.age_band
GROUP BY p.organisation
ORDER BY p.organisation;
