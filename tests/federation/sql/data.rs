//! The data that random statements are asked over: the demo's tables, all open, and those of
//! TPC-H, both with NULLs in many columns. Main type: [`Tables`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{concat_batches, nullif};
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use hedgerow::demo::{CONTRACTS, DataOptions, node_tables_toml, organisations, write_data};

use super::schema::{Schema, Table, demo_edges, demo_unique, tpch_edges, tpch_unique};
use crate::tpch_data::{self, Homes, NODES, Numbers, whole};
use crate::world::{Data, Organisation, Spec};

/// Memory of the one DataFusion.
const MEMORY_BYTES: usize = 2 << 30;
const PEOPLE: usize = 600;
/// Most rows of one table of the demo at one organisation.
const ROWS_MAX: usize = 500;
const SCALE: f64 = 0.001;

/// Columns of the demo of which every so many-th value is NULL.
const DEMO_NULLS: [(&str, usize); 14] = [
    ("weeks_waited", 11),
    ("priority", 13),
    ("treatment_function_code", 17),
    ("length_of_stay_hours", 11),
    ("cost", 13),
    ("icd10_chapter", 17),
    ("attended", 11),
    ("minutes_in_department", 13),
    ("acuity", 11),
    ("dose", 7),
    ("vaccination_month", 19),
    ("sex", 17),
    ("beds_occupied", 7),
    ("quantity", 7),
];
/// The same for TPC-H.
const TPCH_NULLS: [(&str, usize); 16] = [
    ("c_acctbal", 11),
    ("c_mktsegment", 7),
    ("c_nationkey", 13),
    ("o_custkey", 19),
    ("o_orderpriority", 11),
    ("o_totalprice", 13),
    ("o_orderdate", 17),
    ("l_partkey", 17),
    ("l_quantity", 11),
    ("l_discount", 13),
    ("l_shipdate", 19),
    ("l_returnflag", 17),
    ("p_brand", 7),
    ("p_size", 11),
    ("s_acctbal", 3),
    ("ps_availqty", 7),
];

/// One table: its contract, and its rows at each node.
struct Part {
    name: String,
    contract: String,
    reference: bool,
    /// Nodes that do not have it are missing.
    rows: Vec<(String, RecordBatch)>,
}

/// All tables of one federation.
pub(super) struct Tables {
    nodes: Vec<String>,
    parts: Vec<Part>,
    /// These are the demo's.
    demo: bool,
    /// Rows of the union have their organisation in front.
    organisation: bool,
}

impl Tables {
    /// The demo's, all open.
    pub(super) async fn demo() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = DataOptions { people: PEOPLE, seed: 1, ..DataOptions::default() };
        write_data(&options, folder.path()).unwrap();
        let mut parts: Vec<Part> = CONTRACTS
            .iter()
            .map(|(name, text)| {
                let mut contract: toml::Table = text.parse().unwrap();
                let reference = contract["reference"].as_bool().unwrap();
                open(&mut contract);
                let contract = toml::to_string(&contract).unwrap();
                Part { name: (*name).to_owned(), contract, reference, rows: vec![] }
            })
            .collect();
        let organisations = organisations(options.organisations);
        for organisation in &organisations {
            let context = plain_context();
            let config: toml::Table = node_tables_toml(organisation).parse().unwrap();
            let folder = folder.path().join(&organisation.id);
            for section in ["sources", "tables"] {
                let tables = config.get(section).and_then(toml::Value::as_table);
                for (name, table) in tables.into_iter().flatten() {
                    let Some(path) = table.get("path") else { continue };
                    let path = folder.join(path.as_str().unwrap());
                    let options = ParquetReadOptions::default();
                    context.register_parquet(name, path.to_str().unwrap(), options).await.unwrap();
                }
            }
            for (name, table) in config["tables"].as_table().unwrap() {
                let select = format!("SELECT * FROM {name}");
                let sql = table.get("sql").map_or(select.as_str(), |sql| sql.as_str().unwrap());
                let frame = context.sql(sql).await.unwrap();
                let schema = Arc::new(frame.schema().as_arrow().clone());
                let mut rows = vec![RecordBatch::new_empty(schema)];
                rows.extend(frame.collect().await.unwrap());
                let rows = whole(rows.into_iter());
                let rows = with_nulls(&rows.slice(0, rows.num_rows().min(ROWS_MAX)), &DEMO_NULLS);
                let part = parts.iter_mut().find(|part| part.name == *name).unwrap();
                part.rows.push((organisation.id.clone(), rows));
            }
        }
        let nodes = organisations.into_iter().map(|one| one.id).collect();
        Self { nodes, parts, demo: true, organisation: true }
    }

    /// Those of TPC-H, split by customer. Where numbers are within an organisation, statements may
    /// name it.
    pub(super) fn tpch(numbers: Numbers) -> Self {
        let tables = tpch_data::tables(SCALE);
        let homes = Homes::new(&tables);
        let nodes: Vec<String> = (0..NODES).map(|node| format!("node_{node}")).collect();
        let parts = tables.iter().map(|(name, all)| {
            let rows = with_nulls(all, &TPCH_NULLS);
            let contract = tpch_data::contract(name, &rows, numbers);
            let reference = tpch_data::is_reference(name);
            let rows = nodes.iter().cloned().zip(homes.split(name, all, &rows)).collect();
            Part { name: (*name).to_owned(), contract, reference, rows }
        });
        let parts = parts.collect();
        Self { nodes, parts, demo: false, organisation: numbers == Numbers::WithinOrganisation }
    }

    /// The federation.
    pub(super) fn spec(&self) -> Spec {
        let mut spec = Spec::default();
        for part in &self.parts {
            spec = spec.contract(&part.contract);
        }
        for node in &self.nodes {
            let mut organisation = Organisation::new(node);
            for part in &self.parts {
                let own = part.rows.iter().find(|(id, _)| id == node);
                if let Some((_, rows)) = own {
                    organisation = organisation.table(&part.name, Data::Rows(vec![rows.clone()]));
                }
            }
            spec = spec.organisation(organisation);
        }
        spec
    }

    /// One DataFusion over the union.
    pub(super) fn union(&self) -> SessionContext {
        let context = plain_context();
        for part in &self.parts {
            context.register_batch(&part.name, self.whole(part)).unwrap();
        }
        context
    }

    /// What statements can be about.
    pub(super) fn schema(&self) -> Schema {
        let (edges, unique): (_, fn(&str) -> &'static [&'static str]) = match self.demo {
            true => (demo_edges(), demo_unique),
            false => (tpch_edges(), tpch_unique),
        };
        let table = |part: &Part| Table::new(&part.name, unique(&part.name), &self.whole(part));
        Schema { tables: self.parts.iter().map(table).collect(), edges }
    }

    fn whole(&self, part: &Part) -> RecordBatch {
        if part.reference {
            return part.rows[0].1.clone();
        }
        let batches = part.rows.iter().map(|(id, rows)| match self.organisation {
            true => with_organisation(id, rows),
            false => rows.clone(),
        });
        let batches: Vec<RecordBatch> = batches.collect();
        concat_batches(&batches[0].schema(), &batches).unwrap()
    }
}

