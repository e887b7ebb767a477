-- As 28, one count of values per statement.
SELECT organisation, count(DISTINCT treatment_function_code) AS treatment_functions
FROM outpatient_appointment
GROUP BY organisation
ORDER BY organisation;
