//! Tables of people at places, drawn so that rules on small numbers and on dominance meet their
//! edges: nine people and ten, exactly nine tenths of a sum, people without an amount. Main types:
//! [`Table`], [`Row`].

use std::collections::BTreeMap;

use crate::dice::Dice;

const SITES: [&str; 4] = ["west", "east", "north", "south"];
const UNITS: [&str; 4] = ["ward", "clinic", "theatre", "home"];
/// Amounts are whole quarters: floating point adds them without an error, so a tie is a tie.
const QUARTER: i64 = 25;

/// One table.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
}

/// One row.
pub(crate) struct Row {
    pub(crate) person: Option<i64>,
    pub(crate) place: Place,
    /// In hundredths.
    pub(crate) amount: Option<i64>,
}

/// A site and a unit.
pub(crate) type Place = (&'static str, &'static str);

/// Who is at a place.
#[derive(Clone, Copy)]
enum Kind {
    Nobody,
    /// Any number of people with any amounts.
    Any,
    /// About ten.
    Threshold,
    /// One of them has as much as all others, or many times that.
    OneLarge,
    /// Two of them have.
    TwoLarge,
    /// Two of them have nine tenths of all: exactly, or a little less or more.
    Share,
    /// All but the two largest have a tenth of the largest, likewise.
    Percent,
    /// All have the same.
    Same,
    /// About ten with an amount, and others without.
    FewAmounts,
    NoAmounts,
    /// `Share`, of rows.
    ShareOfRows,
    /// `Percent`, of rows.
    PercentOfRows,
}

const KINDS: [Kind; 12] = [
    Kind::Any,
    Kind::Threshold,
    Kind::OneLarge,
    Kind::Share,
    Kind::FewAmounts,
    Kind::TwoLarge,
    Kind::Percent,
    Kind::Nobody,
    Kind::Same,
    Kind::ShareOfRows,
    Kind::NoAmounts,
    Kind::PercentOfRows,
];

/// The rows of one person at one place, as amounts in quarters.
type Part = Vec<Option<i64>>;

/// That many tables, the same for the same seed. Kinds of places take turns, so that each occurs.
pub(crate) fn tables(seed: u64, number: usize) -> Vec<Table> {
    let mut dice = Dice::new(seed);
    let mut kinds = KINDS.into_iter().cycle();
    (0..number).map(|number| table(number, &mut kinds, &mut dice)).collect()
}

fn table(number: usize, kinds: &mut impl Iterator<Item = Kind>, dice: &mut Dice) -> Table {
    let mut rows = vec![];
    let (sites, units) = (2 + dice.draw(3), 2 + dice.draw(3));
    for site in &SITES[..sites] {
        for (unit, kind) in UNITS[..units].iter().zip(&mut *kinds) {
            let parts = parts(kind, dice);
            for (person, part) in numbers(parts.len(), dice).into_iter().zip(parts) {
                rows.extend(part.into_iter().map(|quarters| Row {
                    person,
                    place: (site, unit),
                    amount: quarters.map(|quarters| quarters * QUARTER),
                }));
            }
        }
    }
    for last in (1..rows.len()).rev() {
        rows.swap(last, dice.draw(last + 1));
    }
    Table { name: format!("table_{number:03}"), rows }
}

/// The numbers of so many people. Now and then one is not known, or two.
fn numbers(people: usize, dice: &mut Dice) -> Vec<Option<i64>> {
    let first = dice.draw(40);
    let mut numbers: Vec<_> = (first..first + people).map(|n| Some(n as i64)).collect();
    let unknown = [0, 0, 0, 0, 0, 1, 1, 2][dice.draw(8)];
    for _ in 0..unknown {
        let who = dice.draw(people);
        numbers.iter_mut().skip(who).take(1).for_each(|number| *number = None);
    }
    numbers
}

fn parts(kind: Kind, dice: &mut Dice) -> Vec<Part> {
    let amounts = match kind {
        Kind::Nobody => vec![],
        Kind::Any => several(1, 20, 400, dice),
        Kind::Threshold => several(8, 4, 400, dice),
        Kind::OneLarge => with_large(1, several(9, 12, 40, dice), dice),
        Kind::TwoLarge => with_large(2, several(8, 12, 40, dice), dice),
        Kind::Share => with_share(several(8, 12, 40, dice), dice),
        Kind::Percent => with_percent(several(8, 12, 40, dice), dice),
        Kind::Same => vec![draw(1, 400, dice); 8 + dice.draw(15)],
        Kind::FewAmounts => {
            let mut amounts = several(8, 4, 400, dice);
            amounts.resize(amounts.len() + 2 + dice.draw(8), 0);
            amounts
        }
        Kind::NoAmounts => vec![0; 8 + dice.draw(10)],
        Kind::ShareOfRows => return with_rows(with_share(several(8, 6, 1, dice), dice), dice),
        Kind::PercentOfRows => return with_rows(with_percent(several(8, 6, 1, dice), dice), dice),
    };
    amounts.into_iter().map(|amount| part(amount, dice)).collect()
}

