//! The reference of the configuration, generated from the table of keys.

use super::keys::{Default, Key, SECTIONS, Section};

/// The text of `docs/configuration.md`: every key with kind, default and meaning, and an example
/// file in which every default is shown as a comment.
pub fn configuration_reference() -> String {
    let mut text = String::from(INTRODUCTION);
    for section in SECTIONS {
        text.push_str(&section_reference(section));
    }
    text.push_str("\n## Example\n\nDefaults are shown as comments.\n\n```toml\n");
    text.push_str(&example(false));
    text.push_str("```\n");
    text
}

const INTRODUCTION: &str = "# Configuration

`hedgerow serve` reads one TOML file. `[tables.NAME]` makes the server a node, \
`[[federation.nodes]]` a coordinator; it may be both, and must be one. Relative paths start at the \
file's own folder. A key that does not exist is an error.

This page is generated from the table of keys in `catalog/src/config/keys.rs`; to write it anew, \
run `HEDGEROW_BLESS=1 cargo test -p hedgerow-catalog reference`.
";

fn section_reference(section: &Section) -> String {
    let title = match section.header {
        "" => "Top of the file".to_owned(),
        header => format!("`{header}`"),
    };
    let rows: String = section.keys.iter().map(row).collect();
    format!(
        "\n## {title}\n\n{}\n\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n{rows}",
        section.doc
    )
}

fn row(key: &Key) -> String {
    let default = match &key.default {
        Default::Required => "required".to_owned(),
        Default::Unset(text) => (*text).to_owned(),
        value @ (Default::Listen | Default::Text(_) | Default::Number(_) | Default::Flag(_)) => {
            format!("`{}`", value.value().unwrap_or_default())
        }
    };
    format!("| `{}` | {} | {default} | {} |\n", key.name, key.kind, key.doc)
}

/// A file with every section; `defaults` writes the defaults out instead of as comments.
pub(super) fn example(defaults: bool) -> String {
    let sections: Vec<String> =
        SECTIONS.iter().map(|section| section_example(section, defaults)).collect();
    sections.join("\n")
}

fn section_example(section: &Section, defaults: bool) -> String {
    let mut text = String::new();
    if !section.example.is_empty() {
        text.push_str(section.example);
        text.push('\n');
    }
    for key in section.keys {
        let comment = if defaults { "" } else { "# " };
        match (key.example, key.default.value()) {
            (Some(value), _) => text.push_str(&format!("{} = {value}\n", key.name)),
            (None, Some(value)) => text.push_str(&format!("{comment}{} = {value}\n", key.name)),
            (None, None) => {}
        }
    }
    text
}
