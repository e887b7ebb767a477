//! Statements written by hand, `corpus.sql`: which are blocks, and what those that are mean.
//!
//! Each is read as resolved, with its constants folded as a coordinator does, and as optimised, which
//! is how conditions on open tables arrive. Whatever lowers must read back and answer the same.

use std::collections::BTreeSet;

use datafusion::logical_expr::LogicalPlan;

use super::{Bench, in_parts, lower};
use crate::block::fold_constants;

/// What the corpus says of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// A block, and it has an answer.
    Block,
    /// A block whose evaluation fails on the test data.
    FailingBlock,
    /// Valid SQL that lowering or the proof refuses.
    NotABlock,
    /// Nothing that the dialect reads.
    NotRead,
}

/// One statement of the corpus.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) claim: Claim,
    pub(super) text: String,
}

/// Reads the corpus: a heading for each claim, statements that end with `;` at the end of a line.
pub(super) fn entries() -> Vec<Entry> {
    let (mut entries, mut claim, mut text) = (vec![], None, String::new());
    for line in include_str!("corpus.sql").lines() {
        if text.is_empty() && (line.is_empty() || line.starts_with("--")) {
            claim = heading(line).or(claim);
            continue;
        }
        text.push_str(line);
        match text.strip_suffix(';') {
            Some(whole) => {
                let claim = claim.expect("a heading before the first statement");
                entries.push(Entry { claim, text: whole.to_owned() });
                text.clear();
            }
            None => text.push('\n'),
        }
    }
    assert!(text.is_empty(), "unfinished: {text}");
    entries
}

fn heading(line: &str) -> Option<Claim> {
    let (claim, _) = line.strip_prefix("-- ")?.split_once(": ")?;
    Some(match claim {
        "BLOCKS" => Claim::Block,
        "BLOCKS THAT FAIL" => Claim::FailingBlock,
        "NOT BLOCKS" => Claim::NotABlock,
        "NOT READ" => Claim::NotRead,
        _ => return None,
    })
}

#[test]
fn the_corpus_is_large_and_says_nothing_twice() {
    let entries = entries();
    let texts: BTreeSet<&str> = entries.iter().map(|entry| entry.text.as_str()).collect();
    assert_eq!(texts.len(), entries.len());
    let blocks = entries.iter().filter(|entry| entry.claim == Claim::Block).count();
    assert!(blocks >= 300, "{blocks} blocks");
    let others = entries.len() - blocks;
    assert!(others >= 50, "{others} others");
}

#[test]
fn what_the_corpus_claims_is_so() {
    let failures: Vec<String> = in_parts(&entries(), |part| {
        let bench = Bench::new(1);
        part.iter()
            .filter_map(|entry| {
                let fault = check(&bench, entry).err()?;
                Some(format!("{:?}: {}\n{fault}", entry.claim, entry.text))
            })
            .collect::<Vec<_>>()
    })
    .concat();
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n\n"));
}

fn check(bench: &Bench, entry: &Entry) -> Result<(), String> {
    let plan = match (bench.plan(&entry.text), entry.claim) {
        (Ok(plan), Claim::Block | Claim::FailingBlock | Claim::NotABlock) => plan,
        (Err(_), Claim::NotRead) => return Ok(()),
        (Ok(plan), Claim::NotRead) => return Err(format!("it reads as\n{plan}")),
        (Err(error), _) => return Err(error.to_string()),
    };
    let read = |plan: &LogicalPlan| match lower(plan) {
        Ok(block) => bench.proved(&block).map(|text| (block, text)),
        Err(not) => Err(not.what),
    };
    let resolved = read(&plan);
    match (&resolved, entry.claim) {
        (Err(refusal), Claim::Block | Claim::FailingBlock) => return Err(refusal.clone()),
        (Ok((_, text)), Claim::NotABlock) => return Err(format!("it is one: {text}")),
        _ => {}
    }
    let expected = bench.answer(&plan);
    match (expected.failed(), entry.claim) {
        // `now()` has no value before a statement starts.
        (Some(_), Claim::NotABlock) => return Ok(()),
        (Some(error), Claim::Block) => return Err(format!("it failed: {error}")),
        (None, Claim::FailingBlock) => return Err("it did not fail".to_owned()),
        _ => {}
    }
    let folded = fold_constants(plan.clone(), &bench.state).map_err(|e| e.to_string())?;
    let folded = read(&folded);
    if let (Err(refusal), Ok(_)) = (&folded, &resolved) {
        return Err(format!("with constants folded: {refusal}"));
    }
    let optimised = bench.state.optimize(&plan).ok().and_then(|plan| read(&plan).ok());
    let mut told = BTreeSet::new();
    for (block, text) in resolved.into_iter().chain(folded).chain(optimised) {
        if told.insert(text.clone())
            && let Some(difference) = bench.difference(&block, &text, &expected)
        {
            return Err(format!("{text}\n{difference}"));
        }
    }
    Ok(())
}
