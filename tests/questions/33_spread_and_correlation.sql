-- How much do stay and cost vary, and how closely does cost follow stay?
SELECT
  organisation,
  admission_type,
  count(*) AS spells,
  stddev(length_of_stay_hours) AS stay_stddev,
  var_pop(CAST(cost AS DOUBLE)) AS cost_variance,
  corr(length_of_stay_hours, CAST(cost AS DOUBLE)) AS correlation,
  regr_slope(CAST(cost AS DOUBLE), length_of_stay_hours) AS pounds_per_hour
FROM admitted_care
GROUP BY organisation, admission_type
ORDER BY organisation, admission_type;
