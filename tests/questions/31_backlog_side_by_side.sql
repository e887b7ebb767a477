-- How many wait over 18 and over 52 weeks where more than 40 wait for a treatment function?
SELECT
  r.organisation,
  t.name AS treatment_function_name,
  count(*) AS waiting,
  count(*) FILTER (WHERE r.weeks_waited > 18) AS over_18_weeks,
  sum(CASE WHEN r.weeks_waited > 52 THEN 1 ELSE 0 END) AS over_52_weeks,
  max(r.weeks_waited) AS longest_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
  AND r.treatment_function_code IN (
    SELECT treatment_function_code
    FROM referral_pathway
    WHERE status = 'waiting'
    GROUP BY treatment_function_code
    HAVING count(*) > 40
  )
GROUP BY r.organisation, t.name
ORDER BY r.organisation, t.name;
