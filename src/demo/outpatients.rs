//! Outpatient and community clinic appointments; the table `outpatient_appointment`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Int16Builder, Int64Builder, StringBuilder,
};

use super::codes::TREATMENT_FUNCTIONS;
use super::dates::{PLANNED, seasonal_day};
use super::organisations::{DemoOrganisation, OrganisationKind};
use super::people::{Known, Person, age_band};
use super::random::Chance;
use super::rows::PersonTable;

/// Rows of `outpatient_appointment`.
pub(super) struct OutpatientRows {
    chance: Chance,
    kind: OrganisationKind,
    written: u32,
    appointment: StringBuilder,
    number: Int64Builder,
    appointment_date: Date32Builder,
    function: StringBuilder,
    attended: BooleanBuilder,
    decile: Int16Builder,
    band: StringBuilder,
}

impl OutpatientRows {
    /// No rows yet.
    pub(super) fn new(seed: u64, organisation: &DemoOrganisation) -> Self {
        Self {
            chance: Chance::of(seed, &organisation.id, "outpatient_appointment"),
            kind: organisation.kind,
            written: 0,
            appointment: StringBuilder::new(),
            number: Int64Builder::new(),
            appointment_date: Date32Builder::new(),
            function: StringBuilder::new(),
            attended: BooleanBuilder::new(),
            decile: Int16Builder::new(),
            band: StringBuilder::new(),
        }
    }

    fn misses(&mut self, person: &Person) -> bool {
        let decile = person.deprivation_decile.unwrap_or(5);
        let deprived = 0.009 * f64::from(10 - decile);
        let young = if (18..35).contains(&person.age) { 0.03 } else { 0.0 };
        let mental_health = if self.kind == OrganisationKind::MentalHealth { 0.05 } else { 0.0 };
        self.chance.happens(0.035 + deprived + young + mental_health)
    }
}

impl PersonTable for OutpatientRows {
    fn add(&mut self, known: &Known) {
        let rate = match self.kind {
            OrganisationKind::Acute => 1.6,
            OrganisationKind::MentalHealth => 1.8,
            OrganisationKind::Community => 0.9,
        };
        for _ in 0..self.chance.count(rate * known.person.need()) {
            let day = seasonal_day(&mut self.chance, &PLANNED);
            let kind = self.kind;
            let function = self.chance.pick(&TREATMENT_FUNCTIONS, |one| one.weight(kind));
            let (Some(age), Some(function)) = (known.person.age_on(day), function) else {
                continue;
            };
            let attended = !self.misses(&known.person);
            self.written += 1;
            self.appointment.append_value(format!("A{:08}", self.written));
            self.number.append_value(known.number);
            self.appointment_date.append_value(day);
            self.function.append_value(function.code);
            self.attended.append_value(attended);
            self.decile.append_option(known.person.deprivation_decile);
            self.band.append_value(age_band(age));
        }
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.appointment.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.appointment_date.finish()),
            Arc::new(self.function.finish()),
            Arc::new(self.attended.finish()),
            Arc::new(self.decile.finish()),
            Arc::new(self.band.finish()),
        ]
    }
}
