//! The people of the demo and who is known to which organisation; the table `person`.
//!
//! ```text
//! Population::draw   home people of every organisation, a few of them also known to another
//!   -> Known         one person as one organisation knows them: its own number, shuffled
//!   -> PersonRows    rows of `person`
//! ```

use std::sync::Arc;

use arrow::array::{ArrayRef, Int16Builder, Int64Builder, StringBuilder};

use super::dates::LAST_DAY;
use super::organisations::{DemoOrganisation, OrganisationKind};
use super::random::Chance;
use super::rows::PersonTable;

/// Part of the people of one organisation who are known to a second one.
const SHARED_SHARE: f64 = 0.04;
/// Practices of one integrated care board.
const PRACTICES: u32 = 14;

/// A person, the same at every organisation that knows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Person {
    /// Pseudonym across the federation.
    pub(super) pseudonym: u64,
    /// Age in whole years on the last day with data.
    pub(super) age: i16,
    /// Days since the last birthday on that day.
    birthday_days: i32,
    /// Stated sex.
    pub(super) sex: &'static str,
    /// Broad ethnic group, where asked.
    ethnic_category: Option<&'static str>,
    /// Deprivation decile of the home, where known; 1 is most deprived.
    pub(super) deprivation_decile: Option<i16>,
    /// Index of the home organisation, whose board the practice belongs to.
    home: usize,
    /// Number of the practice within its board.
    practice: u32,
}

impl Person {
    /// Age on a day; `None` before birth.
    pub(super) fn age_on(&self, day: i32) -> Option<i16> {
        let earlier = LAST_DAY - day - self.birthday_days;
        let years = if earlier <= 0 { 0 } else { 1 + (earlier - 1) / 365 };
        let age = self.age - i16::try_from(years).unwrap_or(i16::MAX);
        (age >= 0).then_some(age)
    }

    /// How much care a person of this age needs; about 1 on average.
    pub(super) fn need(&self) -> f64 {
        match self.age {
            ..5 => 1.0,
            5..18 => 0.5,
            18..35 => 0.7,
            35..50 => 0.85,
            50..65 => 1.1,
            65..80 => 1.7,
            _ => 2.6,
        }
    }
}

/// One person as one organisation knows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The organisation's own number, 1 to as many people as it knows.
    pub(super) number: i64,
    /// The person.
    pub(super) person: Person,
}

/// Band of an age, as the contracts' domain spells it.
pub(super) fn age_band(age: i16) -> &'static str {
    match age {
        ..18 => "0-17",
        18..35 => "18-34",
        35..50 => "35-49",
        50..65 => "50-64",
        65..80 => "65-79",
        _ => "80+",
    }
}

/// Who is known to each organisation, in the organisations' order.
pub(super) struct Population {
    /// The people each organisation knows.
    pub(super) known: Vec<Vec<Known>>,
}

impl Population {
    /// Draws `people` people, each at home at one of `organisations`.
    pub(super) fn draw(seed: u64, people: usize, organisations: &[DemoOrganisation]) -> Self {
        let mut known: Vec<Vec<Person>> = organisations.iter().map(|_| Vec::new()).collect();
        let mut before = 0.0;
        for (home, organisation) in organisations.iter().enumerate() {
            let from = (before * people as f64).round() as usize;
            before += organisation.share;
            let to = (before * people as f64).round() as usize;
            let mut chance = Chance::of(seed, &organisation.id, "person");
            let mut shared = Chance::of(seed, &organisation.id, "shared");
            let habits = Habits::of(organisation);
            for _ in from..to {
                let person = habits.person(&mut chance, home);
                if let Some(list) = known.get_mut(home) {
                    list.push(person);
                }
                if organisations.len() > 1 && shared.happens(SHARED_SHARE) {
                    let other = second(&mut shared, home, organisations);
                    if let Some(list) = other.and_then(|other| known.get_mut(other)) {
                        list.push(person);
                    }
                }
            }
        }
        let numbered = organisations.iter().zip(known).map(|(organisation, mut list)| {
            Chance::of(seed, &organisation.id, "person_number").shuffle(&mut list);
            (1..).zip(list).map(|(number, person)| Known { number, person }).collect()
        });
        Self { known: numbered.collect() }
    }
}

/// Another organisation that knows a person too, rather one of the same board.
fn second(chance: &mut Chance, home: usize, organisations: &[DemoOrganisation]) -> Option<usize> {
    let board = organisations.get(home).map(|one| one.icb.as_str());
    let others: Vec<(usize, f64)> = organisations
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != home)
        .map(|(index, one)| {
            (index, if Some(one.icb.as_str()) == board { one.share * 3.0 } else { one.share })
        })
        .collect();
    chance.pick(&others, |(_, weight)| *weight).map(|(index, _)| *index)
}

/// What sets the people of one organisation apart; 0 is the average, about -1 to 1.
struct Habits {
    older: f64,
    deprived: f64,
    diverse: f64,
}

