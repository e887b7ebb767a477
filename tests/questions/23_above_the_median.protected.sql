-- As 23, with the median inside an aggregate instead of as a group key.
WITH waits AS (
  SELECT organisation, treatment_function_code, avg(weeks_waited) AS mean_weeks
  FROM referral_pathway
  GROUP BY organisation, treatment_function_code
), middle AS (
  SELECT treatment_function_code, median(mean_weeks) AS median_weeks
  FROM waits
  GROUP BY treatment_function_code
)
SELECT
  w.treatment_function_code,
  count(*) AS organisations,
  max(m.median_weeks) AS median_weeks,
  avg(CASE WHEN w.mean_weeks > m.median_weeks THEN 1.0 ELSE 0.0 END) AS share_above
FROM waits AS w
JOIN middle AS m ON m.treatment_function_code = w.treatment_function_code
GROUP BY w.treatment_function_code
ORDER BY w.treatment_function_code;
