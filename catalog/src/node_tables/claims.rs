//! What a contract claims of values, against the rows that are there. Entry: [`departures`].
//!
//! Disclosure rules believe these claims, so a node looks for itself when it starts:
//!
//! | claim | of | what would be wrong without |
//! | --- | --- | --- |
//! | `unique`, `keys` | all tables | joins repeat rows (rule S5) |
//! | `within_person` | protected tables | joins bring people together who have nothing to do with each other (S5) |
//! | `continuous` | protected tables | moments of few values tell how often each occurs (S3) |
//! | `range`, `domain` | protected tables | a capped key has more values than it seems (S2), and values are not looked at one by one (G3) |
//! | `nullable = false` | protected tables | `NOT IN` is not `NOT EXISTS` (S5), and who has no value is not counted (G3) |
//!
//! Keys are counted, never estimated: one grouping for each key, one for each identifier that is
//! `within_person` and no key, and one pass over the columns with a range or domain. NULLs are
//! counted by the files' own statistics where they have some. NULL is nobody and nothing: it neither
//! repeats a key nor lies outside of anything. Columns without a role are not looked at, since
//! nobody can ask for them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::functions_aggregate::expr_fn::{bool_or, count, max, min};
use datafusion::logical_expr::Expr;
use datafusion::prelude::{DataFrame, SessionContext, cast, ident, lit};
use futures::FutureExt;
use hedgerow_policies::{ColumnContract, K_FLOOR, TableContract};

use crate::config::Limits;

/// Different values that a `continuous` column has at least.
const CONTINUOUS_MIN: usize = 100;
/// Checks that take longer are worth a line in the log.
const SLOW: Duration = Duration::from_secs(1);

// What is computed of a group. No column of a contract has such a name.
const ROWS: &str = "number of rows";
const FIRST: &str = "first person";
const LAST: &str = "last person";

/// Lists what keeps the rows from being what the contract claims; empty when nothing does. Names
/// columns and claims, never a value or a number of rows.
pub(super) async fn departures(
    contract: &TableContract,
    rows: &Arc<dyn TableProvider>,
    state: &SessionState,
    limits: &Limits,
) -> Vec<String> {
    let start = Instant::now();
    let looked = look(contract, Arc::clone(rows), state, limits);
    // Readers of damaged files may panic; the node starts without the table.
    let looked = AssertUnwindSafe(looked).catch_unwind().await;
    let took = start.elapsed();
    if took >= SLOW {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(table = contract.name, duration_ms, "rows compared with the contract");
    }
    match looked {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => vec![unread(&contract.name, &error)],
        Err(_) => vec![UNREADABLE.to_owned()],
    }
}

const UNREADABLE: &str = "the rows cannot be compared with the contract: a data file cannot be \
                          read, or a value does not fit its type";

/// Why the rows could not be looked at. An error may quote values, so only those about files are
/// logged.
fn unread(table: &str, error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            "the rows cannot be compared with the contract in the memory of one statement: raise \
             `limits.memory_bytes_max_per_query`"
                .to_owned()
        }
        DataFusionError::ParquetError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::IoError(_) => {
            tracing::warn!(table, %error, "a data file cannot be read");
            UNREADABLE.to_owned()
        }
        _ => UNREADABLE.to_owned(),
    }
}

async fn look(
    contract: &TableContract,
    rows: Arc<dyn TableProvider>,
    state: &SessionState,
    limits: &Limits,
) -> Result<Vec<String>> {
    let frame = session(state, limits)?.read_table(rows)?;
    let rows = Rows { contract, frame };
    let mut found = vec![];
    if contract.is_protected() {
        let counts = rows.counts().await?;
        found.extend(counts.nulls());
        found.extend(rows.strays().await?);
        found.extend(rows.too_few_values(&counts).await?);
    }
    found.extend(rows.repeated_keys().await?);
    if contract.is_protected() {
        found.extend(rows.of_several_people().await?);
    }
    Ok(found)
}

/// A session with the node's own rules and the memory of one statement. Nothing is spilled to disk,
/// as when questions are answered.
fn session(state: &SessionState, limits: &Limits) -> Result<SessionContext> {
    let bytes_max = limits.memory_bytes_max_per_query.min(limits.memory_bytes_max);
    let no_files = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::from_runtime_env(state.runtime_env())
        .with_disk_manager_builder(no_files)
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(bytes_max)))
        .build_arc()?;
    let state = SessionStateBuilder::new_from_existing(state.clone()).with_runtime_env(runtime);
    Ok(SessionContext::new_with_state(state.build()))
}

