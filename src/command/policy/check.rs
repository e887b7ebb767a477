//! `hedgerow policy check`: a node's disclosure rules in plain words.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use hedgerow_catalog::{Contracts, ServerConfig};
use hedgerow_policies::{Dominance, Policy, Preset, Rule};

use super::page::Page;
use super::{load, table};
use crate::command::error::CommandError;
use crate::shell::ShellError;

/// Check a node's configuration and contracts, and say in plain words what its rules are.
///
/// For whoever answers for the organisation's data. No data file is opened. What is wrong is named
/// by file and line, with exit code 2.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The node's configuration, as `hedgerow serve --config` takes it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Check {
    /// Prints the page.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let (config, contracts) = load(&self.file)?;
        // A configuration that was loaded has a policy that holds.
        let policy = Policy::new(&config.policy).unwrap_or_default();
        let written = write(&config, &contracts, &policy, &mut io::stdout().lock());
        Ok(written.map_err(ShellError::Write)?)
    }
}

fn write(
    config: &ServerConfig,
    contracts: &Contracts,
    policy: &Policy,
    out: &mut dyn Write,
) -> io::Result<()> {
    let page = &mut Page::new(&mut *out);
    let organisation = config.organisation.as_deref().unwrap_or_default();
    page.line(&format!("Disclosure rules of the node of `{organisation}`"))?;
    write_rules(page, config, policy)?;
    let served = || config.tables.keys().filter_map(|name| contracts.get(name));
    for contract in served() {
        if let Some(person) = contract.person() {
            table::write(page, contract, person, policy.k_for([contract.name.as_str()]))?;
        }
    }
    let open = served().filter(|contract| !contract.is_protected());
    let open: Vec<String> = open.map(|contract| contract.name.clone()).collect();
    page.heading("Open tables, whose rows are about nobody and may leave")?;
    page.names("tables", &open)?;
    page.heading("Always refused over protected tables, whatever is configured")?;
    for rule in Rule::ALL {
        page.entry(rule.id(), rule.explanation())?;
    }
    out.flush()
}

fn write_rules(page: &mut Page<'_>, config: &ServerConfig, policy: &Policy) -> io::Result<()> {
    let k = policy.k_for([]);
    page.heading("Rules on what may leave")?;
    page.entry("preset", &preset(policy.preset()))?;
    page.entry("k", &format!("{k}: no group and no cell of fewer than {k} people"))?;
    page.entry("complement", &complement(policy.complement(), k))?;
    page.entry("p_percent", &p_percent(policy.p_percent()))?;
    page.entry("dominance", &dominance(policy.dominance()))?;
    page.entry("round_to", &round_to(policy.round_to()))?;
    page.entry("coordinators", &coordinators(&config.policy.coordinators))?;
    let ledger = match &config.ledger {
        Some(_) => "kept: one record for each cell that left",
        None => "not kept: nothing records what left; add `[ledger]`",
    };
    page.entry("not protected", policy.preset().gives_up)?;
    page.entry("ledger", ledger)
}

fn preset(preset: Preset) -> String {
    format!(
        "{}: groups of too few people are left out with their key, a cell that too few people \
         contribute to is withheld, and the rules below. After {}",
        preset.name, preset.source
    )
}

fn complement(on: bool, k: u32) -> String {
    match on {
        true => format!(
            "yes: those of a group who are left out of a cell by a condition or an empty value must \
             be {k} or more, too"
        ),
        false => {
            "no: those who are left out of a cell are not counted, so a cell beside its total \
                  may tell of a few people"
                .to_owned()
        }
    }
}

fn p_percent(share: Option<f64>) -> String {
    match share {
        Some(share) => format!(
            "{share}: a total is withheld where what is left of it without its two largest people \
             is less than {} of the largest",
            percent(share)
        ),
        None => "not set: one or two people may be most of a total".to_owned(),
    }
}

fn dominance(rule: Option<Dominance>) -> String {
    match rule {
        Some(Dominance { n, share }) => format!(
            "n = {n}, share = {share}: a total is withheld where its largest people, {n} in number, \
             have {} of it or more",
            percent(share)
        ),
        None => "not set: no limit on the share that a few people have of a total".to_owned(),
    }
}

fn percent(share: f64) -> String {
    // Shares are written with few digits; more would be noise of the conversion.
    let hundredths = (share * 1_000_000.0).round() / 10_000.0;
    format!("{hundredths} %")
}

fn round_to(base: Option<u32>) -> String {
    match base {
        Some(base) => {
            format!("{base}: counts and sums of whole numbers go to the nearest multiple of {base}")
        }
        None => "not set: numbers leave as they are".to_owned(),
    }
}

fn coordinators(names: &[String]) -> String {
    match names {
        [] => "none: nobody gets numbers unrounded where they are rounded".to_owned(),
        names => {
            format!("{}: get numbers unrounded and round what they combine", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_told_in_plain_words() {
        assert!(p_percent(Some(0.1)).contains("10 % of the largest"));
        assert!(dominance(Some(Dominance { n: 2, share: 0.85 })).contains("85 % of it or more"));
        assert!(round_to(Some(5)).contains("multiple of 5"));
        assert!(complement(true, 12).contains("12 or more"));
        assert!(coordinators(&["hub".to_owned()]).starts_with("hub: "));
        for unset in [p_percent(None), dominance(None), round_to(None)] {
            assert!(unset.starts_with("not set"), "{unset}");
        }
    }
}
