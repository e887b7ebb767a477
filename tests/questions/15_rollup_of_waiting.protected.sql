-- As 15, without subtotals: one set of groups.
SELECT
  d.region,
  r.organisation,
  t.name AS treatment_function_name,
  count(*) AS waiting,
  avg(r.weeks_waited) AS mean_weeks
FROM referral_pathway AS r
JOIN organisation_directory AS d ON d.organisation_code = r.organisation
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
GROUP BY d.region, r.organisation, t.name
ORDER BY region, organisation, treatment_function_name;
