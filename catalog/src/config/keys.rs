//! Every key of the configuration with its unit, default and meaning, once. Defaults are constants
//! here, used both by the parser and by the reference that is generated from [`SECTIONS`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

pub(super) const LISTEN_PORT: u16 = 50051;
pub(super) const CONTRACTS: &str = "contracts";
pub(super) const LOG_FORMAT: &str = "human";
pub(super) const LOG_FILTER: &str = "info";
pub(super) const STATEMENT_BYTES_MAX: usize = 262_144;
pub(super) const STATEMENT_TOKENS_MAX: usize = 20_000;
pub(super) const OPERATORS_MAX: usize = 500;
pub(super) const PLAN_NODES_MAX: usize = 2_000;
pub(super) const SCANS_MAX: usize = 64;
pub(super) const INLINE_ROWS_MAX: usize = 1_000;
pub(super) const INLINE_BYTES_MAX: usize = 131_072;
pub(super) const PLANNING_TIMEOUT_MS: u64 = 10_000;
pub(super) const PLANS_CACHED_MAX: usize = 500;
pub(super) const PLANS_CACHED_BYTES_MAX: usize = 67_108_864;
pub(super) const STATEMENT_TIMEOUT_MS: u64 = 120_000;
pub(super) const MESSAGE_BYTES_MAX: usize = 16_777_216;
pub(super) const ANSWER_ROWS_MAX: usize = 10_000_000;
pub(super) const ANSWER_BYTES_MAX: usize = 4_294_967_296;
pub(super) const QUERIES_MAX: usize = 64;
pub(super) const FUNCTION_BYTES_MAX: usize = 268_435_456;
pub(super) const MEMORY_BYTES_MAX_PER_QUERY: usize = 4_294_967_296;
pub(super) const MEMORY_BYTES_MAX: usize = 17_179_869_184;
pub(super) const PRESET: &str = "primary_only";
pub(super) const COMPLEMENT: bool = false;
pub(super) const HEADER: bool = true;
pub(super) const DELIMITER: &str = ",";
pub(super) const CONNECT_TIMEOUT_MS: u64 = 5_000;

pub(super) fn listen() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), LISTEN_PORT)
}

pub(super) fn contracts() -> PathBuf {
    PathBuf::from(CONTRACTS)
}

pub(super) fn connect_timeout_ms() -> u64 {
    CONNECT_TIMEOUT_MS
}

/// One table of the configuration.
pub(super) struct Section {
    /// As in the reference, `[tables.NAME]`.
    pub(super) header: &'static str,
    /// As in the example, `[tables.referral_pathway]`.
    pub(super) example: &'static str,
    /// What the section is for.
    pub(super) doc: &'static str,
    /// Its keys.
    pub(super) keys: &'static [Key],
}

/// One key.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// Kind of value and its unit.
    pub(super) kind: &'static str,
    pub(super) default: Default,
    /// A value for the example, as TOML; a key without one is left out unless it has a default.
    pub(super) example: Option<&'static str>,
    pub(super) doc: &'static str,
}

