//! Presets: named, sourced sets of disclosure rules, and a node's policy built on one.
//!
//! A preset is a row of [`Preset::ALL`], a column per rule. A node may add rules and tighten those of
//! its preset, never loosen them. Main type: [`Policy`], built from [`PolicySettings`].

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The smallest threshold any node may be configured with, whatever its preset.
pub const K_FLOOR: u32 = 5;

/// The largest threshold a node may be configured with: the gate keeps up to k marks per group.
pub const K_MAX: u32 = 1000;

/// The largest base that numbers may be rounded to.
pub const ROUND_TO_MAX: u32 = 100;

/// Most people whose share a dominance rule may look at.
pub const DOMINANCE_N_MAX: u32 = 10;

/// A dominance rule: n people have less than this share of what a group adds up to (the (n, k) rule
/// of statistical disclosure control, as ACRO has it). A share of 1 is no rule.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dominance {
    /// How many people.
    pub n: u32,
    /// The share that is too large, above 0 and at most 1.
    pub share: f64,
}

/// A named set of disclosure rules. Every preset has G1, G2, G5 and G6.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preset {
    /// The name used in configuration and coverage.
    pub name: &'static str,
    /// G1 and G2: its threshold in people.
    pub k: u32,
    /// Whether a node may set a lower threshold, down to [`K_FLOOR`]: only where nobody published it.
    pub k_may_fall: bool,
    /// G3: whether those who do not contribute are counted as well.
    pub complement: bool,
    /// G4, p%.
    pub p_percent: Option<f64>,
    /// G4, (n, k).
    pub dominance: Option<Dominance>,
    /// G8: the base that counts and sums of whole numbers are rounded to.
    pub round_to: Option<u32>,
    /// Whose rule it is, and where it is published.
    pub source: &'static str,
    /// Where it departs from its source, and what it does not protect against.
    pub gives_up: &'static str,
}

impl Preset {
    /// All presets. The first is what a node has that names none.
    pub const ALL: [Self; 5] = [
        Self {
            name: "primary_only",
            k: 10,
            k_may_fall: true,
            complement: false,
            p_percent: None,
            dominance: None,
            round_to: None,
            source: "nobody's published rule; the number is the default threshold of ACRO, the \
                     output checker of the SACRO project",
            gives_up: "exact numbers leave; a total less its parts, a condition beside its \
                       complement, and one large contributor tell of few people",
        },
        Self {
            name: "hes",
            k: 8,
            k_may_fall: false,
            complement: false,
            p_percent: None,
            dominance: None,
            round_to: Some(5),
            source: "Hospital Episode Statistics and Emergency Care Data Set from September 2018, \
                     below the national level: 1 to 7 withheld, all else to the nearest 5, in \
                     place of secondary suppression (NHS Digital, \"Disclosure control methodology \
                     for HES and ECDS\")",
            gives_up: "it counts people where the source counts whatever a table counts, and hides \
                       nobody where the source shows 0: both are tighter. How percentages are shown \
                       is left to who prints them. Rounding does not stop what can be worked out \
                       from several cells",
        },
        Self {
            name: "opensafely",
            k: 8,
            k_may_fall: false,
            complement: false,
            p_percent: None,
            dominance: None,
            round_to: Some(5),
            source: "OpenSAFELY's rule for measures: up to 7 withheld, then to the nearest 5 \
                     (opensafely-core/ehrql, pull request 1746)",
            gives_up: "the source writes 0 for what it withholds, this one no number. A total is \
                       not the sum of rounded cells. Rounding does not stop what can be worked out \
                       from several cells",
        },
        Self {
            name: "ons_10_5",
            k: 10,
            k_may_fall: false,
            complement: false,
            p_percent: None,
            dominance: None,
            round_to: Some(5),
            source: "under 10 withheld, all else to the nearest 5: the rule of the table that the \
                     Office for National Statistics ships with its package cell-key-perturbation \
                     (ptable_10_5)",
            gives_up: "nothing is perturbed. Rounding does not stop what can be worked out from \
                       several cells",
        },
        Self {
            name: "sacro",
            k: 10,
            k_may_fall: false,
            complement: true,
            p_percent: Some(0.10),
            dominance: Some(Dominance { n: 2, share: 0.90 }),
            round_to: None,
            source: "the default configuration of ACRO, the output checker of the SACRO project: \
                     threshold 10, zeros are disclosive, (n, k) with n = 2 and 0.90, p% with 0.10",
            gives_up: "exact numbers leave; a total less its parts tells of few people. ACRO's \
                       checks of models and of degrees of freedom have no counterpart",
        },
    ];

    /// What a node has that names none.
    pub const DEFAULT: Self = Self::ALL[0];

    /// Finds a preset by its name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name == name)
    }
}

