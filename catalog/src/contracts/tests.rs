//! Contracts: what parses, and what is said about what does not.
#![expect(clippy::unwrap_used, reason = "test")]

use hedgerow_policies::{Role, Scope};

use super::*;

const PATHWAY: &str = r#"
name = "referral_pathway"
version = 1
person = { column = "person_number", scope = "organisation" }
keys = [["pathway_number"]]
[[columns]]
name = "pathway_number"
type = "utf8"
roles = ["identifier"]
scope = "organisation"
within_person = true
unique = true
nullable = false
[[columns]]
name = "person_number"
type = "utf8"
roles = ["identifier"]
[[columns]]
name = "weeks"
type = "int32"
roles = ["measure", "dimension"]
range = [0, 520]
bins = [0, 6, 18, 52]
[[columns]]
name = "note"
type = "utf8"
"#;

fn message(text: &str) -> String {
    Contracts::from_toml("x.toml", text).unwrap_err().to_string()
}

#[test]
fn a_contract_parses() {
    let contracts = Contracts::from_toml("x.toml", PATHWAY).unwrap();
    let contract = contracts.get("referral_pathway").unwrap();
    assert!(contract.is_protected());
    assert_eq!(contract.column("person_number").unwrap().scope, Some(Scope::Organisation));
    let weeks = contract.column("weeks").unwrap();
    assert_eq!(weeks.range, Some((0.0, 520.0)));
    assert!(weeks.has_role(Role::Measure) && weeks.nullable);
    assert_eq!(contracts.nearest("referal_pathways"), Some("referral_pathway"));
    assert_eq!(contracts.nearest("zzz"), None);
}

#[test]
fn schemas_differ_by_visibility() {
    let contracts = Contracts::from_toml("x.toml", PATHWAY).unwrap();
    let contract = contracts.get("referral_pathway").unwrap();
    let names = |schema: SchemaNames| schema.0.join(" ");
    assert_eq!(names(arrow_schema(contract).into()), "pathway_number person_number weeks note");
    assert_eq!(names(visible_schema(contract).into()), "pathway_number person_number weeks");
    let shared = shared_schema(contract);
    assert!(!shared.field(0).is_nullable() && shared.field(1).is_nullable());
    assert_eq!(names(shared.into()), "organisation pathway_number person_number weeks");
}

struct SchemaNames(Vec<String>);

impl From<arrow::datatypes::SchemaRef> for SchemaNames {
    fn from(schema: arrow::datatypes::SchemaRef) -> Self {
        Self(schema.fields().iter().map(|field| field.name().clone()).collect())
    }
}

#[test]
fn fingerprints_ignore_layout_but_not_content() {
    let print = |text: &str| {
        let contracts = Contracts::from_toml("x.toml", text).unwrap();
        contracts.fingerprint("referral_pathway").unwrap().to_owned()
    };
    let plain = print(PATHWAY);
    assert_eq!(plain.len(), 16);
    assert_eq!(plain, print(&PATHWAY.replace("version = 1", "# a comment\nversion   =   1")));
    assert_ne!(plain, print(&PATHWAY.replace("version = 1", "version = 2")));
}

#[test]
fn mistakes_name_line_and_key() {
    assert_eq!(
        message(&PATHWAY.replace("within_person", "within_persn")),
        "unknown key `within_persn` in `x.toml` line 11; did you mean `within_person`?"
    );
    assert_eq!(
        message(&PATHWAY.replace("\"measure\", \"dim", "\"mesure\", \"dim")),
        "unknown value `mesure` in `x.toml` line 21; did you mean `measure`?"
    );
    assert_eq!(
        message(&PATHWAY.replace("version = 1\n", "")),
        "key `version` is missing in `x.toml` line 1"
    );
    assert!(
        message(&PATHWAY.replace("\"int32\"", "\"int\""))
            .starts_with("contract `x.toml` line 20: column `weeks`: unknown type `int`;")
    );
    assert_eq!(
        message(&PATHWAY.replace("[0, 6, 18, 52]", "[0, 18, 6]")),
        "contract `x.toml` line 23: column `weeks`: `bins` must be finite numbers, each larger than the one before"
    );
    assert_eq!(
        message(&PATHWAY.replace("[0, 520]", "[520, 0]")),
        "contract `x.toml` line 22: column `weeks`: `range` must be two finite numbers, the smaller first"
    );
    assert_eq!(
        message(&PATHWAY.replace("keys = [[\"pathway_number\"]]", "keys = [[\"nothing\"]]")),
        "contract `x.toml` line 5: key column `nothing` is not a column of the table"
    );
}

#[test]
fn a_protected_table_needs_a_person() {
    let without = PATHWAY.replace("person = {", "# person = {");
    assert!(message(&without).contains("a protected table needs `person = "));
    let hidden = PATHWAY.replace("column = \"person_number\"", "column = \"note\"");
    assert!(message(&hidden).starts_with("contract `x.toml` line 4: `note` is named as person"));
    let open = PATHWAY.replace("version = 1", "version = 1\nprotection = \"open\"");
    assert!(message(&open).contains("an open table has no person column"));
}

#[test]
fn a_folder_loads_and_duplicates_do_not() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.toml"), PATHWAY).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not a contract").unwrap();
    assert_eq!(Contracts::load(folder.path()).unwrap().len(), 1);
    std::fs::write(folder.path().join("b.toml"), PATHWAY).unwrap();
    assert_eq!(
        Contracts::load(folder.path()).unwrap_err().to_string(),
        "contract `referral_pathway` is defined in `a.toml` and again in `b.toml`"
    );
}
