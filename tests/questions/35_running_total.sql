-- What has each organisation spent on admissions by the end of each quarter of the year?
SELECT
  a.organisation,
  c.financial_year,
  c.quarter,
  sum(a.cost) AS cost,
  sum(sum(a.cost)) OVER quarters AS cost_so_far,
  sum(a.cost) - lag(sum(a.cost)) OVER quarters AS change
FROM admitted_care AS a
JOIN calendar AS c ON c.calendar_date = a.admission_date
GROUP BY a.organisation, c.financial_year, c.quarter
WINDOW quarters AS (PARTITION BY a.organisation, c.financial_year ORDER BY c.quarter)
ORDER BY a.organisation, c.financial_year, c.quarter;