/// How many rows there are, and in how many of them a column is not NULL.
struct Counts<'c> {
    rows: i64,
    values: Vec<(&'c ColumnContract, i64)>,
}

impl Counts<'_> {
    fn nulls(&self) -> impl Iterator<Item = String> {
        let wrong = move |(column, values): &&(&ColumnContract, i64)| {
            !column.nullable && *values < self.rows
        };
        self.values.iter().filter(wrong).map(|(column, _)| {
            format!("column `{}`: contract says nullable = false, table has NULL", column.name)
        })
    }
}

/// The rows of one table beside its contract.
struct Rows<'c> {
    contract: &'c TableContract,
    frame: DataFrame,
}

impl<'c> Rows<'c> {
    fn visible(&self) -> impl Iterator<Item = &'c ColumnContract> {
        self.contract.columns.iter().filter(|column| !column.roles.is_empty())
    }

    fn frame(&self) -> DataFrame {
        self.frame.clone()
    }

    async fn counts(&self) -> Result<Counts<'c>> {
        let counted = |column: &&ColumnContract| !column.nullable || column.continuous;
        let columns: Vec<&ColumnContract> = self.visible().filter(counted).collect();
        let values = columns.iter().map(|column| count(ident(&column.name)));
        let row = self.one_row(std::iter::once(count(lit(1_i64))).chain(values)).await?;
        let mut numbers = row.columns().iter().map(|column| {
            let column = column.as_primitive_opt::<Int64Type>();
            column.and_then(|column| column.iter().next().flatten()).unwrap_or_default()
        });
        let rows = numbers.next().unwrap_or_default();
        Ok(Counts { rows, values: columns.into_iter().zip(numbers).collect() })
    }

    /// Columns with values outside of their range or domain.
    async fn strays(&self) -> Result<Vec<String>> {
        let (mut found, mut claims, mut strays) = (vec![], vec![], vec![]);
        for column in self.visible() {
            let name = &column.name;
            if let Some((low, high)) = column.range {
                if column.data_type.is_numeric() {
                    claims.push(format!(
                        "column `{name}`: contract says range {low} to {high}, table has values \
                         outside of it"
                    ));
                    strays.push(outside(name, low, high));
                } else {
                    found.push(format!(
                        "column `{name}`: contract says range, which only numbers have"
                    ));
                }
            }
            if !column.domain.is_empty() {
                claims.push(format!(
                    "column `{name}`: contract says domain, table has values that are not in it"
                ));
                strays.push(unlisted(column));
            }
        }
        if strays.is_empty() {
            return Ok(found);
        }
        let row = self.one_row(strays.into_iter().map(bool_or)).await?;
        for (claim, stray) in claims.into_iter().zip(row.columns()) {
            let stray = stray.as_boolean_opt().and_then(|stray| stray.iter().next().flatten());
            if stray == Some(true) {
                found.push(claim);
            }
        }
        Ok(found)
    }

    /// Measures that are called continuous and are not.
    async fn too_few_values(&self, counts: &Counts<'_>) -> Result<Vec<String>> {
        let mut found = vec![];
        for (column, values) in counts.values.iter().filter(|(column, _)| column.continuous) {
            let Some(needed) = different_values_needed(*values) else { continue };
            let name = || ident(&column.name);
            let different = self.frame().filter(name().is_not_null())?.select([name()])?;
            // The limit ends the reading as soon as there are enough.
            let different = different.distinct()?.limit(0, Some(needed))?.count().await?;
            if different < needed {
                found.push(format!(
                    "column `{}`: contract says continuous, table has too few different values: \
                     {CONTINUOUS_MIN}, or as many as half of its values where these are fewer \
                     than {}",
                    column.name,
                    2 * CONTINUOUS_MIN
                ));
            }
        }
        Ok(found)
    }

    async fn repeated_keys(&self) -> Result<Vec<String>> {
        let mut found = vec![];
        for key in keys(self.contract) {
            let columns: Vec<Expr> = key.columns.iter().map(|name| ident(*name)).collect();
            let known = columns.iter().cloned().map(Expr::is_not_null).reduce(Expr::and);
            let Some(known) = known else { continue };
            let rows = vec![count(lit(1_i64)).alias(ROWS)];
            let groups = self.frame().filter(known)?.aggregate(columns, rows)?;
            if is_any(groups.filter(ident(ROWS).gt(lit(1_i64)))?).await? {
                found.push(key.repeated());
            }
        }
        Ok(found)
    }

    /// Identifiers that should belong to one person and do not.
    async fn of_several_people(&self) -> Result<Vec<String>> {
        let Some(person) = self.contract.person() else { return Ok(vec![]) };
        let keys = keys(self.contract);
        let is_key = |name: &str| keys.iter().any(|key| key.columns == [name]);
        let mut found = vec![];
        for column in self.visible().filter(|column| column.within_person) {
            // A row has one person, and so has what only one row has.
            if column.name == person.column || is_key(&column.name) {
                continue;
            }
            let name = || ident(&column.name);
            let person = || ident(&person.column);
            let ends = vec![min(person()).alias(FIRST), max(person()).alias(LAST)];
            let groups =
                self.frame().filter(name().is_not_null())?.aggregate(vec![name()], ends)?;
            if is_any(groups.filter(ident(FIRST).not_eq(ident(LAST)))?).await? {
                found.push(format!(
                    "column `{}`: contract says within_person, table has a value of several people",
                    column.name
                ));
            }
        }
        Ok(found)
    }

    /// Aggregates over all rows.
    async fn one_row(&self, aggregates: impl Iterator<Item = Expr>) -> Result<RecordBatch> {
        let numbered = aggregates.enumerate().map(|(place, expr)| expr.alias(format!("a{place}")));
        let batches = self.frame().aggregate(vec![], numbered.collect())?.collect().await?;
        let row = batches.into_iter().find(|batch| batch.num_rows() > 0);
        row.ok_or_else(|| DataFusionError::Internal("an aggregate without a row".to_owned()))
    }
}

