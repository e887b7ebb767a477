//! What the gate costs: questions of TPC-H with customers as people, against the same questions over
//! the same files declared open. Main entry: [`measure`].
//!
//! Each table of customers stands twice under a mapping that takes the prefix off its columns, so
//! that an order has one number in both of its tables: as `people_NAME`, and as `open_NAME`. The texts
//! are in `tests/tpch/people`, with what the rules of protected tables changed in them.

use std::path::Path;

use arrow::datatypes::{Field, Schema};
use serde_json::Value;

use crate::answers::assert_same;
use crate::federation::{Extra, Federation, ask};
use crate::measure::{Rounds, Runs, in_turns, median};
use crate::processes::cpu_ms;
use crate::report::{Aim, Report};
use crate::tables::{TABLES, Table, contract};
use crate::{Failure, data, timed};

/// Sums of the medians, gate on to gate off.
const GATES: Aim = Aim::AtMost(1.30);
/// The same with every person's part in each group kept.
const STRICT_GATES: Aim = Aim::AtMost(2.0);

/// A question over `people_` tables.
struct Question {
    name: &'static str,
    sql: &'static str,
}

macro_rules! questions {
    ($($name:literal)*) => {
        [$(Question {
            name: $name,
            sql: include_str!(concat!("../../tests/tpch/people/", $name, ".sql")),
        }),*]
    };
}

const QUESTIONS: [Question; 6] = questions!["q01" "q04" "q05" "q06" "q12" "q14"];

/// A table of customers.
struct Owned {
    name: &'static str,
    /// What its columns begin with, in the files.
    prefix: &'static str,
    /// What it is unique by.
    key: &'static [&'static str],
    measures: &'static [&'static str],
}

const OWNED: [Owned; 3] = [
    Owned { name: "customer", prefix: "c_", key: &["custkey"], measures: &["acctbal"] },
    Owned { name: "orders", prefix: "o_", key: &["orderkey"], measures: &["totalprice"] },
    Owned {
        name: "lineitem",
        prefix: "l_",
        key: &["orderkey", "linenumber"],
        measures: &["quantity", "extendedprice", "discount", "tax"],
    },
];
const PERSON: &str = "custkey";
/// Numbers things of one person.
const OF_A_PERSON: &str = "orderkey";

/// Measures all questions, each policy in a federation of its own.
pub(crate) async fn measure(
    data: &Path,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    for kind in [Gate::Primary, Gate::Strict] {
        measure_gate(kind, data, rounds, report).await?;
    }
    Ok(())
}

/// Which rules the nodes have.
#[derive(Clone, Copy)]
enum Gate {
    /// G1, G2, G5, G6.
    Primary,
    /// Beside these G3, G4 and G8.
    Strict,
}

impl Gate {
    fn policy(self) -> &'static str {
        match self {
            Self::Primary => "",
            Self::Strict => {
                "complement = true\np_percent = 0.10\ndominance = { n = 2, share = 0.90 }\n\
                 round_to = 5\ncoordinators = [\"analyst\"]\n"
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Primary => "gates",
            Self::Strict => "gates_strict",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Primary => "gate",
            Self::Strict => "strict gate",
        }
    }

    fn aim(self) -> Aim {
        match self {
            Self::Primary => GATES,
            Self::Strict => STRICT_GATES,
        }
    }
}

