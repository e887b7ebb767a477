SELECT
  CAST(spell_id AS VARCHAR) AS spell_number,
  hosp_no AS person_number,
  CAST(adm_dttm AS DATE) AS admission_date,
  CAST(adm_ym || '-01' AS DATE) AS admission_month,
  CAST(adm_meth AS VARCHAR) AS admission_method,
  CASE
    WHEN adm_meth IN ('11', '12', '13') THEN 'elective'
    WHEN adm_meth IN ('31', '32') THEN 'maternity'
    ELSE 'emergency'
  END AS admission_type,
  CAST(diag_chap AS VARCHAR) AS icd10_chapter,
  CAST(diag_1 AS VARCHAR) AS icd10_code,
  CAST(proc_1 AS VARCHAR) AS opcs_code,
  CAST(los_mins AS DOUBLE) / CAST(60 AS DOUBLE) AS length_of_stay_hours,
  CAST(CAST(cost_pence AS DECIMAL(14, 2)) * CAST(0.01 AS DECIMAL(3, 2)) AS DECIMAL(12, 2)) AS cost
FROM apc_spells
