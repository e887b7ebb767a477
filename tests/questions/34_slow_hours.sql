-- At which hours of arrival does more than a third of people stay beyond four hours?
SELECT
  organisation,
  date_part('hour', arrival_time) AS hour,
  count(*) AS attendances,
  100.0 * sum(CASE WHEN four_hour_breach THEN 1 ELSE 0 END) / count(*) AS breach_percent,
  avg(minutes_in_department) AS mean_minutes
FROM emergency_attendance
WHERE acuity <= 3
GROUP BY organisation, date_part('hour', arrival_time)
HAVING 3 * sum(CASE WHEN four_hour_breach THEN 1 ELSE 0 END) > count(*)
ORDER BY organisation, hour;
