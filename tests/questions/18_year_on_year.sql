-- How do emergency attendances of 2025/26 compare with the same month a year before?
WITH monthly AS (
  SELECT organisation, arrival_month, count(*) AS attendances
  FROM emergency_attendance
  GROUP BY organisation, arrival_month
)
SELECT
  this_year.organisation,
  this_year.arrival_month,
  this_year.attendances,
  last_year.attendances AS a_year_before,
  100.0 * (this_year.attendances - last_year.attendances) / last_year.attendances AS change_percent
FROM monthly AS this_year
JOIN monthly AS last_year
  ON last_year.organisation = this_year.organisation
  AND last_year.arrival_month = CAST(this_year.arrival_month - INTERVAL '1' YEAR AS DATE)
ORDER BY this_year.organisation, this_year.arrival_month;
