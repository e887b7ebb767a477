//! The proof can fail: texts that were changed on purpose do not read back as their block.

use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::corpus::{Claim, entries};
use super::{Bench, in_parts, lower};
use crate::block::emit;

/// How many changes of each sort are tried on one text.
const EACH: usize = 2;

/// Words of the emitter and what to write in their place.
const WORDS: [(&str, &str); 26] = [
    (" = ", " <> "),
    (" <> ", " = "),
    (" < ", " <= "),
    (" <= ", " < "),
    (" > ", " >= "),
    (" + ", " - "),
    (" - ", " + "),
    (" * ", " + "),
    (" / ", " % "),
    (" AND ", " OR "),
    (" OR ", " AND "),
    (" IS NOT ", " IS "),
    (" NOT IN ", " IN "),
    (" NOT LIKE ", " LIKE "),
    (" NOT BETWEEN ", " BETWEEN "),
    (" LIKE ", " ILIKE "),
    ("(NOT ", "("),
    ("(- ", "("),
    ("DISTINCT ", ""),
    ("TRUE", "FALSE"),
    (" ELSE ", " WHEN TRUE THEN "),
    ("'Int64'", "'Int32'"),
    ("PARTITION BY ", "ORDER BY "),
    ("ROWS BETWEEN", "GROUPS BETWEEN"),
    (" PRECEDING AND", " FOLLOWING AND"),
    (" DESC NULLS", " ASC NULLS"),
];

#[derive(Default, Debug)]
struct Tally {
    words: usize,
    constants: usize,
    parentheses: usize,
    needless_parentheses: usize,
    run: usize,
    answered_otherwise: usize,
    undetected: Vec<String>,
}

impl Tally {
    fn join(mut self, other: Self) -> Self {
        self.words += other.words;
        self.constants += other.constants;
        self.parentheses += other.parentheses;
        self.needless_parentheses += other.needless_parentheses;
        self.run += other.run;
        self.answered_otherwise += other.answered_otherwise;
        self.undetected.extend(other.undetected);
        self
    }
}

#[test]
fn a_changed_text_is_found_out() {
    let mut blocks = entries();
    blocks.retain(|entry| entry.claim == Claim::Block);
    let tallies = in_parts(&blocks, |part| {
        let bench = Bench::new(1);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut tally = Tally::default();
        for entry in part {
            change(&bench, &entry.text, &mut random, &mut tally);
        }
        tally
    });
    let tally = tallies.into_iter().reduce(Tally::join).unwrap();
    assert!(tally.undetected.is_empty(), "{}", tally.undetected.join("\n"));
    assert!(tally.words > 300 && tally.constants > 200 && tally.parentheses > 200, "{tally:?}");
    // Most parentheses only make sure: the block is the same without them.
    assert!(tally.parentheses > tally.needless_parentheses + 20, "{tally:?}");
    assert!(tally.run > 50 && tally.answered_otherwise * 3 > tally.run * 2, "{tally:?}");
}

fn change(bench: &Bench, written: &str, random: &mut ChaCha8Rng, tally: &mut Tally) {
    let block = bench.block(written).unwrap();
    let text = emit(&block);
    let is_detected = |changed: &str| bench.block(changed).as_ref() != Ok(&block);
    for changed in words(&text).choose_multiple(random, EACH) {
        tally.words += 1;
        if !is_detected(changed) {
            tally.undetected.push(format!("{text}\n{changed}"));
        }
    }
    for changed in constants(&text).choose_multiple(random, EACH) {
        tally.constants += 1;
        if !is_detected(changed) {
            tally.undetected.push(format!("{text}\n{changed}"));
        }
    }
    for changed in without_parentheses(&text).choose_multiple(random, EACH) {
        tally.parentheses += 1;
        tally.needless_parentheses += usize::from(!is_detected(changed));
    }
    // Answers differ as well, where the changed text has one and the data can tell.
    if let Some(changed) = words(&text).choose(random)
        && let Ok(plan) = bench.plan(changed)
        && lower(&plan).is_ok()
        && random.random_bool(0.5)
    {
        tally.run += 1;
        let differs = bench.answer(&plan).difference(&bench.answer_text(&text)).is_some();
        tally.answered_otherwise += usize::from(differs);
    }
}

/// Whether a quote is open before each byte: `'`, `"` or none.
fn quotes(text: &str) -> Vec<Option<u8>> {
    let mut open = None;
    text.bytes()
        .map(|byte| {
            let before = open;
            match open {
                None if byte == b'\'' || byte == b'"' => open = Some(byte),
                Some(quote) if quote == byte => open = None,
                _ => {}
            }
            before
        })
        .collect()
}

fn words(text: &str) -> Vec<String> {
    let quotes = quotes(text);
    let replaced = |(word, other): &(&str, &str)| {
        let starts = text.match_indices(*word).map(|(at, _)| at);
        let outside = starts.filter(|at| quotes[*at].is_none());
        outside
            .map(|at| format!("{}{other}{}", &text[..at], &text[at + word.len()..]))
            .collect::<Vec<_>>()
    };
    WORDS.iter().flat_map(replaced).collect()
}

/// Every text constant with a digit before it.
fn constants(text: &str) -> Vec<String> {
    let quotes = quotes(text);
    let starts = text.match_indices('\'').map(|(at, _)| at + 1);
    let opening =
        starts.filter(|at| quotes[at - 1].is_none() && quotes.get(*at) == Some(&Some(b'\'')));
    opening.map(|at| format!("{}1{}", &text[..at], &text[at..])).collect()
}

/// Leaves out a pair of parentheses that belongs to no call.
fn without_parentheses(text: &str) -> Vec<String> {
    let quotes = quotes(text);
    let mut open = vec![];
    let mut found = vec![];
    for (at, byte) in text.bytes().enumerate().filter(|(at, _)| quotes[*at].is_none()) {
        match byte {
            b'(' => open.push(at),
            b')' => {
                let start = open.pop().unwrap();
                if text[..start].ends_with([' ', '(']) && !text[..start].ends_with(" IN ") {
                    let inner = &text[start + 1..at];
                    found.push(format!("{}{inner}{}", &text[..start], &text[at + 1..]));
                }
            }
            _ => {}
        }
    }
    found
}
