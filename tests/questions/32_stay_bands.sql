-- How do lengths of stay spread over bands for each type of admission?
SELECT
  admission_type,
  CASE
    WHEN length_of_stay_hours < 24 THEN '1: under a day'
    WHEN length_of_stay_hours < 72 THEN '2: one to three days'
    WHEN length_of_stay_hours < 168 THEN '3: three to seven days'
    ELSE '4: a week or more'
  END AS stay,
  count(*) AS spells,
  100.0 * count(*) / sum(count(*)) OVER (PARTITION BY admission_type) AS percent
FROM admitted_care
GROUP BY 1, 2
ORDER BY 1, 2;
