//! Groups that nobody released, where every key has public values (G6).
//!
//! ```text
//! SELECT organisation, sex, count(*) … GROUP BY 1, 2      sex: female, male, not_stated
//!   northmoor released    female 610   male 590
//!   northmoor, shown      female 610   male 590   not_stated [c]      none, or fewer than k
//! ```
//! A node leaves a group of fewer than k people out, and one that is not there, alike. Where the
//! contracts list a key's values, or the statement writes its bands, the group can be shown as
//! withheld instead: that says what was known before. It is the asker's choice, and made only where
//! no further reckoning is done over the groups. Main type: [`PublicGroups`].

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, new_null_array};
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::row::{RowConverter, SortField};
use datafusion::common::ScalarValue;
use datafusion::error::Result as DfResult;
use datafusion::logical_expr::LogicalPlan;
use hedgerow_policies::{
    Block, CellBounds, CellStatus, Expr, Literal, Measure, Output, TableContract, TypeName,
    cell_bounds,
};

use super::dispatch::FragmentAsk;
use super::federation::{Federation, KnownNode};
use crate::error::EngineError;

/// The most groups that are shown for one node.
const GROUPS_MAX: usize = 1_000;

/// The groups that a fragment may have, by public knowledge.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PublicGroups {
    /// For each key its values; `None` is the name of whoever is asked.
    keys: Vec<Option<Vec<Literal>>>,
    /// For each measure, what may be said of it where it is withheld.
    bounds: Vec<CellBounds>,
}

