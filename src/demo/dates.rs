//! The demo's two financial years, day by day, with their seasons.
//!
//! Days count from 1970-01-01, as Arrow's `Date32`. Main entry: [`seasonal_day`].

use chrono::{Datelike, Days, NaiveDate};

use super::random::Chance;

/// 2024-04-01, the first day with data.
pub(super) const FIRST_DAY: i32 = 19_814;
/// 2026-03-31, the last day with data.
pub(super) const LAST_DAY: i32 = 20_543;
/// Days with data.
pub(super) const DAYS: u32 = (LAST_DAY - FIRST_DAY) as u32 + 1;

/// How busy each month is, January first; 1 is usual.
pub(super) type Season = [f64; 12];

/// The same all year.
pub(super) const EVEN: Season = [1.0; 12];
/// Emergencies: winter is busy.
pub(super) const WINTER: Season =
    [1.30, 1.18, 1.06, 0.95, 0.90, 0.86, 0.86, 0.84, 0.92, 1.02, 1.14, 1.34];
/// Planned work: quiet in August and at Christmas.
pub(super) const PLANNED: Season =
    [1.02, 1.02, 1.08, 0.98, 1.00, 1.02, 1.00, 0.86, 1.04, 1.08, 1.06, 0.78];
/// Vaccinations: an autumn campaign.
pub(super) const AUTUMN: Season =
    [0.60, 0.35, 0.30, 0.45, 0.42, 0.30, 0.26, 0.24, 1.90, 3.40, 2.40, 1.10];

/// The calendar date of a day.
pub(super) fn date(day: i32) -> NaiveDate {
    let days = u64::try_from(day).unwrap_or_default();
    NaiveDate::default().checked_add_days(Days::new(days)).unwrap_or_default()
}

/// The first day of the day's month.
pub(super) fn month_of(day: i32) -> i32 {
    day - i32::try_from(date(day).day0()).unwrap_or_default()
}

/// The weight of the day's month in `season`.
pub(super) fn weight(season: &Season, day: i32) -> f64 {
    season.get(date(day).month0() as usize).copied().unwrap_or(1.0)
}

/// A day with data, likelier in the busy months of `season`.
pub(super) fn seasonal_day(chance: &mut Chance, season: &Season) -> i32 {
    let busiest = season.iter().copied().fold(0.0, f64::max);
    loop {
        let day = any_day(chance);
        if chance.unit() * busiest < weight(season, day) {
            return day;
        }
    }
}

/// A day with data, all as likely.
pub(super) fn any_day(chance: &mut Chance) -> i32 {
    FIRST_DAY + i32::try_from(chance.below(DAYS)).unwrap_or_default()
}
