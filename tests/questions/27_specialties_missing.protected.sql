-- As 27, with the mark of what is missing: nothing says that there are no clinics at all.
SELECT r.organisation, r.treatment_function_code, r.referrals, o.appointments,
  withheld(o.appointments) AS none_or_withheld
FROM (
  SELECT organisation, treatment_function_code, count(*) AS referrals
  FROM referral_pathway
  GROUP BY organisation, treatment_function_code
) AS r
LEFT JOIN (
  SELECT organisation, treatment_function_code, count(*) AS appointments
  FROM outpatient_appointment
  GROUP BY organisation, treatment_function_code
) AS o ON o.organisation = r.organisation
  AND o.treatment_function_code = r.treatment_function_code
ORDER BY r.organisation, r.treatment_function_code;
