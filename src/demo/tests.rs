//! Tests of the demo data: repeatable, in contract layout, and odd in the ways it is meant to be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails shall fail loudly"
)]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use datafusion::arrow::array::{AsArray, RecordBatch};
use datafusion::arrow::datatypes::{Int64Type, SchemaRef};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use hedgerow_policies::{ColumnContract, PersonColumn, Protection, Role, Scope, TableContract};
use serde::Deserialize;
use tempfile::TempDir;

use super::contracts::schema;
use super::{CONTRACTS, DataOptions, DemoError, DemoOrganisation, ORGANISATIONS_MAX};
use super::{node_tables_toml, organisations, tables, write_data};

const QUESTIONS: [(&str, &str); 6] = [
    ("01_backlog", include_str!("../../tests/questions/01_backlog.sql")),
    ("02_non_attendance", include_str!("../../tests/questions/02_non_attendance.sql")),
    ("03_emergency_admissions", include_str!("../../tests/questions/03_emergency_admissions.sql")),
    ("04_vaccinations", include_str!("../../tests/questions/04_vaccinations.sql")),
    ("05_length_of_stay", include_str!("../../tests/questions/05_length_of_stay.sql")),
    ("06_share", include_str!("../../tests/questions/06_share.sql")),
];

fn written(people: usize, seed: u64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let options = DataOptions { people, seed, ..DataOptions::default() };
    write_data(&options, directory.path()).unwrap();
    directory
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for folder in std::fs::read_dir(directory).unwrap() {
        let folder = folder.unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let name = format!("{:?}/{:?}", folder.file_name(), file.file_name());
            found.insert(name, std::fs::read(file.path()).unwrap());
        }
    }
    found
}

#[derive(Deserialize)]
struct NodeTables {
    #[serde(default)]
    sources: BTreeMap<String, Source>,
    tables: BTreeMap<String, Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    path: Option<String>,
    sql: Option<String>,
}

/// Opens an organisation's tables as its node configuration says.
async fn open(directory: &Path, organisation: &DemoOrganisation) -> SessionContext {
    let config = SessionConfig::new()
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    let context = SessionContext::new_with_config(config);
    let folder = directory.join(&organisation.id);
    let node: NodeTables = toml::from_str(&node_tables_toml(organisation)).unwrap();
    let sources = node.sources.iter().map(|(name, source)| (name, &source.path));
    let direct = node.tables.iter().filter_map(|(name, table)| Some((name, table.path.as_ref()?)));
    for (name, path) in sources.chain(direct) {
        let path = folder.join(path);
        let options = ParquetReadOptions::default();
        context.register_parquet(name, path.to_str().unwrap(), options).await.unwrap();
    }
    for (name, table) in &node.tables {
        if let Some(sql) = &table.sql {
            let view = context.sql(sql).await.unwrap().into_view();
            context.register_table(name.as_str(), view).unwrap();
        }
    }
    context
}

/// The tables of every organisation as one, with their column `organisation`.
async fn all(directory: &Path) -> SessionContext {
    let context = SessionContext::new();
    let mut rows: BTreeMap<&str, (SchemaRef, Vec<RecordBatch>)> = BTreeMap::new();
    for organisation in organisations(5) {
        let node = open(directory, &organisation).await;
        for table in tables(organisation.kind) {
            let reference = REFERENCE.contains(&table);
            if reference && rows.contains_key(table) {
                continue;
            }
            let id = &organisation.id;
            let select = if reference {
                format!("SELECT * FROM {table}")
            } else {
                format!("SELECT '{id}' AS organisation, * FROM {table}")
            };
            let batches = node.sql(&select).await.unwrap().collect().await.unwrap();
            let schema = batches[0].schema();
            rows.entry(table).or_insert((schema, Vec::new())).1.extend(batches);
        }
    }
    for (table, (schema, batches)) in rows {
        // a mapping is as strict about NULL as a file, so that one schema fits all
        let batches = batches.into_iter().map(|one| one.with_schema(schema.clone()).unwrap());
        let whole = arrow::compute::concat_batches(&schema, &batches.collect::<Vec<_>>()).unwrap();
        context.register_batch(table, whole).unwrap();
    }
    context
}

const REFERENCE: [&str; 4] =
    ["treatment_function", "icd10_chapter", "organisation_directory", "calendar"];

