SELECT
  CAST(appt_ref AS VARCHAR) AS appointment_number,
  hosp_no AS person_number,
  CAST(appt_dt AS DATE) AS appointment_date,
  CAST(tfc AS VARCHAR) AS treatment_function_code,
  attend_cd IN (5, 6) AS attended,
  CAST(imd_dec AS SMALLINT) AS deprivation_decile,
  CASE age_grp
    WHEN 'A1' THEN '0-17'
    WHEN 'A2' THEN '18-34'
    WHEN 'A3' THEN '35-49'
    WHEN 'A4' THEN '50-64'
    WHEN 'A5' THEN '65-79'
    ELSE '80+'
  END AS age_band
FROM opa_clinics