async fn measure_gate(
    kind: Gate,
    data: &Path,
    rounds: usize,
    report: &mut Report,
) -> Result<(), Failure> {
    let extra = Extra { policy: kind.policy(), ..extra(data)? };
    let federation = Federation::start_with(data, &extra).await?;
    let mut on = federation.client().await?;
    let mut off = federation.client().await?;
    let servers_ms = || federation.processes().map(cpu_ms).sum::<f64>();
    let (mut on_ms, mut off_ms, mut on_cpu_ms, mut off_cpu_ms) = (0.0, 0.0, 0.0, 0.0);
    let (id, gate) = (kind.name(), kind.words());
    for Question { name, sql } in &QUESTIONS {
        let open = sql.replace("people_", "open_");
        let said = |error: Failure| format!("{id}, {name}: {error}");
        let (gated, whole) =
            (ask(&mut on, sql).await.map_err(said)?, ask(&mut off, &open).await.map_err(said)?);
        if gated.rows.is_empty() || gated.rows.len() > whole.rows.len() {
            return Err(format!("{id}, {name}: the gate leaves {} rows", gated.rows.len()).into());
        }
        // At scale 1 the gate finds nothing to withhold, so that both do the same work.
        if data::is_whole(data) && matches!(kind, Gate::Primary) {
            assert_same(&gated.rows, &whole.rows).map_err(said)?;
        }
        let runs: Runs = in_turns(
            Rounds::few(rounds),
            async || timed(&servers_ms, ask(&mut on, sql)).await,
            async || timed(&servers_ms, ask(&mut off, &open)).await,
        )
        .await?;
        let (with, without) = (median(&runs.first.ms), median(&runs.second.ms));
        let title = format!("{name} about people, {gate} on / off");
        report.ratio(&format!("{id}_{name}"), &title, with, without);
        on_ms += with;
        off_ms += without;
        on_cpu_ms += runs.first.mean_cpu_ms();
        off_cpu_ms += runs.second.mean_cpu_ms();
    }
    let title = format!("processor time of all, {gate} on / off");
    report.ratio(&format!("{id}_cpu"), &title, on_cpu_ms, off_cpu_ms);
    let title = format!("all six together, {gate} on / off");
    report.aimed(&format!("{id}_ratio"), &title, on_ms / off_ms, "times", kind.aim());
    Ok(())
}

/// Contracts and mappings of both forms.
fn extra(data: &Path) -> Result<Extra, Failure> {
    let mut extra = Extra::default();
    let mut tables = vec![];
    for owned in &OWNED {
        let table = TABLES.iter().find(|table| table.name == owned.name);
        let table = table.ok_or("a table that is not made")?;
        let schema = owned.renamed(data::schema(data, table)?.as_ref());
        extra.contracts.push((format!("people_{}", owned.name), owned.people(&schema)?));
        extra.contracts.push((format!("open_{}", owned.name), owned.open(&schema)?));
        tables.push((table, owned.mapping(&schema)));
    }
    for node in 0..crate::tables::NODES {
        let text = tables.iter().map(|(table, mapping)| served(data, node, table, mapping));
        extra.node_configs.push(text.collect());
    }
    Ok(extra)
}

/// The part of a node's configuration that serves a table in both forms.
fn served(data: &Path, node: usize, table: &Table, mapping: &str) -> String {
    let path = Value::from(data::file(data, table, node).to_string_lossy().into_owned());
    let name = table.name;
    let mapping = Value::from(mapping);
    format!(
        "[sources.{name}_files]\npath = {path}\n[tables.people_{name}]\nsql = {mapping}\n\
         [tables.open_{name}]\nsql = {mapping}\n"
    )
}

impl Owned {
    fn renamed(&self, schema: &Schema) -> Schema {
        let fields = schema.fields().iter().map(|field| {
            let name = field.name().trim_start_matches(self.prefix);
            Field::new(name, field.data_type().clone(), field.is_nullable())
        });
        Schema::new(fields.collect::<Vec<_>>())
    }

    fn mapping(&self, renamed: &Schema) -> String {
        let prefix = self.prefix;
        let columns = renamed.fields().iter().map(|field| {
            let name = field.name();
            format!("{prefix}{name} AS {name}")
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("SELECT {columns} FROM {}_files", self.name)
    }

    fn people(&self, schema: &Schema) -> Result<String, Failure> {
        let head = format!(
            "name = \"people_{}\"\nversion = 1\nprotection = \"protected\"\nkeys = [{:?}]\n\
             person = {{ column = \"{PERSON}\", scope = \"organisation\" }}\n",
            self.name, self.key
        );
        contract(head, schema, |name| match name {
            PERSON => "roles = [\"identifier\"]\n",
            OF_A_PERSON => {
                "roles = [\"identifier\"]\nscope = \"organisation\"\nwithin_person = true\n"
            }
            _ if self.measures.contains(&name) => "roles = [\"measure\"]\n",
            _ => "roles = [\"dimension\"]\n",
        })
    }

    fn open(&self, schema: &Schema) -> Result<String, Failure> {
        let head = format!(
            "name = \"open_{}\"\nversion = 1\nprotection = \"open\"\nkeys = [{:?}]\n",
            self.name, self.key
        );
        contract(head, schema, |name| match name {
            PERSON | OF_A_PERSON => {
                "roles = [\"identifier\"]\nscope = \"organisation\"\n\
                 within_organisation = true\n"
            }
            _ => "roles = [\"open\"]\n",
        })
    }
}
