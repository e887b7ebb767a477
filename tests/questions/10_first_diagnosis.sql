-- With which chapter of diagnoses do people come in for the first time?
WITH numbered AS (
  SELECT
    organisation,
    icd10_chapter,
    cost,
    row_number() OVER (
      PARTITION BY organisation, person_number
      ORDER BY admission_date, spell_number
    ) AS spell
  FROM admitted_care
)
SELECT
  c.name AS chapter_name,
  count(*) AS first_admissions,
  sum(n.cost) AS cost
FROM numbered AS n
JOIN icd10_chapter AS c ON c.code = n.icd10_chapter
WHERE n.spell = 1
GROUP BY c.name
ORDER BY first_admissions DESC, chapter_name;
