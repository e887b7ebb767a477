-- How broad is each organisation: how many specialties, deprivation deciles and age bands?
SELECT
  organisation,
  count(*) AS appointments,
  count(DISTINCT person_number) AS people,
  count(DISTINCT treatment_function_code) AS treatment_functions,
  count(DISTINCT deprivation_decile) AS deciles,
  count(DISTINCT age_band) AS age_bands
FROM outpatient_appointment
GROUP BY organisation
ORDER BY organisation;