/// The aggregate whose groups are the rows of the answer, if there is one.
pub(crate) fn shown_groups(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Aggregate(_) => Some(plan),
        LogicalPlan::Projection(projection) => shown_groups(&projection.input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => shown_groups(&sort.input),
        LogicalPlan::Filter(filter) => shown_groups(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => shown_groups(&alias.input),
        _ => None,
    }
}

impl PublicGroups {
    /// The groups of a block whose keys all have public values; `None` where they have not, or are
    /// more than [`GROUPS_MAX`].
    pub(crate) fn of(block: &Block, tables: &[Arc<TableContract>]) -> Option<Self> {
        let Output::Groups { keys, measures } = &block.output else { return None };
        if keys.is_empty() || measures.is_empty() {
            return None;
        }
        let bounds = |measure: &Measure| cell_bounds(measure, tables);
        let keys: Vec<_> = keys.iter().map(|key| values_of(key, tables)).collect::<Option<_>>()?;
        let count = keys.iter().flatten().map(Vec::len).try_fold(1_usize, usize::checked_mul);
        let bounds = measures.iter().map(bounds).collect();
        count.filter(|count| *count <= GROUPS_MAX).map(|_| Self { keys, bounds })
    }

    /// The groups that a node did not release, as withheld; `None` where it released them all.
    /// `hidden` is the most people that it may hide in a group.
    pub(crate) fn withheld(
        &self,
        ask: &FragmentAsk,
        (federation, node): (&Federation, &KnownNode),
        hidden: u32,
        released: &[RecordBatch],
    ) -> Result<Option<RecordBatch>, EngineError> {
        // Which organisations are below a federation is not known here.
        if node.is_federation() && self.keys.iter().any(Option::is_none) {
            return Ok(None);
        }
        let keys = self.possible(&ask.block, federation, node.organisation());
        let columns = self.missing(ask, &keys, released).and_then(|keys| match keys {
            Some(keys) => self.with_cells(ask, keys, hidden).map(Some),
            None => Ok(None),
        });
        let columns = columns.map_err(EngineError::from_execution)?;
        let batch = columns.map(|columns| RecordBatch::try_new(ask.wire_schema(), columns));
        batch.transpose().map_err(|error| EngineError::internal("withheld groups", error))
    }

    /// All combinations of keys that the question's conditions do not exclude.
    fn possible(&self, block: &Block, federation: &Federation, node: &str) -> Vec<Vec<Literal>> {
        let Output::Groups { keys: asked, .. } = &block.output else { return vec![] };
        let mut all: Vec<Vec<Literal>> = vec![vec![]];
        for values in &self.keys {
            let own = || vec![Literal::utf8(node)];
            let values = values.clone().unwrap_or_else(own);
            let with = |row: &Vec<Literal>| {
                let row = row.clone();
                let with = |value: &Literal| row.iter().chain([value]).cloned().collect();
                values.iter().map(with).collect::<Vec<Vec<Literal>>>()
            };
            all = all.iter().flat_map(with).collect();
        }
        all.retain(|row| {
            let known = |expr: Expr| match asked.iter().position(|key| *key == expr) {
                Some(place) => row.get(place).cloned().map_or(expr, Expr::Literal),
                None => expr,
            };
            let excludes = |condition: &Expr| {
                federation.constant_truth(&condition.clone().map(&known)) == Some(false)
            };
            !block.filter.iter().any(excludes)
        });
        all
    }

    /// Of possible groups those that were not released, by column.
    fn missing(
        &self,
        ask: &FragmentAsk,
        possible: &[Vec<Literal>],
        released: &[RecordBatch],
    ) -> DfResult<Option<Vec<ArrayRef>>> {
        let types = || ask.schema.fields().iter().take(ask.keys).map(|field| field.data_type());
        let converter = RowConverter::new(types().map(|of| SortField::new(of.clone())).collect())?;
        let mut there = HashSet::new();
        for batch in released {
            let keys: Vec<ArrayRef> = batch.columns().iter().take(ask.keys).cloned().collect();
            let rows = converter.convert_columns(&keys)?;
            there.extend(rows.iter().map(|row| row.owned()));
        }
        if possible.is_empty() {
            return Ok(None);
        }
        let mut columns = vec![];
        for (place, data_type) in types().enumerate() {
            let value = |row: &Vec<Literal>| {
                let text = row.get(place).and_then(|value| value.text.clone());
                match text {
                    Some(text) => ScalarValue::try_from_string(text, data_type),
                    None => ScalarValue::try_new_null(data_type),
                }
            };
            let values = possible.iter().map(value).collect::<DfResult<Vec<_>>>()?;
            columns.push(ScalarValue::iter_to_array(values)?);
        }
        let all = converter.convert_columns(&columns)?;
        let missing: Vec<_> = all.iter().filter(|row| !there.contains(&row.owned())).collect();
        match missing.is_empty() {
            true => Ok(None),
            false => Ok(Some(converter.convert_rows(missing)?)),
        }
    }

    /// Keys with their cells: no value, and the bounds of what a node withholds.
    fn with_cells(
        &self,
        ask: &FragmentAsk,
        mut columns: Vec<ArrayRef>,
        hidden: u32,
    ) -> DfResult<Vec<ArrayRef>> {
        let rows = columns.first().map_or(0, |keys| keys.len());
        let measures = ask.schema.fields().iter().skip(ask.keys);
        for (field, bounds) in measures.zip(&self.bounds) {
            let none = || new_null_array(field.data_type(), rows);
            let bound = |people: u32| {
                ScalarValue::from(i64::from(people))
                    .cast_to(field.data_type())?
                    .to_array_of_size(rows)
            };
            let (lower, upper) = match bounds {
                CellBounds::People => (bound(0)?, bound(hidden)?),
                CellBounds::Rows => (bound(0)?, none()),
                CellBounds::Unknown => (none(), none()),
            };
            let status = ScalarValue::from(CellStatus::Withheld.code()).to_array_of_size(rows)?;
            columns.extend([none(), lower, upper, status]);
        }
        Ok(columns)
    }
}

/// The public values of a key: the outer `None` where it has none, the inner one for the
/// organisation that is asked.
fn values_of(key: &Expr, tables: &[Arc<TableContract>]) -> Option<Option<Vec<Literal>>> {
    match key {
        Expr::Organisation { .. } => Some(None),
        Expr::Column { relation, name } => {
            let column = tables.get(*relation)?.column(name)?;
            if column.domain.is_empty() && column.data_type == DataType::Boolean {
                return Some(Some(vec![Literal::boolean(false), Literal::boolean(true)]));
            }
            let value = |text: &String| Literal {
                data_type: TypeName(column.data_type.clone()),
                text: Some(text.clone()),
            };
            (!column.domain.is_empty()).then(|| Some(column.domain.iter().map(value).collect()))
        }
        // Bands, as they are written.
        Expr::Case { operand: None, branches, otherwise } => {
            let results = branches.iter().map(|(_, then)| then);
            let results = results.chain(otherwise.as_deref());
            let mut values: Vec<Literal> = vec![];
            for result in results {
                let Expr::Literal(value) = result else { return None };
                if value.text.is_some() && !values.contains(value) {
                    values.push(value.clone());
                }
            }
            Some(Some(values))
        }
        _ => None,
    }
}
