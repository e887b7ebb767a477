-- How many spells, and at what cost, fall to people of each age band, admitted or not?
SELECT
  p.age_band,
  count(*) AS people,
  count(a.person_number) AS people_admitted,
  sum(coalesce(a.spells, 0)) AS spells,
  avg(coalesce(a.spells, 0)) AS spells_per_person,
  sum(a.cost) AS cost
FROM person AS p
LEFT JOIN (
  SELECT organisation, person_number, count(*) AS spells, sum(cost) AS cost
  FROM admitted_care
  GROUP BY organisation, person_number
) AS a ON a.organisation = p.organisation AND a.person_number = p.person_number
GROUP BY p.age_band
ORDER BY p.age_band;
