//! Reference tables, the same at every organisation: code lists, the directory, the calendar.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, StringArray};
use chrono::Datelike;

use super::codes::{CHAPTERS, TREATMENT_FUNCTIONS};
use super::dates::{FIRST_DAY, LAST_DAY, date, month_of};
use super::organisations::DemoOrganisation;

/// Columns of `treatment_function`.
pub(super) fn treatment_function() -> Vec<ArrayRef> {
    vec![
        texts(TREATMENT_FUNCTIONS.iter().map(|one| one.code)),
        texts(TREATMENT_FUNCTIONS.iter().map(|one| one.name)),
    ]
}

/// Columns of `icd10_chapter`.
pub(super) fn icd10_chapter() -> Vec<ArrayRef> {
    vec![texts(CHAPTERS.iter().map(|one| one.code)), texts(CHAPTERS.iter().map(|one| one.name))]
}

/// Columns of `organisation_directory`.
pub(super) fn organisation_directory(organisations: &[DemoOrganisation]) -> Vec<ArrayRef> {
    vec![
        texts(organisations.iter().map(|one| one.id.as_str())),
        texts(organisations.iter().map(|one| one.name.as_str())),
        texts(organisations.iter().map(|one| one.kind.as_str())),
        texts(organisations.iter().map(|one| one.icb.as_str())),
        texts(organisations.iter().map(|one| one.region.as_str())),
    ]
}

/// Columns of `calendar`: every day with data.
pub(super) fn calendar() -> Vec<ArrayRef> {
    let days = || FIRST_DAY..=LAST_DAY;
    vec![
        Arc::new(Date32Array::from_iter_values(days())),
        Arc::new(Date32Array::from_iter_values(days().map(month_of))),
        texts(days().map(financial_year)),
        texts(days().map(quarter)),
    ]
}

/// The financial year of a day, April to March, as `2025/26`.
fn financial_year(day: i32) -> String {
    let date = date(day);
    let begins = if date.month() >= 4 { date.year() } else { date.year() - 1 };
    format!("{begins}/{:02}", (begins + 1) % 100)
}

/// The quarter of the financial year of a day.
fn quarter(day: i32) -> &'static str {
    match date(day).month() {
        4..=6 => "Q1",
        7..=9 => "Q2",
        10..=12 => "Q3",
        _ => "Q4",
    }
}

fn texts<T: AsRef<str>>(values: impl Iterator<Item = T>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}
