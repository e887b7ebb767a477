-- As 31, with one condition, and with the choice of treatment functions after the gate.
SELECT
  r.organisation,
  t.name AS treatment_function_name,
  count(*) AS waiting,
  count(*) FILTER (WHERE r.weeks_waited > 18) AS over_18_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
GROUP BY r.organisation, t.name
HAVING count(*) > 40
ORDER BY r.organisation, t.name;
