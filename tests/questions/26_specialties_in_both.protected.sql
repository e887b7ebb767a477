-- As 26, with counts of people on both sides instead of rows.
SELECT t.code, t.name, w.people AS waiting, o.people AS seen
FROM treatment_function AS t
JOIN (
  SELECT treatment_function_code, count(DISTINCT person_number) AS people
  FROM referral_pathway
  WHERE status = 'waiting' AND weeks_waited > 52
  GROUP BY treatment_function_code
) AS w ON w.treatment_function_code = t.code
JOIN (
  SELECT treatment_function_code, count(DISTINCT person_number) AS people
  FROM outpatient_appointment
  WHERE appointment_date >= DATE '2026-03-01'
  GROUP BY treatment_function_code
) AS o ON o.treatment_function_code = t.code
ORDER BY t.code;
