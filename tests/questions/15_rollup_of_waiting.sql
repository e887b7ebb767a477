-- How many people wait, by region, organisation and treatment function, with subtotals?
SELECT
  d.region,
  r.organisation,
  t.name AS treatment_function_name,
  grouping(d.region, r.organisation, t.name) AS level,
  count(*) AS waiting,
  avg(r.weeks_waited) AS mean_weeks
FROM referral_pathway AS r
JOIN organisation_directory AS d ON d.organisation_code = r.organisation
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
GROUP BY ROLLUP (d.region, r.organisation, t.name)
ORDER BY level, region, organisation, treatment_function_name;
