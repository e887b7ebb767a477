//! Hospital spells; the table `admitted_care`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder, StringBuilder,
};
use arrow::datatypes::DataType;

use super::codes::{CHAPTERS, Chapter, RARE_CONDITIONS};
use super::dates::{PLANNED, Season, WINTER, month_of, seasonal_day};
use super::organisations::{DemoOrganisation, OrganisationKind};
use super::people::{Known, Person};
use super::random::Chance;
use super::rows::{PersonTable, handful};

/// Most hours of one spell, the contract's upper end.
const STAY_HOURS_MAX: f64 = 8_760.0;
/// Most pence of one spell, the contract's upper end.
const COST_PENCE_MAX: f64 = 100_000_000.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AdmissionType {
    Elective,
    Emergency,
    Maternity,
}

impl AdmissionType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Elective => "elective",
            Self::Emergency => "emergency",
            Self::Maternity => "maternity",
        }
    }

    /// Admission method codes and how usual each is.
    fn methods(self) -> &'static [(&'static str, f64)] {
        match self {
            Self::Elective => &[("11", 0.62), ("12", 0.23), ("13", 0.15)],
            Self::Emergency => &[("21", 0.78), ("22", 0.12), ("24", 0.06), ("28", 0.04)],
            Self::Maternity => &[("31", 0.94), ("32", 0.06)],
        }
    }

    /// Procedures and how many spells have one.
    fn procedures(self) -> (&'static [&'static str], f64) {
        match self {
            Self::Elective => {
                (&["H22", "G45", "C71", "W37", "W40", "A55", "M45", "X29", "E03"], 0.93)
            }
            Self::Emergency => (&["U05", "K60", "X33", "W24", "H01", "E85"], 0.28),
            Self::Maternity => (&["R17", "R18", "R24", "R27"], 0.64),
        }
    }

    fn season(self) -> &'static Season {
        match self {
            Self::Elective => &PLANNED,
            Self::Emergency => &WINTER,
            Self::Maternity => &super::dates::EVEN,
        }
    }
}

/// Rows of `admitted_care`.
pub(super) struct AdmissionRows {
    chance: Chance,
    kind: OrganisationKind,
    written: u32,
    spell: StringBuilder,
    number: Int64Builder,
    admission_date: Date32Builder,
    admission_month: Date32Builder,
    method: StringBuilder,
    admission_type: StringBuilder,
    chapter: StringBuilder,
    category: StringBuilder,
    procedure: StringBuilder,
    stay_hours: Float64Builder,
    cost: Decimal128Builder,
}

impl AdmissionRows {
    /// No rows yet.
    pub(super) fn new(seed: u64, organisation: &DemoOrganisation) -> Self {
        Self {
            chance: Chance::of(seed, &organisation.id, "admitted_care"),
            kind: organisation.kind,
            written: 0,
            spell: StringBuilder::new(),
            number: Int64Builder::new(),
            admission_date: Date32Builder::new(),
            admission_month: Date32Builder::new(),
            method: StringBuilder::new(),
            admission_type: StringBuilder::new(),
            chapter: StringBuilder::new(),
            category: StringBuilder::new(),
            procedure: StringBuilder::new(),
            stay_hours: Float64Builder::new(),
            cost: Decimal128Builder::new().with_data_type(DataType::Decimal128(12, 2)),
        }
    }

    fn admission_type(&mut self, person: &Person) -> AdmissionType {
        let (maternity, emergency) = match self.kind {
            OrganisationKind::MentalHealth => (0.0, 0.82),
            _ if person.sex == "female" && (16..46).contains(&person.age) => (0.38, 0.28),
            _ => (0.0, if person.age >= 80 { 0.66 } else { 0.44 }),
        };
        let drawn = self.chance.unit();
        if drawn < maternity {
            AdmissionType::Maternity
        } else if drawn < maternity + emergency {
            AdmissionType::Emergency
        } else {
            AdmissionType::Elective
        }
    }

