-- In which month were people admitted for the first time, and how many came back after it?
SELECT
  first_month,
  count(*) AS people,
  count(*) FILTER (WHERE spells > 1) AS people_with_more
FROM (
  SELECT
    organisation,
    person_number,
    min(admission_month) AS first_month,
    count(*) AS spells
  FROM admitted_care
  GROUP BY organisation, person_number
) AS firsts
GROUP BY first_month
ORDER BY first_month;
