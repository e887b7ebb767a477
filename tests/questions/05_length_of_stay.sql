-- How long do people stay, and how much does it vary, by chapter of the primary diagnosis?
SELECT
  c.code AS icd10_chapter,
  c.name AS chapter_name,
  count(*) AS spells,
  avg(a.length_of_stay_hours) AS mean_hours,
  stddev(a.length_of_stay_hours) AS stddev_hours
FROM admitted_care AS a
JOIN icd10_chapter AS c ON c.code = a.icd10_chapter
GROUP BY c.code, c.name
ORDER BY c.code, c.name;