/// What happens when a key is left out.
pub(super) enum Default {
    /// An error.
    Required,
    /// As the text says.
    Unset(&'static str),
    /// Local address and port.
    Listen,
    /// This string.
    Text(&'static str),
    /// This number.
    Number(u64),
    /// This flag.
    Flag(bool),
}

impl Default {
    /// The default as a TOML value, where it is one.
    pub(super) fn value(&self) -> Option<String> {
        match self {
            Self::Required | Self::Unset(_) => None,
            Self::Listen => Some(format!("\"{}\"", listen())),
            Self::Text(text) => Some(format!("\"{text}\"")),
            Self::Number(number) => Some(number.to_string()),
            Self::Flag(flag) => Some(flag.to_string()),
        }
    }
}

const fn key(
    name: &'static str,
    kind: &'static str,
    default: Default,
    example: Option<&'static str>,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, example, doc }
}

use Default::{Flag, Listen, Number, Required, Text, Unset};

/// The whole configuration, in the order of the reference.
pub(super) const SECTIONS: &[Section] = &[
    Section {
        header: "",
        example: "",
        doc: "At the top of the file.",
        keys: &[
            key(
                "organisation",
                "name: lower-case letters, digits, `_`",
                Unset("required on a node"),
                Some("\"northmoor\""),
                "The organisation whose tables this server serves: the node's id in the federation.",
            ),
            key(
                "name",
                "text",
                Unset("the organisation's id"),
                Some("\"Northmoor Hospitals\""),
                "Name shown to people.",
            ),
            key("listen", "address and port", Listen, None, "Where to listen."),
            key(
                "contracts",
                "folder",
                Text(CONTRACTS),
                None,
                "Folder of the federation's contracts, one `*.toml` file per table.",
            ),
        ],
    },
    Section {
        header: "[tls]",
        example: "[tls]",
        doc: "Every connection is encrypted.",
        keys: &[
            key(
                "certificate",
                "PEM file",
                Required,
                Some("\"node.pem\""),
                "Certificate chain of this server.",
            ),
            key("key", "PEM file", Required, Some("\"node.key\""), "Private key of this server."),
            key(
                "authority",
                "PEM file",
                Unset("unset"),
                Some("\"authority.pem\""),
                "Authority that signed the nodes' certificates, used when a coordinator connects to its nodes.",
            ),
        ],
    },
    Section {
        header: "[users]",
        example: "[users]",
        doc: "Who may log in.",
        keys: &[key(
            "file",
            "file",
            Required,
            Some("\"users.toml\""),
            "Users and their password hashes.",
        )],
    },
    Section {
        header: "[log]",
        example: "[log]",
        doc: "Log of this program, on standard error.",
        keys: &[
            key("format", "`human` or `json`", Text(LOG_FORMAT), None, "How lines are written."),
            key(
                "filter",
                "tracing filter",
                Text(LOG_FILTER),
                None,
                "What is written, for example `info,hedgerow_engine=debug`.",
            ),
        ],
    },
    Section {
        header: "[metrics]",
        example: "[metrics]",
        doc: "Figures for Prometheus at `https://…/metrics`, on the address of `listen`; without this section nobody may read them.",
        keys: &[key(
            "user",
            "text",
            Required,
            Some("\"prometheus\""),
            "The one user who may read them, with the password of the users file.",
        )],
    },
    Section {
        header: "[limits]",
        example: "[limits]",
        doc: "Checked before the work; each is 1 or more, but for `plans_cached_max`.",
        keys: &[
            key(
                "statement_bytes_max",
                "bytes",
                Number(STATEMENT_BYTES_MAX as u64),
                None,
                "Longest statement.",
            ),
            key(
                "statement_tokens_max",
                "tokens",
                Number(STATEMENT_TOKENS_MAX as u64),
                None,
                "Most words and signs of a statement; eight times as many in a fragment.",
            ),
            key(
                "operators_max",
                "operators",
                Number(OPERATORS_MAX as u64),
                None,
                "Longest chain of operators, set operations and joins, brackets within counted; twice as long in a fragment.",
            ),
            key(
                "plan_nodes_max",
                "plan nodes",
                Number(PLAN_NODES_MAX as u64),
                None,
                "Largest plan of a statement, with every CTE and view counted as often as it is used.",
            ),
            key(
                "scans_max",
                "tables",
                Number(SCANS_MAX as u64),
                None,
                "Most uses of a table in a statement, counted in the same way.",
            ),
            key(
                "inline_rows_max",
                "rows",
                Number(INLINE_ROWS_MAX as u64),
                None,
                "Most rows of an inline table (`VALUES`), as written and as sent to a node.",
            ),
            key(
                "inline_bytes_max",
                "bytes",
                Number(INLINE_BYTES_MAX as u64),
                None,
                "Most values of a table of `[federation.tables]` that are sent along as an inline table.",
            ),
            key(
                "planning_timeout_ms",
                "milliseconds",
                Number(PLANNING_TIMEOUT_MS),
                None,
                "Longest time to plan a statement.",
            ),
            key(
                "plans_cached_max",
                "statements",
                Number(PLANS_CACHED_MAX as u64),
                None,
                "Most statements whose plans are remembered, so that asking again plans nothing; 0 for none.",
            ),
            key(
                "plans_cached_bytes_max",
                "bytes",
                Number(PLANS_CACHED_BYTES_MAX as u64),
                None,
                "Most memory for them, by an estimate from the size of each plan.",
            ),
            key(
                "statement_timeout_ms",
                "milliseconds",
                Number(STATEMENT_TIMEOUT_MS),
                None,
                "Longest run of a statement.",
            ),
            key(
                "message_bytes_max",
                "bytes",
                Number(MESSAGE_BYTES_MAX as u64),
                None,
                "Largest message on the wire.",
            ),
            key("answer_rows_max", "rows", Number(ANSWER_ROWS_MAX as u64), None, "Longest answer."),
            key(
                "answer_bytes_max",
                "bytes",
                Number(ANSWER_BYTES_MAX as u64),
                None,
                "Largest answer, as Arrow holds it.",
            ),
            key(
                "queries_max",
                "statements",
                Number(QUERIES_MAX as u64),
                None,
                "Most statements running at once.",
            ),
            key(
                "function_bytes_max",
                "bytes",
                Number(FUNCTION_BYTES_MAX as u64),
                None,
                "Most that one call of a function such as `repeat` may make, over some thousand rows.",
            ),
            key(
                "memory_bytes_max_per_query",
                "bytes",
                Number(MEMORY_BYTES_MAX_PER_QUERY as u64),
                None,
                "Most memory one statement may hold.",
            ),
            key(
                "memory_bytes_max",
                "bytes",
                Number(MEMORY_BYTES_MAX as u64),
                None,
                "Most memory all statements together may hold; as much again for the bundles of a server that is also a node.",
            ),
        ],
    },
    Section {
        header: "[policy]",
        example: "[policy]",
        doc: "Disclosure rules of this node, applied before anything leaves it.",
        keys: &[
            key("preset", "preset", Text(PRESET), None, "Named set of disclosure rules."),
            key(
                "k",
                "people",
                Unset("the preset's"),
                Some("10"),
                "Fewest people behind a released cell.",
            ),
            key(
                "complement",
                "`true` or `false`",
                Flag(COMPLEMENT),
                None,
                "Withhold a cell with a condition where fewer than `k` people of its group do *not* contribute to it, nobody included: the total less the cell would tell about them.",
            ),
            key(
                "p_percent",
                "share",
                Unset("not applied"),
                Some("0.10"),
                "Withhold a cell where all but the two people with the largest parts have less than this share of the largest part: the second largest could estimate the largest too well.",
            ),
            key(
                "dominance",
                "`{ n = people, share = share }`",
                Unset("not applied"),
                Some("{ n = 2, share = 0.90 }"),
                "Withhold a cell where the `n` people with the largest parts have this share of it, or more.",
            ),
            key(
                "round_to",
                "whole number",
                Unset("not rounded"),
                Some("5"),
                "Base to whose nearest multiple counts and sums of whole numbers are rounded; means are computed from rounded parts. At most `k`.",
            ),
            key(
                "coordinators",
                "users",
                Unset("nobody"),
                Some("[\"coordinator\"]"),
                "Users that get numbers unrounded, because they are coordinators that round what they combine. Everybody else gets them rounded by this node.",
            ),
        ],
    },
    Section {
        header: "[policy.tables.NAME]",
        example: "[policy.tables.referral_pathway]",
        doc: "Tighter rules for one table.",
        keys: &[key(
            "k",
            "people",
            Required,
            Some("15"),
            "Fewest people behind a released cell of this table; not below the node's.",
        )],
    },
    Section {
        header: "[ledger]",
        example: "[ledger]",
        doc: "Record of what this node released; without this section none is kept.",
        keys: &[key(
            "file",
            "file",
            Required,
            Some("\"ledger.ndjson\""),
            "File to append to, one JSON object per released cell.",
        )],
    },
    Section {
        header: "[sources.NAME]",
        example: "[sources.pathways]",
        doc: "Files that a mapping reads under the name NAME. Parquet columns keep their types. CSV columns are all text, so that `007` stays `007`: the mapping says with CAST what each is.",
        keys: &[
            key(
                "path",
                "file, folder, or pattern with `*` and `?`",
                Required,
                Some("\"data/pathways/*.csv\""),
                "Where the files are. A folder is read with its subfolders; names that begin with `.` or `_` are skipped. The list is made when the server starts.",
            ),
            key(
                "format",
                "`parquet` or `csv`",
                Unset("by the path's ending; a folder holds Parquet"),
                None,
                "Format of the files.",
            ),
            key(
                "header",
                "flag, CSV only",
                Flag(HEADER),
                None,
                "Whether the first line of each file names its columns.",
            ),
            key(
                "delimiter",
                "one character, CSV only",
                Text(DELIMITER),
                None,
                "Character between two values.",
            ),
        ],
    },
    Section {
        header: "[tables.NAME]",
        example: "[tables.referral_pathway]",
        doc: "A table this node serves, by the name of its contract: either files that already have the contract's columns and types (`path` and what belongs to it), or a query (`sql`).",
        keys: &[
            key(
                "path",
                "as in `[sources.NAME]`",
                Unset("required without `sql`"),
                None,
                "Where the files are. CSV values are read as the contract's types.",
            ),
            key(
                "format",
                "as in `[sources.NAME]`",
                Unset("as in `[sources.NAME]`"),
                None,
                "Format of the files.",
            ),
            key(
                "header",
                "as in `[sources.NAME]`",
                Unset("as in `[sources.NAME]`"),
                None,
                "Whether the first line names the columns; without it they are in the contract's order.",
            ),
            key(
                "delimiter",
                "as in `[sources.NAME]`",
                Unset("as in `[sources.NAME]`"),
                None,
                "Character between two values.",
            ),
            key(
                "sql",
                "one SELECT",
                Unset("required without `path`"),
                Some(
                    "\"SELECT ubrn AS pathway_number, nhs_number AS person_number, CAST(weeks AS INT) AS weeks FROM pathways\"",
                ),
                "Mapping from `[sources.NAME]`, one or several, to the contract's columns. Columns are matched by name; others are left out.",
            ),
        ],
    },
    Section {
        header: "[views.NAME]",
        example: "[views.long_waits]",
        doc: "A view of the coordinator: a name in schema `shared` for the text of a statement. What may be asked through it is what may be asked without it. Views may use other views, but none itself. They are checked when the server starts: one that is no query, has the name of a contract or uses itself stops it; one that does not resolve is named in the log and fails the statements that name it.",
        keys: &[
            key(
                "sql",
                "one SELECT",
                Unset("required without `file`"),
                Some(
                    "\"SELECT priority, count(*) AS pathways FROM referral_pathway WHERE weeks > 52 GROUP BY priority\"",
                ),
                "The statement.",
            ),
            key(
                "file",
                "file",
                Unset("required without `sql`"),
                None,
                "File that holds the statement.",
            ),
            key(
                "description",
                "text",
                Unset("empty"),
                Some("\"Pathways of more than a year\""),
                "One line for `\\d` and `system.tables`.",
            ),
        ],
    },
    Section {
        header: "[federation]",
        example: "[federation]",
        doc: "How a coordinator introduces itself to its nodes, and under which id its federation answers a wider one.",
        keys: &[
            key(
                "organisation",
                "name",
                Unset("the federation answers no wider one"),
                Some("\"midshire\""),
                "The id under which the whole federation is one node of a wider one: an organisation `northmoor` is `midshire/northmoor` there. Not the id of one of its nodes, nor of this server's own tables.",
            ),
            key(
                "user",
                "text",
                Required,
                Some("\"coordinator\""),
                "The coordinator's user name at the nodes.",
            ),
            key(
                "password_file",
                "file",
                Required,
                Some("\"coordinator.password\""),
                "File that holds its password.",
            ),
            key(
                "coordinators",
                "users",
                Unset("nobody"),
                None,
                "With `organisation`: users of this server that are coordinators and round what they combine. Everybody else gets rounded numbers, where a node's policy rounds.",
            ),
            key(
                "connect_timeout_ms",
                "milliseconds",
                Number(CONNECT_TIMEOUT_MS),
                None,
                "Time to wait for a connection.",
            ),
        ],
    },
    Section {
        header: "[federation.tables.NAME]",
        example: "[federation.tables.standard_population]",
        doc: "A small open table that the coordinator has itself, by the name of its contract, which must say `protection = \"open\"`. It stands in schema `shared`, without a column `organisation`, and hides what nodes serve under this name. Where it is joined to rows of the organisations, the columns that are needed go along with the question as an inline table.",
        keys: &[
            key(
                "path",
                "as in `[sources.NAME]`",
                Required,
                Some("\"data/standard_population.csv\""),
                "Where the files are. CSV values are read as the contract's types.",
            ),
            key(
                "format",
                "as in `[sources.NAME]`",
                Unset("as in `[sources.NAME]`"),
                None,
                "Format of the files.",
            ),
            key(
                "header",
                "as in `[sources.NAME]`",
                Unset("as in `[sources.NAME]`"),
                None,
                "Whether the first line names the columns; without it they are in the contract's order.",
            ),
            key(
                "delimiter",
                "as in `[sources.NAME]`",
                Unset("as in `[sources.NAME]`"),
                None,
                "Character between two values.",
            ),
        ],
    },
    Section {
        header: "[[federation.nodes]]",
        example: "[[federation.nodes]]",
        doc: "One node that the coordinator asks; repeat for each. Answers are merged in this order.",
        keys: &[
            key(
                "organisation",
                "name",
                Required,
                Some("\"northmoor\""),
                "The node's organisation.",
            ),
            key(
                "url",
                "`https://host:port`",
                Required,
                Some("\"https://127.0.0.1:50052\""),
                "The node's address.",
            ),
        ],
    },
];
