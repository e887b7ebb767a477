-- As 14, with people and admissions in one question: each person once, with the number of admissions.
WITH standard (age_band, weight) AS (
  VALUES ('0-17', 0.19), ('18-34', 0.20), ('35-49', 0.21), ('50-64', 0.20),
         ('65-79', 0.15), ('80+', 0.05)
), bands AS (
  SELECT p.organisation, p.age_band, count(*) AS people, sum(a.spells) AS admissions
  FROM person AS p
  LEFT JOIN (
    SELECT organisation, person_number, count(*) AS spells
    FROM admitted_care
    WHERE admission_type = 'emergency'
    GROUP BY organisation, person_number
  ) AS a ON a.organisation = p.organisation AND a.person_number = p.person_number
  GROUP BY p.organisation, p.age_band
)
SELECT
  b.organisation,
  sum(b.admissions) AS admissions,
  1000.0 * sum(b.admissions) / sum(b.people) AS crude_rate,
  1000.0 * sum(s.weight * b.admissions / b.people) AS standardised_rate
FROM bands AS b
JOIN standard AS s ON s.age_band = b.age_band
GROUP BY b.organisation
ORDER BY b.organisation;
