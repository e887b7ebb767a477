//! Tables as one organisation's own systems hold them, and the SQL that maps them back.
//!
//! Westlea stands for every organisation whose extracts have their own names, codes and types.
//! The other organisations' files are in contract layout. Main type: [`Extract`].

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Field, Float64Type, Schema, TimeUnit,
};
use arrow::error::ArrowError;

use super::dates::date;

/// One table in an organisation's own layout.
pub(super) struct Extract {
    /// Name of the source and its file.
    pub(super) source: &'static str,
    /// A SELECT over the source that yields the contract's columns.
    pub(super) sql: &'static str,
    columns: fn(&RecordBatch) -> Result<Vec<OwnColumn>, ArrowError>,
}

/// A column in the organisation's own layout: name, whether NULL may occur, values.
type OwnColumn = (&'static str, bool, ArrayRef);

impl Extract {
    /// Brings rows in contract layout into the organisation's own.
    pub(super) fn layout(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        let columns = (self.columns)(rows)?;
        let (fields, arrays): (Vec<_>, Vec<_>) = columns
            .into_iter()
            .map(|(name, nullable, array)| {
                (Field::new(name, array.data_type().clone(), nullable), array)
            })
            .unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
    }
}

/// How `organisation` holds `table`, if not in contract layout.
pub(super) fn extract(organisation: &str, table: &str) -> Option<Extract> {
    if organisation != "westlea" {
        return None;
    }
    Some(match table {
        "person" => Extract {
            source: "master_patient_index",
            sql: include_str!("extracts/person.sql"),
            columns: person,
        },
        "referral_pathway" => Extract {
            source: "rtt_extract",
            sql: include_str!("extracts/referral_pathway.sql"),
            columns: referral_pathway,
        },
        "admitted_care" => Extract {
            source: "apc_spells",
            sql: include_str!("extracts/admitted_care.sql"),
            columns: admitted_care,
        },
        "outpatient_appointment" => Extract {
            source: "opa_clinics",
            sql: include_str!("extracts/outpatient_appointment.sql"),
            columns: outpatient_appointment,
        },
        _ => return None,
    })
}

fn person(rows: &RecordBatch) -> Result<Vec<OwnColumn>, ArrowError> {
    Ok(vec![
        ("hosp_no", false, column(rows, "person_number")?),
        ("pseudo", false, column(rows, "federation_pseudonym")?),
        ("age_yrs", false, long(rows, "age")?),
        ("sex_cd", false, recode(rows, "sex", sex_code)?),
        ("eth_cd", true, recode(rows, "ethnic_category", ethnic_code)?),
        ("imd_dec", true, long(rows, "deprivation_decile")?),
        ("gp_cd", false, column(rows, "registered_practice")?),
    ])
}

fn referral_pathway(rows: &RecordBatch) -> Result<Vec<OwnColumn>, ArrowError> {
    let status = column(rows, "status")?;
    let status = status.as_string::<i32>().iter();
    let status = status.map(|one| Some(if one? == "waiting" { 1 } else { 2 }));
    Ok(vec![
        ("ptl_id", false, column(rows, "pathway_number")?),
        ("hosp_no", false, column(rows, "person_number")?),
        ("tfc", false, column(rows, "treatment_function_code")?),
        ("ref_dt", false, date_text(rows, "referral_date", "%Y-%m-%d")?),
        ("wk_wait", false, long(rows, "weeks_waited")?),
        ("rtt_status", false, Arc::new(status.collect::<Int64Array>())),
        ("prio", false, recode(rows, "priority", priority_code)?),
    ])
}

fn admitted_care(rows: &RecordBatch) -> Result<Vec<OwnColumn>, ArrowError> {
    let moment = DataType::Timestamp(TimeUnit::Microsecond, None);
    let admitted = cast(&column(rows, "admission_date")?, &moment)?;
    let hours = column(rows, "length_of_stay_hours")?;
    let minutes = hours.as_primitive::<Float64Type>().iter();
    let minutes = minutes.map(|hours| Some((hours? * 60.0).round() as i64));
    let cost = column(rows, "cost")?;
    let pence = cost.as_primitive::<Decimal128Type>().iter();
    let pence = pence.map(|pence| i64::try_from(pence?).ok());
    Ok(vec![
        ("spell_id", false, column(rows, "spell_number")?),
        ("hosp_no", false, column(rows, "person_number")?),
        ("adm_dttm", false, admitted),
        ("adm_ym", false, date_text(rows, "admission_month", "%Y-%m")?),
        ("adm_meth", false, column(rows, "admission_method")?),
        ("diag_chap", false, column(rows, "icd10_chapter")?),
        ("diag_1", false, column(rows, "icd10_code")?),
        ("proc_1", true, column(rows, "opcs_code")?),
        ("los_mins", false, Arc::new(minutes.collect::<Int64Array>())),
        ("cost_pence", false, Arc::new(pence.collect::<Int64Array>())),
    ])
}

fn outpatient_appointment(rows: &RecordBatch) -> Result<Vec<OwnColumn>, ArrowError> {
    let attended = column(rows, "attended")?;
    // 5 seen on time, 6 late but seen, 7 too late to be seen, 3 did not attend
    let codes = (0_u32..).zip(attended.as_boolean().iter()).map(|(row, attended)| {
        let often = row % 5 != 0;
        Some(match (attended?, often) {
            (true, true) => 5,
            (true, false) => 6,
            (false, true) => 3,
            (false, false) => 7,
        })
    });
    Ok(vec![
        ("appt_ref", false, column(rows, "appointment_number")?),
        ("hosp_no", false, column(rows, "person_number")?),
        ("appt_dt", false, date_text(rows, "appointment_date", "%Y-%m-%d")?),
        ("tfc", false, column(rows, "treatment_function_code")?),
        ("attend_cd", false, Arc::new(codes.collect::<Int64Array>())),
        ("imd_dec", true, long(rows, "deprivation_decile")?),
        ("age_grp", false, recode(rows, "age_band", age_group)?),
    ])
}

fn sex_code(sex: &str) -> &'static str {
    match sex {
        "male" => "1",
        "female" => "2",
        _ => "X",
    }
}

