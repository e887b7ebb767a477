//! What can be wrong with contracts, configuration and tables. Main type: [`CatalogError`].
//!
//! Messages name files as they are written in the configuration and never contain a data value.

use std::fmt;
use std::path::PathBuf;

use hedgerow_policies::{ContractViolation, PolicyError};

/// Everything that stops a server from starting because of its files.
///
/// A table whose data do not fit its contract is no error: see
/// [`TableState::Drifted`](crate::TableState::Drifted).
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or folder of the configuration that cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the configuration larger than the limit.
    #[error("`{}` has {bytes} bytes; the limit is {bytes_max}", path.display())]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Text that is not TOML, or a value of the wrong kind.
    #[error("`{file}` line {line}: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The parser's own message.
        message: String,
    },
    /// A key that does not exist.
    #[error("unknown key `{key}` in `{file}` line {line}{nearest}")]
    UnknownKey {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key as written.
        key: String,
        /// What may have been meant.
        nearest: Nearest,
    },
    /// A word that is not among those a key takes.
    #[error("unknown value `{value}` in `{file}` line {line}{nearest}")]
    UnknownValue {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The value as written.
        value: String,
        /// What may have been meant.
        nearest: Nearest,
    },
    /// A required key that is not there.
    #[error("key `{key}` is missing in `{file}` line {line}")]
    MissingKey {
        /// The file.
        file: String,
        /// First line of the table that needs it.
        line: usize,
        /// The key.
        key: String,
    },
    /// A contract that contradicts itself.
    #[error("contract `{file}` line {line}: {problem}")]
    Contract {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        problem: ContractProblem,
    },
    /// Two contracts of one name.
    #[error("contract `{name}` is defined in `{first}` and again in `{second}`")]
    DuplicateContract {
        /// The contract's name.
        name: String,
        /// The file read first.
        first: String,
        /// The file read second.
        second: String,
    },
    /// A configuration that contradicts itself.
    #[error("`{key}` in `{file}` line {line}: {problem}")]
    Config {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What is wrong.
        problem: ConfigProblem,
    },
    /// A `[tables.NAME]` for which there is no contract.
    #[error("`[tables.{name}]` has no contract of that name{nearest}")]
    NoContract {
        /// The table's name.
        name: String,
        /// The contract that may have been meant.
        nearest: Nearest,
    },
    /// A bug in this crate or a task that was cancelled.
    #[error("internal error: reading tables was interrupted")]
    Internal(#[source] tokio::task::JoinError),
}

/// What is wrong with one contract.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ContractProblem {
    /// A rule of [`TableContract::validate`](hedgerow_policies::TableContract::validate).
    #[error(transparent)]
    Violation(#[from] ContractViolation),
    /// A contract without columns.
    #[error("a contract needs at least one `[[columns]]`")]
    NoColumns,
    /// A range whose ends are the wrong way round or no numbers.
    #[error("column `{column}`: `range` must be two finite numbers, the smaller first")]
    Range {
        /// The column.
        column: String,
    },
    /// Bin edges out of order.
    #[error("column `{column}`: `bins` must be finite numbers, each larger than the one before")]
    Bins {
        /// The column.
        column: String,
    },
    /// The person column's two scopes differ.
    #[error("column `{column}`: `scope` differs from the scope in `person`")]
    PersonScope {
        /// The column.
        column: String,
    },
}

/// What is wrong with a configuration that is well-formed TOML.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigProblem {
    /// No role at all.
    #[error(
        "this server would be neither node nor coordinator: add `[tables.NAME]` or `[[federation.nodes]]`"
    )]
    NoRole,
    /// A node without a name.
    #[error("a server with `[tables.NAME]` is a node and needs `organisation`")]
    NodeWithoutOrganisation,
    /// A name outside `[a-z_][a-z0-9_]*`.
    #[error("`{name}` must be lower-case letters, digits and `_`, not starting with a digit")]
    Name {
        /// The name as written.
        name: String,
    },
    /// A limit of zero.
    #[error("must be 1 or more")]
    Zero,
    /// Both a path and a mapping, or neither.
    #[error("needs either `path` or `sql`, and not both")]
    PathOrSql,
    /// Both a text and a file of it, or neither.
    #[error("needs either `sql` or `file`, and not both")]
    SqlOrFile,
    /// A mapping or a Parquet source with keys that only CSV files take.
    #[error("only CSV files take this key")]
    OnlyCsv,
    /// A mapping with keys that describe files.
    #[error("belongs to a `path`; a table with `sql` reads `[sources.NAME]`")]
    OnlyPath,
    /// A file name that does not tell its format.
    #[error(
        "cannot tell the format from the file's ending; add `format = \"parquet\"` or `format = \"csv\"`"
    )]
    Format,
    /// A delimiter that is not one ASCII character.
    #[error("must be one ASCII character, for example \",\" or \"\\t\"")]
    Delimiter,
    /// An address that is no URL of a node.
    #[error("must begin with `https://` and name a host")]
    Url,
    /// One organisation with two addresses.
    #[error("organisation `{organisation}` is listed twice")]
    DuplicateNode {
        /// The organisation.
        organisation: String,
    },
    /// A federation with the id of one of its own nodes.
    #[error(
        "`{organisation}` is the id of the federation itself and of one of its organisations; give the federation an id of its own"
    )]
    OwnNode {
        /// The id.
        organisation: String,
    },
    /// A table for which there is no contract.
    #[error("there is no contract of that name in the folder `contracts`{nearest}")]
    TableWithoutContract {
        /// The contract that may have been meant.
        nearest: Nearest,
    },
    /// A policy that does not hold.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A policy for a table that this server does not have.
    #[error("there is no `[tables.{table}]`{nearest}")]
    PolicyWithoutTable {
        /// The table named.
        table: String,
        /// What may have been meant.
        nearest: Nearest,
    },
}

/// The known name closest to one that is not known, if any is close. Displays as
/// `; did you mean …?`, or as the list of what there is, or as nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Nearest {
    /// Nothing is known here.
    #[default]
    Nothing,
    /// A close name.
    Name(String),
    /// No close name: all there are.
    Among(Vec<String>),
}

impl Nearest {
    /// Looks for the name closest to `name`.
    pub fn find<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match closest(name, known.iter().copied()) {
            Some(close) => Self::Name(close.to_owned()),
            None if known.is_empty() => Self::Nothing,
            None => Self::Among(known.into_iter().map(str::to_owned).collect()),
        }
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Name(name) => write!(f, "; did you mean `{name}`?"),
            Self::Among(names) => write!(f, "; there are: `{}`", names.join("`, `")),
        }
    }
}

/// Similarity from which a name counts as close.
const SIMILARITY_MIN: f64 = 0.75;

/// The candidate most like `name`, if any is close; letter case does not matter.
pub(crate) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (similarity(&name, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Jaro-Winkler, but one slip in a word of three letters or more is always close: in short words
/// that measure overlooks exchanged letters.
fn similarity(a: &str, b: &str) -> f64 {
    let likeness = strsim::jaro_winkler(a, b);
    let one_slip = a.len() >= 3 && b.len() >= 3 && strsim::osa_distance(a, b) <= 1;
    if one_slip { likeness.max(SIMILARITY_MIN) } else { likeness }
}
