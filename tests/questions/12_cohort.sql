-- Who are the people of 65 or more who came to an emergency department in winter 2025/26?
SELECT
  p.sex,
  CASE WHEN p.age < 75 THEN '65-74' WHEN p.age < 85 THEN '75-84' ELSE '85+' END AS age_group,
  count(*) AS people,
  avg(p.age) AS mean_age
FROM person AS p
WHERE p.age >= 65
  AND EXISTS (
    SELECT 1
    FROM emergency_attendance AS e
    WHERE e.organisation = p.organisation
      AND e.person_number = p.person_number
      AND e.arrival_month BETWEEN DATE '2025-12-01' AND DATE '2026-02-01'
  )
GROUP BY 1, 2
ORDER BY 1, 2;