async fn is_any(rows: DataFrame) -> Result<bool> {
    Ok(rows.limit(0, Some(1))?.count().await? > 0)
}

/// NaN is larger than every number.
fn outside(name: &str, low: f64, high: f64) -> Expr {
    cast(ident(name), DataType::Float64).not_between(lit(low), lit(high))
}

/// Domains are texts, whatever the type of the column.
fn unlisted(column: &ColumnContract) -> Expr {
    let value = match column.data_type {
        DataType::Utf8 => ident(&column.name),
        _ => cast(ident(&column.name), DataType::Utf8),
    };
    value.in_list(column.domain.iter().map(|text| lit(text.as_str())).collect(), true)
}

/// How many different values a continuous column has at least, among so many; `None` where there are
/// so few that no moment of them is ever released.
///
/// In a small table as many different values cannot be asked for: a clinic of sixty spells is as
/// continuous as a hospital's. What is no measurement but a code repeats itself even there.
fn different_values_needed(values: i64) -> Option<usize> {
    let values = usize::try_from(values).ok()?;
    (values >= K_FLOOR as usize).then(|| values.div_ceil(2).min(CONTINUOUS_MIN))
}

/// Columns that name a row together, and the word of the contract that says so.
struct Key<'c> {
    columns: Vec<&'c str>,
    says: &'static str,
}

impl Key<'_> {
    fn repeated(&self) -> String {
        let says = self.says;
        match self.columns.as_slice() {
            [one] => format!("column `{one}`: contract says {says}, table has a value twice"),
            all => format!(
                "columns `{}`: contract says {says}, table has rows that are equal in all of them",
                all.join("`, `")
            ),
        }
    }
}

/// The keys that can be asked about, without those that follow from another.
fn keys(contract: &TableContract) -> Vec<Key<'_>> {
    let is_visible =
        |name: &&str| contract.column(name).is_some_and(|column| !column.roles.is_empty());
    let unique = contract.columns.iter().filter(|column| column.unique);
    let unique = unique.map(|column| Key { columns: vec![&column.name], says: "unique" });
    let listed = contract.keys.iter().map(|key| {
        let columns = key.iter().map(String::as_str).collect();
        Key { columns, says: "keys" }
    });
    let mut all: Vec<Key<'_>> = unique.chain(listed).collect();
    all.retain(|key| !key.columns.is_empty() && key.columns.iter().all(is_visible));
    all.sort_by_key(|key| key.columns.len());
    let mut kept: Vec<Key<'_>> = vec![];
    for key in all {
        let follows = |known: &Key<'_>| known.columns.iter().all(|name| key.columns.contains(name));
        if !kept.iter().any(follows) {
            kept.push(key);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
