-- As 25, with each kind of activity counted before they are put together.
SELECT 'admission' AS activity, admission_month AS month, count(*) AS items
FROM admitted_care
GROUP BY admission_month
UNION ALL
SELECT 'emergency attendance', arrival_month, count(*)
FROM emergency_attendance
GROUP BY arrival_month
UNION ALL
SELECT 'outpatient appointment', CAST(date_trunc('month', appointment_date) AS DATE), count(*)
FROM outpatient_appointment
WHERE attended
GROUP BY CAST(date_trunc('month', appointment_date) AS DATE)
UNION ALL
SELECT 'vaccination', vaccination_month, count(*)
FROM vaccination
GROUP BY vaccination_month
ORDER BY activity, month;
