-- How many doses of each vaccine were given to each age band, with all totals?
SELECT
  coalesce(vaccine, 'all') AS vaccine,
  coalesce(age_band, 'all') AS age_band,
  grouping(vaccine) AS over_vaccines,
  grouping(age_band) AS over_age_bands,
  count(*) AS doses,
  count(*) FILTER (WHERE dose = 2) AS second_doses
FROM vaccination
GROUP BY CUBE (vaccine, age_band)
ORDER BY over_vaccines, over_age_bands, 1, 2;
