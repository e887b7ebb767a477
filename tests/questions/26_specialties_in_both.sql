-- Which treatment functions have people waiting over a year and held clinics in March 2026?
SELECT t.code, t.name
FROM treatment_function AS t
JOIN (
  SELECT treatment_function_code FROM referral_pathway
  WHERE status = 'waiting' AND weeks_waited > 52
  INTERSECT
  SELECT treatment_function_code FROM outpatient_appointment
  WHERE appointment_date >= DATE '2026-03-01'
) AS both_lists ON both_lists.treatment_function_code = t.code
ORDER BY t.code;