    fn chapter(&mut self, admission: AdmissionType) -> Option<&'static Chapter> {
        let kind = self.kind;
        self.chance.pick(&CHAPTERS, |one| match (kind, admission) {
            (OrganisationKind::MentalHealth, _) => one.mental_health,
            (_, AdmissionType::Elective) => one.elective,
            (_, AdmissionType::Emergency) => one.emergency,
            (_, AdmissionType::Maternity) => one.maternity,
        })
    }

    fn add_spell(
        &mut self,
        known: &Known,
        admission: AdmissionType,
        (chapter, category, stay): (&str, &str, f64),
    ) {
        let day = seasonal_day(&mut self.chance, admission.season());
        if known.person.age_on(day).is_none() {
            return;
        }
        let method = self.chance.pick(admission.methods(), |(_, usual)| *usual);
        let (procedures, share) = admission.procedures();
        let treated = self.kind != OrganisationKind::MentalHealth && self.chance.happens(share);
        let procedure = falling(&mut self.chance, procedures).filter(|_| treated);
        let hours = self.stay_hours(admission, stay);
        let pence = self.cost_pence(hours, treated);
        self.written += 1;
        self.spell.append_value(format!("S{:08}", self.written));
        self.number.append_value(known.number);
        self.admission_date.append_value(day);
        self.admission_month.append_value(month_of(day));
        self.method.append_value(method.map_or("28", |(code, _)| code));
        self.admission_type.append_value(admission.as_str());
        self.chapter.append_value(chapter);
        self.category.append_value(category);
        self.procedure.append_option(procedure);
        self.stay_hours.append_value(hours);
        self.cost.append_value(pence);
    }

    /// Hours in quarters, at least half an hour.
    fn stay_hours(&mut self, admission: AdmissionType, stay: f64) -> f64 {
        let (median, spread) = match (self.kind, admission) {
            (OrganisationKind::MentalHealth, _) => (420.0, 0.9),
            (_, AdmissionType::Elective) => (9.0, 1.0),
            (_, AdmissionType::Emergency) => (52.0, 1.1),
            (_, AdmissionType::Maternity) => (34.0, 0.7),
        };
        let hours = self.chance.log_normal(median * stay, spread);
        ((hours * 4.0).round() / 4.0).clamp(0.5, STAY_HOURS_MAX)
    }

    fn cost_pence(&mut self, hours: f64, treated: bool) -> i128 {
        let hour_pence =
            if self.kind == OrganisationKind::MentalHealth { 1_900.0 } else { 1_750.0 };
        let fixed = self.chance.log_normal(if treated { 140_000.0 } else { 38_000.0 }, 0.5);
        (fixed + hours * hour_pence).clamp(0.0, COST_PENCE_MAX) as i128
    }
}

impl PersonTable for AdmissionRows {
    fn add(&mut self, known: &Known) {
        let rate = match self.kind {
            OrganisationKind::Acute => 0.50,
            OrganisationKind::MentalHealth => 0.05,
            OrganisationKind::Community => 0.0,
        };
        for _ in 0..self.chance.count(rate * known.person.need()) {
            let admission = self.admission_type(&known.person);
            let Some(chapter) = self.chapter(admission) else {
                continue;
            };
            let category = falling(&mut self.chance, chapter.categories).unwrap_or_default();
            self.add_spell(known, admission, (chapter.code, category, chapter.stay));
        }
    }

    fn add_rare(&mut self, people: &[Known]) {
        if self.kind != OrganisationKind::Acute {
            return;
        }
        for (chapter, category) in RARE_CONDITIONS {
            for known in handful(&mut self.chance, people) {
                self.add_spell(known, AdmissionType::Emergency, (chapter, category, 1.5));
            }
        }
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.spell.finish()),
            Arc::new(self.number.finish()),
            Arc::new(self.admission_date.finish()),
            Arc::new(self.admission_month.finish()),
            Arc::new(self.method.finish()),
            Arc::new(self.admission_type.finish()),
            Arc::new(self.chapter.finish()),
            Arc::new(self.category.finish()),
            Arc::new(self.procedure.finish()),
            Arc::new(self.stay_hours.finish()),
            Arc::new(self.cost.finish()),
        ]
    }
}

/// One of `choices`, earlier ones likelier.
fn falling(chance: &mut Chance, choices: &'static [&'static str]) -> Option<&'static str> {
    let below = u32::try_from(choices.len()).unwrap_or(u32::MAX);
    let at = chance.below(below).min(chance.below(below));
    choices.get(at as usize).copied()
}