impl Habits {
    fn of(organisation: &DemoOrganisation) -> Self {
        let (older, deprived, diverse) = match organisation.id.as_str() {
            "northmoor" => (0.3, -0.2, -0.4),
            "westlea" => (-0.3, 0.7, 0.8),
            "castlebridge" => (0.5, -0.6, -0.6),
            "fenmarsh" => (-0.2, 0.5, 0.2),
            "hartwell" => (0.0, 0.1, 0.1),
            other => {
                // of the id alone, so that an organisation keeps its character under every seed
                let mut chance = Chance::of(0, other, "habits");
                let mut around = || chance.unit() * 1.4 - 0.7;
                (around(), around(), around())
            }
        };
        let younger = if organisation.kind == OrganisationKind::MentalHealth { 0.3 } else { 0.0 };
        Self { older: older - younger, deprived, diverse }
    }

    fn person(&self, chance: &mut Chance, home: usize) -> Person {
        let pseudonym = chance.word();
        let ages = chance.pick(&AGES, |(from, _, usual)| {
            usual * (self.older * (f64::from(*from) - 40.0) / 40.0).exp()
        });
        let (from, to, _) = ages.copied().unwrap_or_default();
        let age =
            from + i16::try_from(chance.below((to - from).unsigned_abs().into())).unwrap_or(0);
        let birthday_days = i32::try_from(chance.below(365)).unwrap_or_default();
        let sex = chance.pick(&SEXES, |(_, usual)| *usual).map_or("not_stated", |(sex, _)| sex);
        let ethnic = chance.pick(&ETHNIC_CATEGORIES, |(category, usual)| match *category {
            Some("White") => usual * (-self.diverse).exp(),
            _ => *usual,
        });
        let decile = chance
            .pick(&DECILES, |decile| (self.deprived * (5.5 - f64::from(*decile)) / 4.5).exp());
        let address_known = !chance.happens(0.015);
        // the lower of two draws: some practices are far larger than others
        let practice = 1 + chance.below(PRACTICES).min(chance.below(PRACTICES));
        Person {
            pseudonym,
            age,
            birthday_days,
            sex,
            ethnic_category: ethnic.and_then(|(category, _)| *category),
            deprivation_decile: decile.copied().filter(|_| address_known),
            home,
            practice,
        }
    }
}

/// Ages from, up to but not including, and how usual.
const AGES: [(i16, i16, f64); 8] = [
    (0, 5, 5.5),
    (5, 18, 14.5),
    (18, 35, 21.0),
    (35, 50, 19.0),
    (50, 65, 20.0),
    (65, 80, 14.5),
    (80, 95, 5.2),
    (95, 105, 0.3),
];
const SEXES: [(&str, f64); 3] = [("female", 50.6), ("male", 49.0), ("not_stated", 0.4)];
const ETHNIC_CATEGORIES: [(Option<&str>, f64); 7] = [
    (Some("White"), 74.0),
    (Some("Mixed"), 2.5),
    (Some("Asian or Asian British"), 9.0),
    (Some("Black or Black British"), 4.0),
    (Some("Other ethnic groups"), 2.0),
    (Some("Not stated"), 5.0),
    (None, 3.5),
];
const DECILES: [i16; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// Rows of `person`.
pub(super) struct PersonRows<'a> {
    organisations: &'a [DemoOrganisation],
    number: Int64Builder,
    pseudonym: StringBuilder,
    age: Int16Builder,
    band: StringBuilder,
    sex: StringBuilder,
    ethnic_category: StringBuilder,
    decile: Int16Builder,
    practice: StringBuilder,
}

impl<'a> PersonRows<'a> {
    /// No rows yet.
    pub(super) fn new(organisations: &'a [DemoOrganisation]) -> Self {
        Self {
            organisations,
            number: Int64Builder::new(),
            pseudonym: StringBuilder::new(),
            age: Int16Builder::new(),
            band: StringBuilder::new(),
            sex: StringBuilder::new(),
            ethnic_category: StringBuilder::new(),
            decile: Int16Builder::new(),
            practice: StringBuilder::new(),
        }
    }
}

impl PersonTable for PersonRows<'_> {
    fn add(&mut self, known: &Known) {
        let person = &known.person;
        let board = self.organisations.get(person.home).map_or("", |home| home.icb.as_str());
        self.number.append_value(known.number);
        self.pseudonym.append_value(format!("{:016x}", person.pseudonym));
        self.age.append_value(person.age);
        self.band.append_value(age_band(person.age));
        self.sex.append_value(person.sex);
        self.ethnic_category.append_option(person.ethnic_category);
        self.decile.append_option(person.deprivation_decile);
        self.practice.append_value(format!("{board}-{:02}", person.practice));
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.number.finish()),
            Arc::new(self.pseudonym.finish()),
            Arc::new(self.age.finish()),
            Arc::new(self.band.finish()),
            Arc::new(self.sex.finish()),
            Arc::new(self.ethnic_category.finish()),
            Arc::new(self.decile.finish()),
            Arc::new(self.practice.finish()),
        ]
    }
}
