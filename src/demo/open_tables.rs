//! Rows about nobody: the open tables `bed_occupancy` and `stock`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, Int32Builder, Int64Builder, StringBuilder,
};
use arrow::datatypes::DataType;

use super::dates::{FIRST_DAY, LAST_DAY, WINTER, month_of, weight};
use super::organisations::{DemoOrganisation, OrganisationKind};
use super::random::Chance;

/// Types of ward and their beds per 1,000 people known to the organisation.
fn wards(kind: OrganisationKind) -> &'static [(&'static str, f64)] {
    match kind {
        OrganisationKind::Acute => {
            &[("general", 9.0), ("critical_care", 0.6), ("maternity", 1.2), ("paediatric", 1.0)]
        }
        OrganisationKind::MentalHealth => {
            &[("adult_acute", 5.0), ("older_adult", 2.5), ("psychiatric_intensive_care", 0.7)]
        }
        OrganisationKind::Community => &[("rehabilitation", 1.6), ("intermediate_care", 0.9)],
    }
}

/// Columns of `bed_occupancy`: every day and type of ward.
pub(super) fn bed_occupancy(
    seed: u64,
    organisation: &DemoOrganisation,
    people: usize,
) -> Vec<ArrayRef> {
    let mut chance = Chance::of(seed, &organisation.id, "bed_occupancy");
    let mut dates = Date32Builder::new();
    let mut types = StringBuilder::new();
    let mut available = Int32Builder::new();
    let mut occupied = Int32Builder::new();
    for day in FIRST_DAY..=LAST_DAY {
        for (ward, beds_per_thousand) in wards(organisation.kind) {
            let season = weight(&WINTER, day);
            let usual = (people as f64 / 1_000.0 * beds_per_thousand).max(4.0);
            // some beds open for the winter, a few are closed on any day
            let beds = (usual * (0.97 + 0.08 * (season - 0.9)) - chance.unit() * 2.0).round();
            let filled = (0.90 + 0.12 * (season - 0.9) + 0.03 * chance.normal()).clamp(0.5, 1.0);
            dates.append_value(day);
            types.append_value(ward);
            available.append_value(beds as i32);
            occupied.append_value((beds * filled).round() as i32);
        }
    }
    vec![
        Arc::new(dates.finish()),
        Arc::new(types.finish()),
        Arc::new(available.finish()),
        Arc::new(occupied.finish()),
    ]
}

/// Items, units on the shelf per 1,000 people, and the cost of one in pence.
const ITEMS: [(&str, f64, f64); 14] = [
    ("aprons, pack of 100", 40.0, 415.0),
    ("blood culture bottles, pair", 60.0, 612.0),
    ("cannula 20 gauge", 900.0, 94.0),
    ("dressing, foam 10 cm", 420.0, 236.0),
    ("examination gloves, box of 100", 150.0, 389.0),
    ("face mask FFP3", 300.0, 178.0),
    ("giving set", 380.0, 143.0),
    ("insulin syringe 1 ml", 700.0, 11.0),
    ("nasal cannula", 160.0, 88.0),
    ("oxygen mask", 120.0, 131.0),
    ("saline 0.9 % 1 litre", 340.0, 124.0),
    ("suture kit", 45.0, 1_245.0),
    ("urinary catheter 14 Ch", 70.0, 672.0),
    ("vaccine fridge logger", 1.0, 4_850.0),
];

/// Columns of `stock`: every item at each month's end.
pub(super) fn stock(seed: u64, organisation: &DemoOrganisation, people: usize) -> Vec<ArrayRef> {
    let mut chance = Chance::of(seed, &organisation.id, "stock");
    let mut items = StringBuilder::new();
    let mut dates = Date32Builder::new();
    let mut quantity = Int64Builder::new();
    let mut cost = Decimal128Builder::new().with_data_type(DataType::Decimal128(12, 2));
    let month_ends = (FIRST_DAY..=LAST_DAY).filter(|day| month_of(day + 1) == day + 1);
    for (months, day) in month_ends.enumerate() {
        for (item, per_thousand, pence) in ITEMS {
            let usual = people as f64 / 1_000.0 * per_thousand;
            let dearer = 1.0 + 0.003 * months as f64;
            items.append_value(item);
            dates.append_value(day);
            quantity.append_value(chance.log_normal(usual, 0.35).round() as i64);
            cost.append_value((pence * dearer).round() as i128);
        }
    }
    vec![
        Arc::new(items.finish()),
        Arc::new(dates.finish()),
        Arc::new(quantity.finish()),
        Arc::new(cost.finish()),
    ]
}
