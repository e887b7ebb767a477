-- As 19, with the percentiles in a statement of their own.
SELECT
  t.name AS treatment_function_name,
  median(r.weeks_waited) AS median_weeks,
  approx_percentile_cont(r.weeks_waited, 0.92) > 36 AS over_36_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
GROUP BY t.name
ORDER BY t.name;
