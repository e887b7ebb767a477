-- How do referrals and appointments compare for each treatment function and organisation?
SELECT
  coalesce(r.organisation, o.organisation) AS organisation,
  coalesce(r.treatment_function_code, o.treatment_function_code) AS treatment_function_code,
  r.referrals,
  o.appointments,
  1.0 * o.appointments / r.referrals AS appointments_per_referral
FROM (
  SELECT organisation, treatment_function_code, count(*) AS referrals
  FROM referral_pathway
  GROUP BY organisation, treatment_function_code
) AS r
FULL JOIN (
  SELECT organisation, treatment_function_code, count(*) AS appointments
  FROM outpatient_appointment
  GROUP BY organisation, treatment_function_code
) AS o ON o.organisation = r.organisation
  AND o.treatment_function_code = r.treatment_function_code
ORDER BY 1, 2;
