-- How much of each kind of activity is there in each month?
SELECT activity, month, sum(items) AS items
FROM (
  SELECT 'admission' AS activity, admission_month AS month, count(*) AS items
  FROM admitted_care
  GROUP BY admission_month
  UNION ALL
  SELECT 'emergency attendance', arrival_month, count(*)
  FROM emergency_attendance
  GROUP BY arrival_month
  UNION ALL
  SELECT 'outpatient appointment', CAST(date_trunc('month', appointment_date) AS DATE), 1
  FROM outpatient_appointment
  WHERE attended
  UNION ALL
  SELECT 'vaccination', vaccination_month, count(*)
  FROM vaccination
  GROUP BY vaccination_month
) AS activities
GROUP BY activity, month
ORDER BY activity, month;
