//! Referral-to-treatment pathways; the table `referral_pathway`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Builder, Int32Builder, Int64Builder, StringBuilder};

use super::codes::{RARE_TREATMENT_FUNCTION, TREATMENT_FUNCTIONS};
use super::dates::{LAST_DAY, PLANNED, seasonal_day};
use super::organisations::{DemoOrganisation, OrganisationKind};
use super::people::Known;
use super::random::Chance;
use super::rows::{PersonTable, handful};

/// Priorities: name, how usual, and the wait as a part of the routine one.
const PRIORITIES: [(&str, f64, f64); 3] =
    [("routine", 0.74, 1.0), ("urgent", 0.16, 0.5), ("two_week_wait", 0.10, 0.12)];

/// Rows of `referral_pathway`.
pub(super) struct ReferralRows {
    chance: Chance,
    kind: OrganisationKind,
    written: u32,
    pathway: StringBuilder,
    number: Int64Builder,
    function: StringBuilder,
    referral_date: Date32Builder,
    weeks_waited: Int32Builder,
    status: StringBuilder,
    priority: StringBuilder,
}

impl ReferralRows {
    /// No rows yet.
    pub(super) fn new(seed: u64, organisation: &DemoOrganisation) -> Self {
        Self {
            chance: Chance::of(seed, &organisation.id, "referral_pathway"),
            kind: organisation.kind,
            written: 0,
            pathway: StringBuilder::new(),
            number: Int64Builder::new(),
            function: StringBuilder::new(),
            referral_date: Date32Builder::new(),
            weeks_waited: Int32Builder::new(),
            status: StringBuilder::new(),
            priority: StringBuilder::new(),
        }
    }

    fn add_referral(&mut self, known: &Known, function: &str, wait_weeks_mean: f64) {
        let day = seasonal_day(&mut self.chance, &PLANNED);
        if known.person.age_on(day).is_none() {
            return;
        }
        let priority = self.chance.pick(&PRIORITIES, |(_, usual, _)| *usual);
        let (priority, _, pace) = priority.copied().unwrap_or(("routine", 1.0, 1.0));
        // nobody is treated on the day: one week of booking, then the queue
        let waits_days = 7.0 + self.chance.wait(wait_weeks_mean * pace * 7.0);
        let days_left = LAST_DAY - day;
        let treated = waits_days <= f64::from(days_left);
        let waited_days = if treated { waits_days as i32 } else { days_left };
        self.written += 1;
        self.pathway.append_value(format!("P{:08}", self.written));
        self.number.append_value(known.number);
        self.function.append_value(function);
        self.referral_date.append_value(day);
        self.weeks_waited.append_value(waited_days / 7);
        self.status.append_value(if treated { "treated" } else { "waiting" });
        self.priority.append_value(priority);
    }
}

impl PersonTable for ReferralRows {
    fn add(&mut self, known: &Known) {
        let rate = match self.kind {
            OrganisationKind::Acute => 0.55,
            OrganisationKind::MentalHealth => 0.35,
            OrganisationKind::Community => 0.40,
        };
        for _ in 0..self.chance.count(rate * known.person.need()) {
            let kind = self.kind;
            let picked = self.chance.pick(&TREATMENT_FUNCTIONS, |one| one.weight(kind));
            if let Some(function) = picked {
                self.add_referral(known, function.code, function.wait_weeks_mean);
            }
        }
    }

    fn add_rare(&mut self, people: &[Known]) {
        let wait = TREATMENT_FUNCTIONS
            .iter()
            .find(|one| one.code == RARE_TREATMENT_FUNCTION)
            .map_or(0.0, |one| one.wait_weeks_mean);
        for known in handful(&mut self.chance, people) {
            self.add_referral(known, RARE_TREATMENT_FUNCTION, wait);
        }
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.pathway.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.function.finish()),
            Arc::new(self.referral_date.finish()),
            Arc::new(self.weeks_waited.finish()),
            Arc::new(self.status.finish()),
            Arc::new(self.priority.finish()),
        ]
    }
}
