SELECT
  hosp_no AS person_number,
  CAST(pseudo AS VARCHAR) AS federation_pseudonym,
  CAST(age_yrs AS SMALLINT) AS age,
  CASE
    WHEN age_yrs < 18 THEN '0-17'
    WHEN age_yrs < 35 THEN '18-34'
    WHEN age_yrs < 50 THEN '35-49'
    WHEN age_yrs < 65 THEN '50-64'
    WHEN age_yrs < 80 THEN '65-79'
    ELSE '80+'
  END AS age_band,
  CASE sex_cd WHEN '1' THEN 'male' WHEN '2' THEN 'female' ELSE 'not_stated' END AS sex,
  CASE eth_cd
    WHEN 'W' THEN 'White'
    WHEN 'M' THEN 'Mixed'
    WHEN 'A' THEN 'Asian or Asian British'
    WHEN 'B' THEN 'Black or Black British'
    WHEN 'O' THEN 'Other ethnic groups'
    WHEN 'Z' THEN 'Not stated'
  END AS ethnic_category,
  CAST(imd_dec AS SMALLINT) AS deprivation_decile,
  CAST(gp_cd AS VARCHAR) AS registered_practice
FROM master_patient_index