async fn answer(context: &SessionContext, sql: &str) -> Vec<RecordBatch> {
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

async fn number(context: &SessionContext, sql: &str) -> i64 {
    answer(context, sql).await[0].column(0).as_primitive::<Int64Type>().value(0)
}

#[test]
fn one_seed_makes_one_set_of_bytes() {
    let (one, same, other) = (written(300, 7), written(300, 7), written(300, 8));
    assert_eq!(files(one.path()), files(same.path()));
    let other = files(other.path());
    let unlike: Vec<_> = files(one.path())
        .into_iter()
        .filter(|(name, bytes)| other[name] != *bytes)
        .map(|(name, _)| name)
        .collect();
    assert!(unlike.iter().any(|name| name.contains("person")), "{unlike:?}");
    assert!(unlike.iter().any(|name| name.contains("rtt_extract")), "{unlike:?}");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contract {
    name: String,
    version: u32,
    description: String,
    protection: String,
    reference: bool,
    person: Option<PersonColumn>,
    keys: Vec<Vec<String>>,
    columns: Vec<Column>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    roles: Vec<Role>,
    scope: Option<Scope>,
    #[serde(default)]
    within_person: bool,
    #[serde(default)]
    unique: bool,
    nullable: bool,
    #[serde(default)]
    continuous: bool,
    range: Option<(f64, f64)>,
    #[serde(default)]
    bins: Vec<f64>,
    #[serde(default)]
    domain: Vec<String>,
    description: String,
}

#[test]
fn every_contract_is_valid() {
    for (name, text) in CONTRACTS {
        let read: Contract = toml::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(read.name, *name);
        assert_eq!(read.person.is_some(), read.protection == "protected", "{name}");
        assert_eq!(read.reference, REFERENCE.contains(name), "{name}");
        let columns = read.columns.into_iter().map(|column| {
            assert!(!column.roles.is_empty(), "{name}.{}", column.name);
            assert!(column.bins.is_sorted(), "{name}.{}", column.name);
            ColumnContract {
                data_type: TableContract::wire_type(&column.type_name).unwrap(),
                name: column.name,
                nullable: column.nullable,
                roles: column.roles,
                scope: column.scope,
                within_person: column.within_person,
                within_organisation: false,
                unique: column.unique,
                continuous: column.continuous,
                range: column.range,
                bins: column.bins,
                domain: column.domain,
                description: column.description,
            }
        });
        let contract = TableContract {
            columns: columns.collect(),
            name: read.name,
            version: read.version,
            description: read.description,
            protection: read.person.map_or(Protection::Open, Protection::Protected),
            reference: read.reference,
            keys: read.keys,
            products: vec![],
        };
        contract.validate().unwrap_or_else(|e| panic!("{name}: {e}"));
    }
}

#[tokio::test]
async fn every_table_fits_its_contract() {
    let directory = written(1_500, 1);
    for organisation in organisations(5) {
        let node = open(directory.path(), &organisation).await;
        for table in tables(organisation.kind) {
            let rows = node.table(table).await.unwrap();
            let found: Vec<_> = rows
                .schema()
                .fields()
                .iter()
                .map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()))
                .collect();
            let wanted: Vec<_> = schema(table)
                .unwrap()
                .fields()
                .iter()
                .map(|field| (field.name().clone(), field.data_type().clone(), field.is_nullable()))
                .collect();
            assert_eq!(found, wanted, "{}.{table}", organisation.id);
            assert!(rows.count().await.unwrap() > 0, "{}.{table} is empty", organisation.id);
        }
    }
}

#[tokio::test]
async fn mapped_values_lie_in_their_domains() {
    let directory = written(2_000, 1);
    let context = all(directory.path()).await;
    for (name, text) in CONTRACTS {
        let contract: Contract = toml::from_str(text).unwrap();
        for column in contract.columns.iter().filter(|column| !column.domain.is_empty()) {
            let list = column.domain.join("', '");
            let sql = format!(
                "SELECT count(*) FROM {name} WHERE CAST({} AS VARCHAR) NOT IN ('{list}')",
                column.name
            );
            assert_eq!(number(&context, &sql).await, 0, "{name}.{}", column.name);
        }
    }
}

