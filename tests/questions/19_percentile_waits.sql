-- For which treatment functions do more than 8 in 100 wait longer than 36 weeks?
SELECT
  t.name AS treatment_function_name,
  count(*) AS pathways,
  median(r.weeks_waited) AS median_weeks,
  approx_percentile_cont(r.weeks_waited, 0.92) > 36 AS over_36_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
GROUP BY t.name
HAVING count(*) >= 20
ORDER BY t.name;
