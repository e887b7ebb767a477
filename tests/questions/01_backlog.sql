-- How many pathways have waited longer than 52 weeks, by treatment function?
SELECT
  t.code AS treatment_function_code,
  t.name AS treatment_function_name,
  count(*) AS pathways_over_52_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
  AND r.weeks_waited > 52
GROUP BY t.code, t.name
ORDER BY t.code, t.name;
