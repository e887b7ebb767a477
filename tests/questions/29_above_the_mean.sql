-- Where are waits for a treatment function longer than the federation's mean for it?
SELECT w.treatment_function_code, w.organisation, w.pathways, w.mean_weeks
FROM (
  SELECT
    organisation,
    treatment_function_code,
    count(*) AS pathways,
    avg(weeks_waited) AS mean_weeks
  FROM referral_pathway
  GROUP BY organisation, treatment_function_code
) AS w
WHERE w.mean_weeks > (
  SELECT avg(r.weeks_waited)
  FROM referral_pathway AS r
  WHERE r.treatment_function_code = w.treatment_function_code
)
ORDER BY w.treatment_function_code, w.organisation;
