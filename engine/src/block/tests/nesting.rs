//! Every operator inside every other, on each side, in parentheses and bare.
//!
//! What a bare one means is the parser's choice; the block must keep it.

use super::Bench;
use crate::block::emit;

/// What a form yields, or wants in a place: `?b` Boolean, `?i` integer, `?s` text.
const FORMS: [(char, &str); 45] = [
    ('b', "?b AND ?b"),
    ('b', "?b OR ?b"),
    ('b', "NOT ?b"),
    ('b', "?b IS NULL"),
    ('b', "?b IS NOT NULL"),
    ('b', "?b IS TRUE"),
    ('b', "?b IS NOT TRUE"),
    ('b', "?b IS FALSE"),
    ('b', "?b IS NOT FALSE"),
    ('b', "?b IS UNKNOWN"),
    ('b', "?b IS NOT UNKNOWN"),
    ('b', "?b = ?b"),
    ('b', "?i = ?i"),
    ('b', "?i <> ?i"),
    ('b', "?i < ?i"),
    ('b', "?i <= ?i"),
    ('b', "?i > ?i"),
    ('b', "?i >= ?i"),
    ('b', "?i IS DISTINCT FROM ?i"),
    ('b', "?i IS NOT DISTINCT FROM ?i"),
    ('b', "?i BETWEEN ?i AND ?i"),
    ('b', "?i NOT BETWEEN ?i AND ?i"),
    ('b', "?i IN (?i, ?i)"),
    ('b', "?i NOT IN (?i)"),
    ('b', "?s LIKE ?s"),
    ('b', "?s NOT ILIKE ?s"),
    ('b', "?s ~ 'a'"),
    ('b', "?s !~* 'a'"),
    ('i', "- ?i"),
    ('i', "?i + ?i"),
    ('i', "?i - ?i"),
    ('i', "?i * ?i"),
    ('i', "?i / 3"),
    ('i', "?i % 3"),
    ('i', "?i & ?i"),
    ('i', "?i | ?i"),
    ('i', "?i ^ ?i"),
    ('i', "?i << ?i"),
    ('i', "?i >> ?i"),
    // By way of text: DataFusion takes `n ^ n` for 0 even where `n` is NULL, and a cast that changes
    // nothing for nothing.
    ('i', "?i::TEXT::BIGINT"),
    ('i', "CASE WHEN ?b THEN ?i ELSE ?i END"),
    ('i', "CASE ?i WHEN ?i THEN ?i END"),
    ('i', "CAST(?b AS INT)"),
    ('s', "?s || ?s"),
    ('s', "?i::TEXT"),
];

/// Fills the places of a form with columns, but for one place.
fn filled(form: &str, place: usize, with: &str) -> String {
    let mut text = String::new();
    for (index, part) in form.split('?').enumerate() {
        match part.chars().next() {
            Some(kind) if index > 0 => {
                let column = match (kind, index % 2) {
                    ('b', 1) => "b",
                    ('b', _) => "c",
                    ('i', 1) => "n",
                    ('i', _) => "i32",
                    (_, 1) => "s",
                    _ => "t",
                };
                text.push_str(if index == place { with } else { column });
                text.push_str(&part[1..]);
            }
            _ => text.push_str(part),
        }
    }
    text
}

/// Every form in every place of `outer` that takes what it yields.
fn inside(outer: &str, parenthesised: bool) -> Vec<String> {
    let mut texts = vec![];
    for (index, part) in outer.split('?').enumerate().skip(1) {
        for (_, inner) in FORMS.iter().filter(|(kind, _)| part.starts_with(*kind)) {
            let inner = filled(inner, 0, "");
            let inner = if parenthesised { format!("({inner})") } else { inner };
            texts.push(filled(outer, index, &inner));
        }
    }
    texts
}

fn statement(columns: &[String]) -> String {
    let columns: Vec<String> =
        columns.iter().enumerate().map(|(i, column)| format!("{column} AS x{i}")).collect();
    format!("SELECT {} FROM things", columns.join(", "))
}

#[test]
fn every_operator_inside_every_other_keeps_its_meaning() {
    let bench = Bench::new(1);
    let mut columns = 0;
    for (_, outer) in FORMS {
        let mut texts = inside(outer, true);
        // Bare, some have no type that fits.
        let bare = inside(outer, false);
        texts.extend(bare.into_iter().filter(|text| reads(&bench, text)));
        columns += texts.len();
        let written = statement(&texts);
        let plan = bench.plan(&written).unwrap();
        let block = bench.block(&written).unwrap();
        let text = bench.proved(&block).unwrap();
        if let Some(difference) = bench.difference(&block, &text, &bench.answer(&plan)) {
            panic!("{outer}: {difference}\n{}", emit(&block));
        }
    }
    assert!(columns > 2000, "{columns}");
}

fn reads(bench: &Bench, column: &str) -> bool {
    bench.plan(&statement(&[column.to_owned()])).is_ok_and(|plan| {
        bench
            .state
            .analyzer()
            .execute_and_check(plan, bench.state.config_options(), |_, _| {})
            .is_ok()
    })
}