/// A node's disclosure rules as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySettings {
    /// Name of the preset.
    pub preset: String,
    /// The node's own threshold in people; the preset's when `None`.
    pub k: Option<u32>,
    /// G3: whoever does not contribute to a cell is k people or more, too.
    pub complement: bool,
    /// G4, p%: what is left of a sum without its two largest people is at least this share of the
    /// largest.
    pub p_percent: Option<f64>,
    /// G4, (n, k).
    pub dominance: Option<Dominance>,
    /// G8: the base to whose nearest multiple counts and sums of whole numbers are rounded.
    pub round_to: Option<u32>,
    /// G8: users that get values unrounded, because they round what they combine.
    pub coordinators: Vec<String>,
    /// Thresholds per table in people; none below the node's.
    pub tables: BTreeMap<String, u32>,
}

impl Default for PolicySettings {
    /// `primary_only`, and nothing more.
    fn default() -> Self {
        Self {
            preset: Preset::DEFAULT.name.to_owned(),
            k: None,
            complement: false,
            p_percent: None,
            dominance: None,
            round_to: None,
            coordinators: vec![],
            tables: BTreeMap::new(),
        }
    }
}

/// What is wrong with a node's policy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// No such preset.
    #[error("unknown preset `{name}`; the presets are: {}", names())]
    UnknownPreset {
        /// As written.
        name: String,
    },
    /// A threshold outside the limits.
    #[error("k = {k} is outside {K_FLOOR} to {K_MAX}, the limits compiled into this program")]
    Threshold {
        /// As written.
        k: u32,
    },
    /// A table's threshold that loosens the node's.
    #[error("k = {k} for table `{table}` is below the node's {node_k}; a table may only tighten")]
    Loosened {
        /// The table.
        table: String,
        /// As written.
        k: u32,
        /// The node's own.
        node_k: u32,
    },
    /// A rule that loosens the preset's.
    #[error("{key} = {told}; a node may only tighten")]
    Looser {
        /// The key of the configuration.
        key: &'static str,
        /// As written, and what the preset says.
        told: Box<str>,
    },
    /// A share that is none.
    #[error("{key} = {share} is no share; write a number above 0 and at most 1, such as 0.10")]
    Share {
        /// `p_percent` or `dominance.share`.
        key: &'static str,
        /// As written.
        share: f64,
    },
    /// A dominance rule over nobody, or over so many that nothing is left.
    #[error(
        "dominance.n = {n} is outside 1 to {DOMINANCE_N_MAX}, the limits compiled into this program"
    )]
    DominanceOf {
        /// As written.
        n: u32,
    },
    /// A base that makes nothing of a count that may be released, or rounds nothing.
    #[error(
        "round_to = {base} is outside 2 to {most}: a released count must not be rounded to zero"
    )]
    Base {
        /// As written.
        base: u32,
        /// The largest one possible: the threshold, and no more than [`ROUND_TO_MAX`].
        most: u32,
    },
    /// Users who are to round what is not rounded.
    #[error(
        "`coordinators` are those who round what they combine; say `round_to`, or leave it out"
    )]
    NothingToRound,
}

fn names() -> String {
    Preset::ALL.map(|preset| preset.name).join(", ")
}

/// A node's own disclosure policy: its preset, as far as it was not tightened.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    preset: Preset,
    /// The rules in force. Its name is that of the preset.
    rules: Preset,
    /// Users that get values unrounded.
    coordinators: BTreeSet<String>,
    /// Thresholds per table.
    tables: BTreeMap<String, u32>,
}

impl Policy {
    /// Builds a policy from what is configured.
    ///
    /// # Errors
    /// [`PolicyError`] for an unknown preset, a number out of limits, or a rule that loosens the
    /// preset's or a table that loosens the node's.
    pub fn new(settings: &PolicySettings) -> Result<Self, PolicyError> {
        let preset = Preset::of(&settings.preset)
            .ok_or_else(|| PolicyError::UnknownPreset { name: settings.preset.clone() })?;
        let k = settings.k.unwrap_or(preset.k);
        for threshold in std::iter::once(k).chain(settings.tables.values().copied()) {
            if !(K_FLOOR..=K_MAX).contains(&threshold) {
                return Err(PolicyError::Threshold { k: threshold });
            }
        }
        let looser = settings.tables.iter().find(|(_, threshold)| **threshold < k);
        if let Some((table, threshold)) = looser {
            return Err(PolicyError::Loosened { table: table.clone(), k: *threshold, node_k: k });
        }
        check_shares(settings)?;
        let rules = tightened(preset, k, settings)?;
        let most = k.min(ROUND_TO_MAX);
        match rules.round_to {
            Some(base) if !(2..=most).contains(&base) => {
                return Err(PolicyError::Base { base, most });
            }
            None if !settings.coordinators.is_empty() => return Err(PolicyError::NothingToRound),
            Some(_) | None => {}
        }
        Ok(Self {
            preset,
            rules,
            coordinators: settings.coordinators.iter().cloned().collect(),
            tables: settings.tables.clone(),
        })
    }

