-- After how many spells is the person admitted again as an emergency within 30 days?
SELECT
  a.organisation,
  a.admission_type,
  count(*) AS spells_with_readmission,
  count(DISTINCT a.person_number) AS people
FROM admitted_care AS a
WHERE EXISTS (
  SELECT 1
  FROM admitted_care AS b
  WHERE b.organisation = a.organisation
    AND b.person_number = a.person_number
    AND b.admission_type = 'emergency'
    AND b.admission_date > a.admission_date
    AND b.admission_date <= a.admission_date + INTERVAL '30' DAY
)
GROUP BY a.organisation, a.admission_type
ORDER BY a.organisation, a.admission_type;