#[tokio::test]
async fn numbers_collide_and_some_people_are_known_twice() {
    let directory = written(2_000, 1);
    let context = all(directory.path()).await;
    let people = "SELECT count(DISTINCT federation_pseudonym) FROM person";
    assert_eq!(number(&context, people).await, 2_000);
    let twice = "SELECT count(*) FROM (SELECT federation_pseudonym FROM person
        GROUP BY federation_pseudonym HAVING count(DISTINCT organisation) = 2)";
    let twice = number(&context, twice).await;
    assert!((40..140).contains(&twice), "{twice} of 2,000 people are known twice");
    let colliding = "SELECT count(*) FROM person AS a JOIN person AS b
        ON a.person_number = b.person_number AND a.organisation < b.organisation
        WHERE a.federation_pseudonym <> b.federation_pseudonym";
    assert!(number(&context, colliding).await > 1_000);
}

#[tokio::test]
async fn rare_conditions_stay_rare() {
    let directory = written(4_000, 3);
    let context = all(directory.path()).await;
    for sql in [
        "SELECT max(people) FROM (SELECT count(DISTINCT person_number) AS people
            FROM admitted_care WHERE icd10_code IN ('E84', 'G10', 'G12', 'Q87')
            GROUP BY organisation, icd10_code)",
        "SELECT max(people) FROM (SELECT count(DISTINCT person_number) AS people
            FROM referral_pathway WHERE treatment_function_code = '311' GROUP BY organisation)",
    ] {
        let most = number(&context, sql).await;
        assert!((1..10).contains(&most), "{most}");
    }
}

#[tokio::test]
async fn every_question_has_an_answer() {
    let directory = written(3_000, 1);
    let context = all(directory.path()).await;
    for (name, sql) in QUESTIONS {
        let rows: usize = answer(&context, sql).await.iter().map(|b| b.num_rows()).sum();
        assert!(rows > 5, "{name}: {rows} rows");
    }
}

/// The people behind each cell of each question, by group and organisation.
const CELLS: [(&str, &str); 6] = [
    (
        "01_backlog",
        "SELECT count(DISTINCT person_number) AS people FROM referral_pathway
        WHERE status = 'waiting' AND weeks_waited > 52
        GROUP BY organisation, treatment_function_code",
    ),
    (
        "02_non_attendance",
        "SELECT count(DISTINCT person_number) FILTER (WHERE NOT attended) AS people
        FROM outpatient_appointment WHERE deprivation_decile IS NOT NULL
        GROUP BY organisation, deprivation_decile",
    ),
    (
        "03_emergency_admissions",
        "SELECT count(DISTINCT person_number) AS people FROM admitted_care
        WHERE admission_type = 'emergency' GROUP BY organisation, admission_month",
    ),
    (
        "04_vaccinations",
        "SELECT count(DISTINCT person_number) AS people FROM vaccination
        GROUP BY organisation, vaccination_month, age_band",
    ),
    (
        "05_length_of_stay",
        "SELECT count(DISTINCT person_number) AS people FROM admitted_care
        GROUP BY organisation, icd10_chapter",
    ),
    (
        "06_share",
        "SELECT count(DISTINCT person_number) AS people FROM referral_pathway
        GROUP BY organisation, treatment_function_code, priority",
    ),
];

#[tokio::test]
async fn most_of_each_answer_survives_a_threshold_of_ten() {
    let directory = written(DataOptions::default().people, 1);
    let context = all(directory.path()).await;
    for (name, cells) in CELLS {
        let released = format!(
            "SELECT 1000 * sum(people) FILTER (WHERE people >= 10) / sum(people) FROM ({cells})"
        );
        let released = number(&context, &released).await;
        assert!(released >= 800, "{name}: {released} per mille of people");
    }
}

#[test]
fn organisations_have_ids_of_their_own_and_share_everything() {
    let all = organisations(ORGANISATIONS_MAX + 10);
    assert_eq!(all.len(), ORGANISATIONS_MAX);
    let ids: HashSet<_> = all.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids.len(), ORGANISATIONS_MAX);
    for count in [1, 3, 5, 17] {
        let whole: f64 = organisations(count).iter().map(|one| one.share).sum();
        assert!((whole - 1.0).abs() < 1e-9, "{count} organisations share {whole}");
    }
}

#[test]
fn many_small_organisations_and_none_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let options = DataOptions { people: 20, organisations: 8, seed: 1 };
    write_data(&options, directory.path()).unwrap();
    let none = DataOptions { organisations: 0, ..options };
    let error = write_data(&none, directory.path()).unwrap_err();
    assert!(matches!(error, DemoError::Organisations { asked: 0, .. }), "{error}");
}
