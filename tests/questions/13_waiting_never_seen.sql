-- How many people wait for a treatment function whose clinics they never came to?
SELECT
  t.name AS treatment_function_name,
  count(*) AS pathways,
  avg(r.weeks_waited) AS mean_weeks
FROM referral_pathway AS r
JOIN treatment_function AS t ON t.code = r.treatment_function_code
WHERE r.status = 'waiting'
  AND NOT EXISTS (
    SELECT 1
    FROM outpatient_appointment AS o
    WHERE o.organisation = r.organisation
      AND o.person_number = r.person_number
      AND o.treatment_function_code = r.treatment_function_code
      AND o.attended
  )
GROUP BY t.name
ORDER BY pathways DESC, treatment_function_name;
