-- What share of all referrals does each treatment function and priority take?
SELECT
  treatment_function_code,
  priority,
  count(*) AS referrals,
  100.0 * count(*) / sum(count(*)) OVER () AS percent_of_all
FROM referral_pathway
GROUP BY treatment_function_code, priority
ORDER BY treatment_function_code, priority;
