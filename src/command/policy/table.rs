//! What one protected table's contract lets analysts ask, in plain words.

use std::io;

use hedgerow_policies::{ColumnContract, PersonColumn, Role, Scope, TableContract};

use super::page::Page;

/// Writes the section of one protected table, whose threshold is `k` people.
pub(super) fn write(
    page: &mut Page<'_>,
    contract: &TableContract,
    person: &PersonColumn,
    k: u32,
) -> io::Result<()> {
    page.heading(&format!("Table `{}`, version {}", contract.name, contract.version))?;
    page.entry("whose rows", &whose_rows(contract, person))?;
    page.entry("threshold", &format!("{k} people"))?;
    page.names("group keys allowed", &keys(contract))?;
    page.names("group keys in bands", &columns(contract, is_only_measured))?;
    page.names("summed or averaged", &columns(contract, is_measured))?;
    page.names("spread, correlation", &columns(contract, |c| is_only_measured(c) && c.continuous))?;
    page.names("products summed", &products(contract))?;
    page.names("only joins", &columns(contract, is_identifier))?;
    page.names("percentiles", &percentiles(contract))?;
    page.names("not visible", &columns(contract, |c| c.roles.is_empty()))?;
    page.entry("always refused", &refused(contract, person))
}

fn whose_rows(contract: &TableContract, person: &PersonColumn) -> String {
    let scope = match person.scope {
        Scope::Organisation => "numbered by this organisation alone",
        Scope::Federation => "numbered alike across the federation",
    };
    let rows = match contract.one_row_per_person() {
        true => "one row for each",
        false => "there may be several rows for each",
    };
    format!("the people of `{}`, {scope}; {rows}", person.column)
}

/// An identifier stays one, whatever other roles it holds.
fn is_identifier(column: &ColumnContract) -> bool {
    column.has_role(Role::Identifier)
}

fn is_key(column: &ColumnContract) -> bool {
    !is_identifier(column) && (column.has_role(Role::Dimension) || column.has_role(Role::Open))
}

fn is_measured(column: &ColumnContract) -> bool {
    !is_identifier(column) && column.has_role(Role::Measure)
}

fn is_only_measured(column: &ColumnContract) -> bool {
    is_measured(column) && !is_key(column)
}

fn columns(contract: &TableContract, which: impl Fn(&ColumnContract) -> bool) -> Vec<String> {
    let columns = contract.columns.iter().filter(|column| which(column));
    columns.map(|column| column.name.clone()).collect()
}

fn keys(contract: &TableContract) -> Vec<String> {
    let own = columns(contract, is_key);
    std::iter::once(TableContract::ORGANISATION.to_owned()).chain(own).collect()
}

fn products(contract: &TableContract) -> Vec<String> {
    contract.products.iter().map(|(a, b)| format!("{a} × {b}")).collect()
}

fn percentiles(contract: &TableContract) -> Vec<String> {
    let binned = contract.columns.iter().filter(|c| is_measured(c) && !c.bins.is_empty());
    binned
        .map(|column| {
            let bins = column.bins.len().saturating_sub(1);
            format!("{} (estimated from {bins} bins)", column.name)
        })
        .collect()
}

fn refused(contract: &TableContract, person: &PersonColumn) -> String {
    let mut parts = vec![
        "rows".to_owned(),
        "the smallest or largest value of anything".to_owned(),
        format!("looking up a value of {}", among(&columns(contract, is_identifier))),
        format!("joins to other protected tables that do not equate `{}`", person.column),
    ];
    let measures = columns(contract, is_only_measured);
    if !measures.is_empty() {
        parts.push(format!("grouping by {} without bands", among(&measures)));
    }
    parts.push("two different questions in one statement".to_owned());
    parts.join("; ")
}

/// `a`, `a` or `b`.
fn among(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use hedgerow_catalog::Contracts;

    use super::*;

    const CONTRACT: &str = r#"
name = "spell"
version = 2
description = "Stays"
protection = "protected"
reference = false
person = { column = "person_number", scope = "organisation" }
keys = [["spell_number"]]
products = [["cost", "days"]]

[[columns]]
name = "spell_number"
type = "int64"
roles = ["identifier"]
nullable = false
description = "Number"

[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
nullable = false
description = "Person"

[[columns]]
name = "ward"
type = "utf8"
roles = ["dimension"]
nullable = false
description = "Ward"

[[columns]]
name = "days"
type = "int32"
roles = ["measure"]
nullable = false
continuous = true
bins = [0, 7, 14]
description = "Days"

[[columns]]
name = "cost"
type = "float64"
roles = ["measure"]
nullable = false
description = "Cost"

[[columns]]
name = "note"
type = "utf8"
roles = []
nullable = true
description = "Note"
"#;

    #[test]
    fn every_column_is_placed() {
        let contracts = Contracts::from_toml("spell.toml", CONTRACT).unwrap();
        let contract = contracts.get("spell").unwrap();
        let mut out = vec![];
        write(&mut Page::new(&mut out), contract, contract.person().unwrap(), 15).unwrap();
        let text = String::from_utf8(out).unwrap();
        for line in [
            "Table `spell`, version 2",
            "  threshold             15 people",
            "  group keys allowed    organisation, ward",
            "  group keys in bands   days, cost",
            "  summed or averaged    days, cost",
            "  spread, correlation   days",
            "  products summed       cost × days",
            "  only joins            spell_number, person_number",
            "  percentiles           days (estimated from 2 bins)",
            "  not visible           note",
        ] {
            assert!(text.lines().any(|written| written == line), "no {line} in:\n{text}");
        }
        assert!(text.contains("`spell_number` or `person_number`"), "{text}");
    }
}