/// One DataFusion, without a check of its own that rejects `x IS NOT TRUE` in some places, and
/// without what makes wrong answers: filters that are moved to a column of the same name, LIMIT below
/// windows, sums of another type than the plan says.
fn plain_context() -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(2);
    let options = config.options_mut();
    options.execution.skip_physical_aggregate_schema_check = true;
    options.execution.parquet.schema_force_view_types = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    options.optimizer.enable_window_limits = false;
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !rule.name().starts_with("FilterPushdown"));
    let mut logical = Optimizer::new().rules;
    logical.retain(|rule| rule.name() != "single_distinct_aggregation_to_group_by");
    // Some statement multiplies all rows by all rows: it is turned down, and another one drawn.
    let memory = RuntimeEnvBuilder::new().with_memory_limit(MEMORY_BYTES, 1.0).build_arc().unwrap();
    let state = SessionStateBuilder::new().with_config(config).with_default_features();
    let state = state.with_runtime_env(memory);
    let state = state.with_optimizer_rules(logical).with_physical_optimizer_rules(rules);
    SessionContext::new_with_state(state.build())
}

/// Makes a contract as if its rows were about nobody, with NULL in the columns that get some.
fn open(contract: &mut toml::Table) {
    contract.insert("protection".to_owned(), "open".into());
    contract.remove("person");
    for column in contract["columns"].as_array_mut().unwrap() {
        let name = column["name"].as_str().unwrap().to_owned();
        if DEMO_NULLS.iter().any(|(known, _)| *known == name) {
            column["nullable"] = true.into();
        }
        let roles = column["roles"].as_array_mut().unwrap();
        if !roles.contains(&"open".into()) {
            roles.push("open".into());
        }
    }
}

/// The same rows with NULL in every so many-th of some columns.
fn with_nulls(rows: &RecordBatch, nulls: &[(&str, usize)]) -> RecordBatch {
    let schema = rows.schema();
    let column = |(field, array): (&Arc<Field>, &ArrayRef)| {
        let Some((_, step)) = nulls.iter().find(|(name, _)| name == field.name()) else {
            return array.clone();
        };
        let gone: BooleanArray =
            (0..array.len()).map(|row| Some((row * 7 + row / 5) % step == 1)).collect();
        nullif(array, &gone).unwrap()
    };
    let columns = schema.fields().iter().zip(rows.columns()).map(column).collect();
    RecordBatch::try_new(schema.clone(), columns).unwrap()
}

fn with_organisation(id: &str, rows: &RecordBatch) -> RecordBatch {
    let mut fields = vec![Arc::new(Field::new("organisation", DataType::Utf8, true))];
    fields.extend(rows.schema().fields().iter().cloned());
    let ids = StringArray::from_iter_values(std::iter::repeat_n(id, rows.num_rows()));
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ids)];
    columns.extend(rows.columns().iter().cloned());
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns).unwrap()
}
