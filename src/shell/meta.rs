//! Backslash commands. Main type: [`Meta`].

/// A backslash command, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meta {
    /// `\q`
    Quit,
    /// `\?`
    Help,
    /// `\d` and `\dt`, `\d TABLE`, `\nodes`, `\policy`, `\policy TABLE`: a question to the `system`
    /// schema.
    Ask(String),
    /// `\why`
    Why,
    /// `\timing [on|off]`
    Timing(Option<bool>),
    /// `\x [on|off]`
    Expanded(Option<bool>),
    /// None of these.
    Unknown(String),
}

/// What `\?` prints.
pub(crate) const HELP: &str = "\
\\d            tables
\\d TABLE      columns of a table
\\dt           tables
\\nodes        organisations: who is up, what they serve
\\policy       disclosure rules of each organisation, by table
\\policy TABLE those of one table
\\why          the rule behind the last refusal, or what the marks of the last answer mean
\\timing       show how long statements take, on or off
\\x            one line per value instead of one per row, on or off
\\?            this help
\\q            quit (or Ctrl-D)

A statement ends with `;` and may span lines. Ctrl-C cancels it, at the organisations too.
A line that begins with a space is not kept in the history.";

/// All names, for completion.
pub(crate) const NAMES: [&str; 9] =
    ["\\d", "\\dt", "\\nodes", "\\policy", "\\why", "\\timing", "\\x", "\\?", "\\q"];

impl Meta {
    /// Understands a line that begins with `\`.
    pub(crate) fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        let argument =
            words.next().map(|word| word.trim_end_matches(';')).filter(|word| !word.is_empty());
        match (name.trim_end_matches(';'), argument) {
            ("\\q" | "\\quit", None) => Self::Quit,
            ("\\?" | "\\h" | "\\help", None) => Self::Help,
            ("\\d" | "\\dt", None) => Self::Ask(TABLES.to_owned()),
            ("\\d", Some(table)) => Self::Ask(columns_of(table)),
            ("\\nodes", None) => Self::Ask(
                "SELECT organisation, name, state, version, tables, differences, last_error \
                 FROM system.nodes"
                    .to_owned(),
            ),
            ("\\policy", None) => {
                Self::Ask(format!("{POLICIES} ORDER BY table_name, organisation"))
            }
            ("\\policy", Some(table)) => Self::Ask(policies_of(table)),
            ("\\why", None) => Self::Why,
            ("\\timing", None) => Self::Timing(None),
            ("\\timing", Some(word)) => {
                switch(word).map_or(unknown(line), |on| Self::Timing(Some(on)))
            }
            ("\\x", None) => Self::Expanded(None),
            ("\\x", Some(word)) => {
                switch(word).map_or(unknown(line), |on| Self::Expanded(Some(on)))
            }
            _ => unknown(line),
        }
    }
}

const TABLES: &str = "SELECT table_name, kind, protection, reference, organisations, description \
                      FROM system.tables ORDER BY table_name";

const POLICIES: &str = "SELECT organisation, table_name, preset, k, complement, p_percent, \
                        dominance_n, dominance_share, round_to FROM system.policies";

fn unknown(line: &str) -> Meta {
    Meta::Unknown(line.to_owned())
}

fn switch(word: &str) -> Option<bool> {
    match word {
        "on" => Some(true),
        "off" => Some(false),
        _ => None,
    }
}

/// The columns of a table; a name with a schema before it means the same contract.
fn columns_of(table: &str) -> String {
    format!(
        "SELECT column_name, data_type, roles, description FROM system.columns \
         WHERE table_name = '{}'",
        contract_name(table)
    )
}

/// The rules that each organisation has for a table.
fn policies_of(table: &str) -> String {
    format!("{POLICIES} WHERE table_name = '{}' ORDER BY organisation", contract_name(table))
}

/// The name without a schema, as it stands in a string constant.
fn contract_name(table: &str) -> String {
    table.rsplit('.').next().unwrap_or(table).trim_matches('"').replace('\'', "''")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_understood() {
        assert_eq!(Meta::parse("\\q"), Meta::Quit);
        assert_eq!(Meta::parse("\\x on"), Meta::Expanded(Some(true)));
        assert_eq!(Meta::parse("\\timing;"), Meta::Timing(None));
        assert_eq!(Meta::parse("\\x maybe"), Meta::Unknown("\\x maybe".to_owned()));
        let Meta::Ask(sql) = Meta::parse("\\d shared.per'son;") else { unreachable!() };
        assert!(sql.ends_with("= 'per''son'"), "{sql}");
        let Meta::Ask(sql) = Meta::parse("\\policy shared.person;") else { unreachable!() };
        assert!(sql.contains("system.policies WHERE table_name = 'person'"), "{sql}");
        assert!(matches!(Meta::parse("\\policy"), Meta::Ask(_)));
        assert_eq!(Meta::parse("\\why;"), Meta::Why);
    }
}