fn ethnic_code(category: &str) -> &'static str {
    match category {
        "White" => "W",
        "Mixed" => "M",
        "Asian or Asian British" => "A",
        "Black or Black British" => "B",
        "Other ethnic groups" => "O",
        _ => "Z",
    }
}

fn priority_code(priority: &str) -> &'static str {
    match priority {
        "urgent" => "U",
        "two_week_wait" => "2WW",
        _ => "R",
    }
}

fn age_group(band: &str) -> &'static str {
    match band {
        "0-17" => "A1",
        "18-34" => "A2",
        "35-49" => "A3",
        "50-64" => "A4",
        "65-79" => "A5",
        _ => "A6",
    }
}

fn column(rows: &RecordBatch, name: &str) -> Result<ArrayRef, ArrowError> {
    rows.column_by_name(name)
        .cloned()
        .ok_or_else(|| ArrowError::SchemaError(format!("no column `{name}`")))
}

fn long(rows: &RecordBatch, name: &str) -> Result<ArrayRef, ArrowError> {
    cast(&column(rows, name)?, &DataType::Int64)
}

fn recode(
    rows: &RecordBatch,
    name: &str,
    code: fn(&str) -> &'static str,
) -> Result<ArrayRef, ArrowError> {
    let values = column(rows, name)?;
    let codes = values.as_string::<i32>().iter().map(|value| value.map(code));
    Ok(Arc::new(codes.collect::<StringArray>()))
}

fn date_text(rows: &RecordBatch, name: &str, format: &str) -> Result<ArrayRef, ArrowError> {
    let values = column(rows, name)?;
    let texts = values.as_primitive::<Date32Type>().iter();
    let texts = texts.map(|day| Some(date(day?).format(format).to_string()));
    Ok(Arc::new(texts.collect::<StringArray>()))
}