/// `fewest` amounts and some more, each at most `most`.
fn several(fewest: usize, more: usize, most: usize, dice: &mut Dice) -> Vec<i64> {
    (0..fewest + dice.draw(more)).map(|_| draw(1, most, dice)).collect()
}

fn draw(least: i64, numbers: usize, dice: &mut Dice) -> i64 {
    least + dice.draw(numbers) as i64
}

fn with_large(large: usize, mut others: Vec<i64>, dice: &mut Dice) -> Vec<i64> {
    let rest: i64 = others.iter().sum();
    others.extend((0..large).map(|_| rest * draw(1, 20, dice)));
    others
}

fn with_share(mut others: Vec<i64>, dice: &mut Dice) -> Vec<i64> {
    let rest: i64 = others.iter().sum();
    let both = 9 * rest + draw(-1, 4, dice);
    let first = 4 * rest + draw(0, rest as usize, dice);
    others.extend([first, both - first]);
    others
}

fn with_percent(mut others: Vec<i64>, dice: &mut Dice) -> Vec<i64> {
    let rest: i64 = others.iter().sum();
    others.extend([10 * rest + draw(-1, 4, dice), draw(rest, 9 * rest as usize, dice)]);
    others
}

/// An amount in one row or two, on either side of zero, and now and then a row without one.
fn part(amount: i64, dice: &mut Dice) -> Part {
    if amount == 0 {
        return vec![[None, Some(0)][dice.draw(2)]];
    }
    let first = if dice.draw(3) == 0 { draw(0, amount as usize, dice) } else { 0 };
    let mut amounts: Part = vec![Some(amount - first)];
    amounts.extend((first > 0).then_some(Some(first)));
    for amount in amounts.iter_mut().flatten() {
        *amount *= [1, 1, 1, -1][dice.draw(4)];
    }
    amounts.extend((dice.draw(6) == 0).then_some(None));
    amounts
}

/// People with so many rows each.
fn with_rows(counts: Vec<i64>, dice: &mut Dice) -> Vec<Part> {
    let mut row = || (dice.draw(4) > 0).then(|| draw(-20, 41, dice));
    counts.into_iter().map(|count| (0..count).map(|_| row()).collect()).collect()
}

impl Table {
    /// Its contract.
    pub(crate) fn contract(&self) -> String {
        let mut text = format!(
            "name = \"{}\"\nversion = 1\n\
             person = {{ column = \"person_number\", scope = \"organisation\" }}\n",
            self.name
        );
        for (name, kind, role) in [
            ("person_number", "int64", "identifier"),
            ("site", "utf8", "dimension"),
            ("unit", "utf8", "dimension"),
            ("amount", "decimal128(12,2)", "measure"),
        ] {
            text.push_str(&format!(
                "[[columns]]\nname = \"{name}\"\ntype = \"{kind}\"\nroles = [\"{role}\"]\n"
            ));
        }
        text
    }

    pub(crate) fn csv(&self) -> String {
        let mut text = "person_number,site,unit,amount\n".to_owned();
        for Row { person, place: (site, unit), amount } in &self.rows {
            let person = person.map(|number| number.to_string()).unwrap_or_default();
            let amount = amount.map(hundredths).unwrap_or_default();
            text.push_str(&format!("{person},{site},{unit},{amount}\n"));
        }
        text
    }

    /// The rows of every place of the crosstab, of those too that nobody is in.
    pub(crate) fn places(&self) -> BTreeMap<Place, Vec<&Row>> {
        let mut places = BTreeMap::new();
        for Row { place: (site, _), .. } in &self.rows {
            for Row { place: (_, unit), .. } in &self.rows {
                places.entry((*site, *unit)).or_insert_with(Vec::new);
            }
        }
        for row in &self.rows {
            places.entry(row.place).or_default().push(row);
        }
        places
    }
}

/// A number of hundredths as SQL and CSV write it.
pub(crate) fn hundredths(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", number.abs() / 100, number.abs() % 100)
}
