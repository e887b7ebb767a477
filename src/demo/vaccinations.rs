//! Vaccinations given; the table `vaccination`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Builder, Int16Builder, Int64Builder, StringBuilder};

use super::dates::{AUTUMN, EVEN, month_of, seasonal_day};
use super::organisations::{DemoOrganisation, OrganisationKind};
use super::people::{Known, age_band};
use super::random::Chance;
use super::rows::PersonTable;

/// A vaccine and how usual it is for children, adults and people of 65 or more.
struct Vaccine {
    name: &'static str,
    child: f64,
    adult: f64,
    older: f64,
    /// Given in the autumn campaign.
    seasonal: bool,
    /// Part of the vaccinations that are a second dose.
    second_dose: f64,
}

const VACCINES: [Vaccine; 5] = [
    Vaccine {
        name: "influenza",
        child: 0.55,
        adult: 0.66,
        older: 0.52,
        seasonal: true,
        second_dose: 0.03,
    },
    Vaccine {
        name: "covid-19",
        child: 0.02,
        adult: 0.32,
        older: 0.34,
        seasonal: true,
        second_dose: 0.30,
    },
    Vaccine {
        name: "pneumococcal",
        child: 0.18,
        adult: 0.01,
        older: 0.07,
        seasonal: false,
        second_dose: 0.20,
    },
    Vaccine {
        name: "shingles",
        child: 0.0,
        adult: 0.0,
        older: 0.07,
        seasonal: false,
        second_dose: 0.42,
    },
    Vaccine {
        name: "mmr",
        child: 0.25,
        adult: 0.01,
        older: 0.0,
        seasonal: false,
        second_dose: 0.47,
    },
];

/// Rows of `vaccination`.
pub(super) struct VaccinationRows {
    chance: Chance,
    kind: OrganisationKind,
    written: u32,
    vaccination: StringBuilder,
    number: Int64Builder,
    vaccination_date: Date32Builder,
    vaccination_month: Date32Builder,
    vaccine: StringBuilder,
    dose: Int16Builder,
    band: StringBuilder,
}

impl VaccinationRows {
    /// No rows yet.
    pub(super) fn new(seed: u64, organisation: &DemoOrganisation) -> Self {
        Self {
            chance: Chance::of(seed, &organisation.id, "vaccination"),
            kind: organisation.kind,
            written: 0,
            vaccination: StringBuilder::new(),
            number: Int64Builder::new(),
            vaccination_date: Date32Builder::new(),
            vaccination_month: Date32Builder::new(),
            vaccine: StringBuilder::new(),
            dose: Int16Builder::new(),
            band: StringBuilder::new(),
        }
    }
}

impl PersonTable for VaccinationRows {
    fn add(&mut self, known: &Known) {
        let age = known.person.age;
        let wanted = match age {
            ..18 => 0.9,
            18..50 => 0.5,
            50..65 => 0.9,
            _ => 2.0,
        };
        let rate = match self.kind {
            OrganisationKind::Acute => 0.35,
            OrganisationKind::MentalHealth => 0.15,
            OrganisationKind::Community => 1.0,
        };
        for _ in 0..self.chance.count(rate * wanted) {
            let picked = self.chance.pick(&VACCINES, |one| match age {
                ..18 => one.child,
                18..65 => one.adult,
                _ => one.older,
            });
            let Some(vaccine) = picked else { continue };
            let season = if vaccine.seasonal { &AUTUMN } else { &EVEN };
            let day = seasonal_day(&mut self.chance, season);
            let dose = if self.chance.happens(vaccine.second_dose) { 2 } else { 1 };
            let Some(age_then) = known.person.age_on(day) else {
                continue;
            };
            self.written += 1;
            self.vaccination.append_value(format!("V{:08}", self.written));
            self.number.append_value(known.number);
            self.vaccination_date.append_value(day);
            self.vaccination_month.append_value(month_of(day));
            self.vaccine.append_value(vaccine.name);
            self.dose.append_value(dose);
            self.band.append_value(age_band(age_then));
        }
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.vaccination.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.vaccination_date.finish()),
            Arc::new(self.vaccination_month.finish()),
            Arc::new(self.vaccine.finish()),
            Arc::new(self.dose.finish()),
            Arc::new(self.band.finish()),
        ]
    }
}
