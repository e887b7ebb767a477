-- As 29, with the federation's mean computed from what was released of the organisations.
SELECT treatment_function_code, organisation, pathways, 1.0 * weeks / pathways AS mean_weeks
FROM (
  SELECT *,
    sum(weeks) OVER (PARTITION BY treatment_function_code) AS all_weeks,
    sum(pathways) OVER (PARTITION BY treatment_function_code) AS all_pathways
  FROM (
    SELECT organisation, treatment_function_code, count(*) AS pathways, sum(weeks_waited) AS weeks
    FROM referral_pathway
    GROUP BY organisation, treatment_function_code
  ) AS each
) AS w
WHERE 1.0 * weeks / pathways > 1.0 * all_weeks / all_pathways
ORDER BY treatment_function_code, organisation;