    /// The preset.
    pub fn preset(&self) -> Preset {
        self.preset
    }

    /// G3: whether those who do not contribute are counted as well.
    pub fn complement(&self) -> bool {
        self.rules.complement
    }

    /// G4, p%: the smallest share of the largest person that must be left without the two largest.
    pub fn p_percent(&self) -> Option<f64> {
        self.rules.p_percent
    }

    /// G4, (n, k): the largest share of n people.
    pub fn dominance(&self) -> Option<Dominance> {
        self.rules.dominance
    }

    /// G8: the base that numbers are rounded to.
    pub fn round_to(&self) -> Option<u32> {
        self.rules.round_to
    }

    /// Tells whether `client` rounds what it combines, so that the node does not.
    pub fn rounds_itself(&self, client: &str) -> bool {
        self.coordinators.contains(client)
    }

    /// The threshold for a question over `tables`: the largest of theirs. People.
    pub fn k_for<'a>(&self, tables: impl IntoIterator<Item = &'a str>) -> u32 {
        tables
            .into_iter()
            .filter_map(|table| self.tables.get(table).copied())
            .chain(std::iter::once(self.rules.k))
            .max()
            .unwrap_or(self.rules.k)
    }

    /// Name of the preset as labelled in coverage; a plus says the node is stricter than it.
    pub fn label(&self) -> String {
        let same = Preset { k: self.preset.k, ..self.rules } == self.preset;
        let stricter = self.rules.k > self.preset.k || !self.tables.is_empty() || !same;
        format!("{}{}", self.preset.name, if stricter { "+" } else { "" })
    }

    /// First 16 hex digits of the SHA-256 over the policy, for ledger and coverage.
    pub fn hash(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.preset.name);
        hasher.update(self.rules.k.to_le_bytes());
        for (table, k) in &self.tables {
            hasher.update(table);
            hasher.update([0]);
            hasher.update(k.to_le_bytes());
        }
        let Preset { complement, p_percent, dominance, round_to, .. } = self.rules;
        let coordinators = &self.coordinators;
        let further =
            format!("{complement} {p_percent:?} {dominance:?} {round_to:?} {coordinators:?}");
        hasher.update(further);
        crate::cell::hex16(&hasher.finalize())
    }
}

/// The preset's rules with those that a node adds or tightens.
fn tightened(preset: Preset, k: u32, settings: &PolicySettings) -> Result<Preset, PolicyError> {
    let looser = |key: &'static str, value: String, own: String| {
        let told = format!("{value} is looser than preset `{}`, which says {own}", preset.name);
        Err(PolicyError::Looser { key, told: told.into() })
    };
    if k < preset.k && !preset.k_may_fall {
        return looser("k", k.to_string(), preset.k.to_string());
    }
    let mut rules = Preset { k, complement: preset.complement || settings.complement, ..preset };
    if let Some(share) = settings.p_percent {
        if let Some(own) = preset.p_percent.filter(|own| share < *own) {
            return looser("p_percent", share.to_string(), own.to_string());
        }
        rules.p_percent = Some(share);
    }
    if let Some(rule) = settings.dominance {
        // Less for the same people, or as little for more of them.
        let holds = |own: &Dominance| rule.n >= own.n && rule.share <= own.share;
        if let Some(own) = preset.dominance.filter(|own| !holds(own)) {
            let told = |rule: Dominance| format!("{{ n = {}, share = {} }}", rule.n, rule.share);
            return looser("dominance", told(rule), told(own));
        }
        rules.dominance = Some(rule);
    }
    if let Some(base) = settings.round_to {
        // Whoever knows the nearest multiple of 15 knows less than with that of 5, not so of 7.
        if let Some(own) = preset.round_to.filter(|own| base % own != 0) {
            return looser("round_to", base.to_string(), format!("{own}, or a multiple of it"));
        }
        rules.round_to = Some(base);
    }
    Ok(rules)
}

fn check_shares(settings: &PolicySettings) -> Result<(), PolicyError> {
    let share = settings.dominance.map(|dominance| ("dominance.share", dominance.share));
    let shares = settings.p_percent.map(|share| ("p_percent", share)).into_iter().chain(share);
    for (key, share) in shares {
        if !(share > 0.0 && share <= 1.0) {
            return Err(PolicyError::Share { key, share });
        }
    }
    match settings.dominance {
        Some(Dominance { n, .. }) if !(1..=DOMINANCE_N_MAX).contains(&n) => {
            Err(PolicyError::DominanceOf { n })
        }
        Some(_) | None => Ok(()),
    }
}

