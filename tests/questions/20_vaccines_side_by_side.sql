-- How many people of each age band had each vaccine, one column per vaccine?
SELECT
  organisation,
  age_band,
  count(DISTINCT person_number) FILTER (WHERE vaccine = 'influenza') AS influenza,
  count(DISTINCT person_number) FILTER (WHERE vaccine = 'covid-19') AS covid_19,
  count(DISTINCT person_number) FILTER (WHERE vaccine = 'pneumococcal') AS pneumococcal,
  count(DISTINCT person_number) FILTER (WHERE vaccine = 'shingles') AS shingles,
  count(DISTINCT person_number) FILTER (WHERE vaccine = 'mmr') AS mmr
FROM vaccination
GROUP BY organisation, age_band
ORDER BY organisation, age_band;
