-- As 30, with sums over those who were admitted; whoever was not adds nothing to a sum.
SELECT
  p.age_band,
  count(*) AS people,
  count(a.person_number) AS people_admitted,
  sum(a.spells) AS spells,
  1.0 * sum(a.spells) / count(*) AS spells_per_person,
  sum(a.cost) AS cost
FROM person AS p
LEFT JOIN (
  SELECT organisation, person_number, count(*) AS spells, sum(cost) AS cost
  FROM admitted_care
  GROUP BY organisation, person_number
) AS a ON a.organisation = p.organisation AND a.person_number = p.person_number
GROUP BY p.age_band
ORDER BY p.age_band;
