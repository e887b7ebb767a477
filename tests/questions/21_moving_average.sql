-- How do emergency attendances and breaches move, smoothed over three months?
SELECT
  CAST(date_trunc('month', arrival_time) AS DATE) AS month,
  count(*) AS attendances,
  avg(count(*)) OVER months AS attendances_smoothed,
  100.0 * sum(count(*) FILTER (WHERE four_hour_breach)) OVER months
    / sum(count(*)) OVER months AS breach_percent_smoothed
FROM emergency_attendance
GROUP BY 1
WINDOW months AS (
  ORDER BY CAST(date_trunc('month', arrival_time) AS DATE)
  ROWS BETWEEN 2 PRECEDING AND CURRENT ROW
)
ORDER BY month;
