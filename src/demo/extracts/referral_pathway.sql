SELECT
  CAST(ptl_id AS VARCHAR) AS pathway_number,
  hosp_no AS person_number,
  CAST(tfc AS VARCHAR) AS treatment_function_code,
  CAST(ref_dt AS DATE) AS referral_date,
  CAST(wk_wait AS INT) AS weeks_waited,
  CASE rtt_status WHEN 1 THEN 'waiting' ELSE 'treated' END AS status,
  CASE prio WHEN 'U' THEN 'urgent' WHEN '2WW' THEN 'two_week_wait' ELSE 'routine' END AS priority
FROM rtt_extract
