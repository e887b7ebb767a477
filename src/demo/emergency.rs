//! Attendances at emergency departments; the table `emergency_attendance`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Int16Builder, Int32Builder, Int64Builder,
    StringBuilder, TimestampMicrosecondBuilder,
};

use super::dates::{WINTER, month_of, seasonal_day, weight};
use super::organisations::DemoOrganisation;
use super::people::Known;
use super::random::Chance;
use super::rows::PersonTable;

const MICROSECONDS_PER_MINUTE: i64 = 60_000_000;
const MINUTES_PER_DAY: i64 = 1_440;
/// Most minutes of one attendance, the contract's upper end.
const MINUTES_MAX: f64 = 10_080.0;
/// Minutes after which an attendance breaches the standard.
const BREACH_MINUTES: i32 = 240;

/// Acuity, how usual, and the median of minutes spent.
const ACUITIES: [(i16, f64, f64); 5] =
    [(1, 0.015, 290.0), (2, 0.13, 250.0), (3, 0.42, 190.0), (4, 0.36, 125.0), (5, 0.075, 80.0)];

/// Arrivals by hour of the day, from midnight.
const HOURS: [f64; 24] = [
    2.4, 2.0, 1.7, 1.5, 1.4, 1.5, 1.9, 2.8, 4.2, 5.6, 6.3, 6.4, 6.1, 5.9, 5.7, 5.6, 5.6, 5.6, 5.5,
    5.2, 4.7, 4.1, 3.5, 2.8,
];

/// Rows of `emergency_attendance`.
pub(super) struct EmergencyRows {
    chance: Chance,
    written: u32,
    attendance: StringBuilder,
    number: Int64Builder,
    arrival_time: TimestampMicrosecondBuilder,
    arrival_month: Date32Builder,
    acuity: Int16Builder,
    breach: BooleanBuilder,
    minutes: Int32Builder,
}

impl EmergencyRows {
    /// No rows yet.
    pub(super) fn new(seed: u64, organisation: &DemoOrganisation) -> Self {
        Self {
            chance: Chance::of(seed, &organisation.id, "emergency_attendance"),
            written: 0,
            attendance: StringBuilder::new(),
            number: Int64Builder::new(),
            arrival_time: TimestampMicrosecondBuilder::new(),
            arrival_month: Date32Builder::new(),
            acuity: Int16Builder::new(),
            breach: BooleanBuilder::new(),
            minutes: Int32Builder::new(),
        }
    }

    fn arrival(&mut self, day: i32) -> i64 {
        let hours: [(i64, f64); 24] =
            std::array::from_fn(|hour| (hour as i64, HOURS.get(hour).copied().unwrap_or_default()));
        let hour = self.chance.pick(&hours, |(_, usual)| *usual).map_or(0, |(hour, _)| *hour);
        let minute = hour * 60 + i64::from(self.chance.below(60));
        (i64::from(day) * MINUTES_PER_DAY + minute) * MICROSECONDS_PER_MINUTE
    }
}

impl PersonTable for EmergencyRows {
    fn add(&mut self, known: &Known) {
        let small_child = if known.person.age < 5 { 1.8 } else { 1.0 };
        for _ in 0..self.chance.count(0.75 * small_child * known.person.need()) {
            let day = seasonal_day(&mut self.chance, &WINTER);
            if known.person.age_on(day).is_none() {
                continue;
            }
            let arrival = self.arrival(day);
            let acuity = self.chance.pick(&ACUITIES, |(_, usual, _)| *usual).copied();
            let (acuity, _, median) = acuity.unwrap_or((5, 0.0, 80.0));
            // busy months are slow months
            let crowding = weight(&WINTER, day).powf(0.8);
            let minutes = self.chance.log_normal(median * crowding, 0.55);
            let minutes = minutes.clamp(3.0, MINUTES_MAX) as i32;
            self.written += 1;
            self.attendance.append_value(format!("E{:08}", self.written));
            self.number.append_value(known.number);
            self.arrival_time.append_value(arrival);
            self.arrival_month.append_value(month_of(day));
            self.acuity.append_value(acuity);
            self.breach.append_value(minutes > BREACH_MINUTES);
            self.minutes.append_value(minutes);
        }
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.attendance.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.arrival_time.finish()),
            Arc::new(self.arrival_month.finish()),
            Arc::new(self.acuity.finish()),
            Arc::new(self.breach.finish()),
            Arc::new(self.minutes.finish()),
        ]
    }
}
