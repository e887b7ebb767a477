-- How many people were admitted once, twice, or three times and more at each organisation?
SELECT
  organisation,
  CASE WHEN spells = 1 THEN '1' WHEN spells = 2 THEN '2' ELSE '3 or more' END AS admissions,
  count(*) AS people,
  sum(spells) AS spells
FROM (
  SELECT organisation, person_number, count(*) AS spells
  FROM admitted_care
  GROUP BY organisation, person_number
) AS per_person
GROUP BY 1, 2
ORDER BY 1, 2;