impl Default for Policy {
    /// `primary_only` at its own threshold.
    fn default() -> Self {
        let (preset, rules) = (Preset::DEFAULT, Preset::DEFAULT);
        Self { preset, rules, coordinators: BTreeSet::new(), tables: BTreeMap::new() }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    fn settings(preset: &str) -> PolicySettings {
        PolicySettings { preset: preset.to_owned(), ..PolicySettings::default() }
    }

    #[test]
    fn presets_have_the_numbers_of_their_sources() {
        let nk = Some(Dominance { n: 2, share: 0.90 });
        for (name, k, complement, p_percent, dominance, round_to) in [
            ("primary_only", 10, false, None, None, None),
            ("hes", 8, false, None, None, Some(5)),
            ("opensafely", 8, false, None, None, Some(5)),
            ("ons_10_5", 10, false, None, None, Some(5)),
            ("sacro", 10, true, Some(0.10), nk, None),
        ] {
            let policy = Policy::new(&settings(name)).unwrap();
            assert_eq!(policy.label(), name);
            assert_eq!(policy.k_for([]), k, "{name}");
            assert_eq!(policy.complement(), complement, "{name}");
            assert_eq!(policy.p_percent(), p_percent, "{name}");
            assert_eq!(policy.dominance(), dominance, "{name}");
            assert_eq!(policy.round_to(), round_to, "{name}");
        }
        let names: BTreeSet<_> = Preset::ALL.iter().map(|preset| preset.name).collect();
        assert_eq!(names.len(), Preset::ALL.len());
        assert!(Preset::ALL.iter().all(|preset| preset.k >= K_FLOOR));
        assert_eq!(Policy::new(&PolicySettings::default()).unwrap(), Policy::default());
    }

    #[test]
    fn a_node_tightens_its_preset_and_says_so() {
        let nk = |n, share| Some(Dominance { n, share });
        let tables = BTreeMap::from([("pathway".to_owned(), 12)]);
        for tighter in [
            PolicySettings { k: Some(9), ..settings("hes") },
            PolicySettings { complement: true, ..settings("hes") },
            PolicySettings { k: Some(10), round_to: Some(10), ..settings("hes") },
            PolicySettings { p_percent: Some(0.2), ..settings("sacro") },
            PolicySettings { dominance: nk(2, 0.85), ..settings("sacro") },
            PolicySettings { dominance: nk(3, 0.90), ..settings("sacro") },
            PolicySettings { round_to: Some(5), ..settings("sacro") },
            PolicySettings { tables, ..settings("ons_10_5") },
        ] {
            let policy = Policy::new(&tighter).unwrap();
            assert_eq!(policy.label(), format!("{}+", tighter.preset));
            assert_ne!(policy.hash(), Policy::new(&settings(&tighter.preset)).unwrap().hash());
        }
        // What says the same again is as strict as before.
        let same = PolicySettings {
            k: Some(10),
            complement: true,
            p_percent: Some(0.10),
            dominance: nk(2, 0.90),
            ..settings("sacro")
        };
        assert_eq!(Policy::new(&same).unwrap(), Policy::new(&settings("sacro")).unwrap());
    }

    #[test]
    fn nobody_loosens_a_published_preset() {
        let nk = |n, share| Some(Dominance { n, share });
        for (looser, key) in [
            (PolicySettings { k: Some(7), ..settings("hes") }, "k"),
            (PolicySettings { k: Some(9), ..settings("sacro") }, "k"),
            (PolicySettings { p_percent: Some(0.05), ..settings("sacro") }, "p_percent"),
            (PolicySettings { dominance: nk(2, 0.95), ..settings("sacro") }, "dominance"),
            (PolicySettings { dominance: nk(1, 0.90), ..settings("sacro") }, "dominance"),
            (PolicySettings { round_to: Some(3), ..settings("ons_10_5") }, "round_to"),
            (PolicySettings { round_to: Some(7), ..settings("opensafely") }, "round_to"),
        ] {
            let error = Policy::new(&looser).unwrap_err();
            let named = matches!(&error, PolicyError::Looser { key: named, .. } if *named == key);
            assert!(named, "{looser:?}: {error}");
        }
        let own = PolicySettings { k: Some(K_FLOOR), ..settings("primary_only") };
        assert_eq!(Policy::new(&own).unwrap().label(), "primary_only");
        let below = PolicySettings { k: Some(K_FLOOR - 1), ..settings("primary_only") };
        assert_eq!(Policy::new(&below), Err(PolicyError::Threshold { k: K_FLOOR - 1 }));
    }

    #[test]
    fn an_unknown_preset_is_told_with_those_there_are() {
        let error = Policy::new(&settings("strictest")).unwrap_err().to_string();
        assert!(Preset::ALL.iter().all(|preset| error.contains(preset.name)), "{error}");
    }
}
