-- How do emergency admissions move through the months at each organisation?
SELECT
  organisation,
  admission_month,
  count(*) AS emergency_admissions
FROM admitted_care
WHERE admission_type = 'emergency'
GROUP BY organisation, admission_month
ORDER BY organisation, admission_month;
