//! How much of a question nodes release, weighted by how many people are behind each cell.
//!
//! ```text
//! EXPLAIN question ─► each node's fragments ─┬─► the node's own gate     released, or withheld
//!                                            └─► plain DataFusion        people behind each cell
//! ```
//! Which people are behind a cell is asked with the columns that the node adds for its gate, counted
//! to the end. Main entry: [`Nodes::share`].

use std::collections::HashMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, UInt8Type};
use arrow::util::display::array_value_to_string;
use datafusion::prelude::SessionContext;
use hedgerow_catalog::{Contracts, NodeTables, TableState};
use hedgerow_engine::{
    AddedColumn, BUNDLE_VERSION, BundleRequest, EngineError, FragmentExplanation, Node,
    OnUnavailable,
};
use hedgerow_policies::{CellStatus, ReleasedFragment};

use crate::world::{Client, USER, World};

/// Cells of groups there are, and the people behind them, one for each cell they are behind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Share {
    pub(super) cells: f64,
    pub(super) cells_released: f64,
    pub(super) people: f64,
    pub(super) people_released: f64,
}

impl AddAssign for Share {
    fn add_assign(&mut self, other: Self) {
        self.cells += other.cells;
        self.cells_released += other.cells_released;
        self.people += other.people;
        self.people_released += other.people_released;
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: f64, all: f64| 100.0 * part / all.max(1.0);
        let people = percent(self.people_released, self.people);
        let cells = percent(self.cells_released, self.cells);
        write!(f, "{people:5.1} % by people, {cells:5.1} % of {} cells", self.cells)
    }
}

/// The demo's nodes once more, in this process, each beside a plain DataFusion over its tables.
pub(super) struct Nodes(HashMap<String, (Arc<Node>, SessionContext)>);

impl Nodes {
    pub(super) async fn open(world: &World) -> Self {
        let mut nodes = HashMap::new();
        for organisation in world.organisations() {
            let mut config = world.config(&organisation);
            config.ledger = None;
            let contracts = Contracts::load(&config.contracts).unwrap();
            let context = SessionContext::new();
            let tables = NodeTables::open(&config, &contracts, &context.state()).await.unwrap();
            for (name, state) in tables.iter() {
                if let TableState::Conforming(table) = state {
                    context.register_table(name, table.provider.clone()).unwrap();
                }
            }
            let node = Node::open(&config, contracts).await.unwrap();
            nodes.insert(organisation, (node, context));
        }
        Self(nodes)
    }

    /// What nodes release of a question that is answered.
    pub(super) async fn share(&self, client: &mut Client, sql: &str) -> Share {
        let explained = client.ask(&format!("EXPLAIN {sql}")).await;
        let mut share = Share::default();
        for batch in &explained.batches {
            let text =
                |column: usize, row| array_value_to_string(batch.column(column), row).unwrap();
            for row in 0..batch.num_rows() {
                let (step, organisations, fragment) = (text(0, row), text(1, row), text(2, row));
                if !step.starts_with("fragment ") || fragment.starts_with("not asked") {
                    continue;
                }
                for organisation in organisations.split(", ") {
                    if let Some((node, context)) = self.0.get(organisation) {
                        share += of_fragment(node, context, &fragment).await;
                    }
                }
            }
        }
        share
    }
}

async fn of_fragment(node: &Arc<Node>, context: &SessionContext, fragment: &str) -> Share {
    let explanation = match node.explain(fragment).await {
        // It does not serve every table of the question, and is not asked.
        Err(EngineError::UnknownTable { .. }) => return Share::default(),
        explanation => explanation.unwrap(),
    };
    let Some(k) = explanation.k else { return Share::default() };
    let statuses = statuses(node, fragment).await;
    let counted = counted(context, &explanation, k).await;
    let schema = counted.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let place = |name: &str| names.iter().position(|known| *known == name).unwrap();
    let cells = (0..).take_while(|cell| names.contains(&format!("m{cell}").as_str()));
    let cells = cells.count() - explanation.added.len();
    let keys = place("m0");
    let mut share = Share::default();
    for row in 0..counted.num_rows() {
        let released = statuses.get(&key_of(&counted, keys, row));
        for cell in 0..cells {
            let column = place(&behind(&explanation.added, cell).name);
            let people = counted.column(column).as_primitive::<Int64Type>().value(row) as f64;
            let kept = released.is_some_and(|cells| cells[cell] == CellStatus::Released);
            let kept = if kept { 1.0 } else { 0.0 };
            let (cells_released, people_released) = (kept, people * kept);
            share += Share { cells: 1.0, cells_released, people, people_released };
        }
    }
    share
}

/// The column that counts who is behind a cell: its contributors, or everybody.
fn behind(added: &[AddedColumn], cell: usize) -> &AddedColumn {
    let name = format!("m{cell}");
    let of_cell = |column: &&AddedColumn| {
        column
            .role
            .split("; ")
            .filter_map(|role| role.strip_prefix("contributors: those of "))
            .any(|cells| cells.trim_end_matches(" (G2)").split(", ").any(|cell| *cell == name))
    };
    let everybody = |column: &&AddedColumn| column.role.contains("(G1)");
    added.iter().find(of_cell).or_else(|| added.iter().find(everybody)).unwrap()
}

/// Released groups: their keys, and what became of each cell.
async fn statuses(node: &Arc<Node>, fragment: &str) -> HashMap<Vec<String>, Vec<CellStatus>> {
    let request = BundleRequest {
        version: BUNDLE_VERSION,
        statement_id: "share".to_owned(),
        fragments: vec![fragment.to_owned()],
        statement: fragment.to_owned(),
        user: USER.to_owned(),
        purpose: None,
        on_unavailable: OnUnavailable::Fail,
        under: None,
        user_token: None,
        client_signature: None,
    };
    let answer = node.answer(USER, request).await.unwrap();
    let mut found = HashMap::new();
    for fragment in answer.fragments.get() {
        let ReleasedFragment::Cells(table) = fragment else { panic!("rows of people") };
        let cells = table.batch.columns()[table.keys..].chunks(4);
        let codes: Vec<_> = cells.map(|cell| cell[3].as_primitive::<UInt8Type>()).collect();
        for row in 0..table.batch.num_rows() {
            let of_row = codes.iter().map(|codes| CellStatus::from_code(codes.value(row)));
            found.insert(key_of(&table.batch, table.keys, row), of_row.collect());
        }
    }
    found
}

/// The fragment as the node runs it, its people counted to the end.
async fn counted(
    context: &SessionContext,
    explanation: &FragmentExplanation,
    k: u32,
) -> RecordBatch {
    let mut parts = explanation.text.split("\"hedgerow_people\"(");
    let mut text = parts.next().unwrap().to_owned();
    for part in parts {
        text.push_str("count(DISTINCT ");
        text.push_str(&part.replacen(&format!(", {k})"), ")", 1));
    }
    assert!(!text.contains("hedgerow_"), "{text}");
    let frame = context.sql(&text).await.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await.unwrap_or_else(|error| panic!("{error}\n{text}"));
    // The plan's schema and that of its batches may differ in what may be NULL.
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    concat_batches(&schema, &batches).unwrap()
}

fn key_of(batch: &RecordBatch, keys: usize, row: usize) -> Vec<String> {
    let text = |column: usize| {
        let values = batch.column(column);
        match values.is_null(row) {
            true => "NULL".to_owned(),
            false => format!("{:?}", array_value_to_string(values, row).unwrap()),
        }
    };
    (0..keys).map(text).collect()
}
