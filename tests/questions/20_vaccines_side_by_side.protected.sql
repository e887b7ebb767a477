-- As 20, with the vaccine as a group key instead of five conditions.
SELECT organisation, age_band, vaccine, count(DISTINCT person_number) AS people
FROM vaccination
GROUP BY organisation, age_band, vaccine
ORDER BY organisation, age_band, vaccine;
