-- Which treatment functions does an organisation take referrals for but hold no clinics in?
SELECT DISTINCT organisation, treatment_function_code
FROM referral_pathway
EXCEPT
SELECT DISTINCT organisation, treatment_function_code
FROM outpatient_appointment
ORDER BY organisation, treatment_function_code;
