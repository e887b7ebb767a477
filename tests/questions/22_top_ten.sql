-- Which ten diagnoses cost most at each organisation?
SELECT organisation, place, icd10_code, spells, cost
FROM (
  SELECT
    organisation,
    icd10_code,
    count(*) AS spells,
    sum(cost) AS cost,
    rank() OVER (PARTITION BY organisation ORDER BY sum(cost) DESC, icd10_code) AS place
  FROM admitted_care
  GROUP BY organisation, icd10_code
) AS ranked
WHERE place <= 10
ORDER BY organisation, place;
