//! `hedgerow_people(person, k)`: distinct people in a group, counted no further than k.
//!
//! Keeps up to k keyed 64-bit hashes per group. Two people with one hash count as one, so the count
//! is never too high: a mistake withholds. All NULLs are one person. The key is drawn once per
//! process, so nobody outside can look for collisions.

use std::hash::{BuildHasher, RandomState as StdRandomState};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, UInt64Array,
};
use datafusion::arrow::buffer::{BooleanBuffer, OffsetBuffer};
use datafusion::arrow::compute::take;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature,
    Volatility,
};

/// The aggregate, to be registered in a node's session.
pub(crate) fn people_udaf() -> Arc<AggregateUDF> {
    static UDAF: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::from(People::new())));
    Arc::clone(&UDAF)
}

pub(super) static HASH_KEY: LazyLock<RandomState> =
    LazyLock::new(|| RandomState::with_seed(StdRandomState::new().hash_one(0_u8)));

#[derive(Debug, PartialEq, Eq, Hash)]
struct People {
    signature: Signature,
    /// k, once it was taken from the arguments.
    k: Option<i64>,
}

impl People {
    fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable), k: None }
    }

    fn up_to(k: i64) -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable), k: Some(k) }
    }

    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<Groups> {
        let k = self.k.or_else(|| {
            let k = args.exprs.get(1)?;
            let k = k.downcast_ref::<datafusion::physical_expr::expressions::Literal>()?;
            constant(k.value())
        });
        match k.and_then(|k| usize::try_from(k).ok()) {
            Some(k) if k > 0 => Ok(Groups::new(k)),
            _ => internal_err!("hedgerow_people needs a constant threshold"),
        }
    }
}

pub(super) fn constant(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::Int64(k) => *k,
        _ => None,
    }
}

impl AggregateUDFImpl for People {
    fn name(&self) -> &str {
        "hedgerow_people"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let item = Arc::new(Field::new_list_field(DataType::UInt64, false));
        Ok(vec![Arc::new(Field::new(
            format!("{}[hashes]", args.name),
            DataType::List(item),
            false,
        ))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Single(self.groups(&args)?)))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(self.groups(&args)?))
    }

    /// Takes k out of the arguments: it would be written out for every row.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        if self.k.is_some() {
            return None;
        }
        Some(Box::new(|call, _| {
            let AggregateFunction { func, mut params } = call;
            let k = match params.args.get(1) {
                Some(Expr::Literal(k, _)) => constant(k),
                _ => None,
            };
            let func = match k {
                Some(k) => {
                    params.args.truncate(1);
                    Arc::new(AggregateUDF::from(People::up_to(k)))
                }
                None => func,
            };
            Ok(Expr::AggregateFunction(AggregateFunction { func, params }))
        }))
    }
}

/// Up to k hashes per group, side by side in one vector.
#[derive(Debug)]
struct Groups {
    k: usize,
    counts: Vec<u32>,
    hashes: Vec<u64>,
    /// Groups with k people: their rows are not looked at any more.
    full: usize,
    scratch: Vec<u64>,
}

impl Groups {
    fn new(k: usize) -> Self {
        Self { k, counts: vec![], hashes: vec![], full: 0, scratch: vec![] }
    }

    fn grow(&mut self, total: usize) {
        self.counts.resize(total, 0);
        self.hashes.resize(total * self.k, 0);
    }

    fn is_full(&self, group: usize) -> bool {
        self.counts.get(group).is_none_or(|count| *count as usize >= self.k)
    }

    fn insert(&mut self, group: usize, hash: u64) {
        let Some(count) = self.counts.get_mut(group) else { return };
        let n = *count as usize;
        let first = group * self.k;
        let Some(seen) = self.hashes.get_mut(first..first + self.k) else { return };
        if n < self.k
            && !seen.iter().take(n).any(|known| *known == hash)
            && let Some(free) = seen.get_mut(n)
        {
            *free = hash;
            *count += 1;
            self.full += usize::from(n + 1 == self.k);
        }
    }

    /// Adds the people of a batch. Most batches of a large table find all groups full and cost
    /// nothing; otherwise only the rows of groups that are not full are hashed.
    fn add_rows(
        &mut self,
        people: &ArrayRef,
        group_of: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        if self.full == self.counts.len() {
            return Ok(());
        }
        let wanted = |row: &usize| !self.is_full(group_of(*row));
        let rows: Vec<usize> = match filter.map(truths) {
            None => (0..people.len()).filter(wanted).collect(),
            Some(met) => met.set_indices().filter(wanted).collect(),
        };
        if rows.is_empty() {
            return Ok(());
        }
        let people = if rows.len() == people.len() {
            Arc::clone(people)
        } else {
            take(people, &UInt64Array::from_iter_values(rows.iter().map(|row| *row as u64)), None)?
        };
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.resize(people.len(), 0);
        create_hashes([&people], &*HASH_KEY, &mut scratch)?;
        for (place, (row, hash)) in rows.into_iter().zip(&scratch).enumerate() {
            self.insert(group_of(row), if people.is_null(place) { 0 } else { *hash });
        }
        self.scratch = scratch;
        Ok(())
    }

    fn merge(&mut self, states: &ArrayRef, group_of: impl Fn(usize) -> usize) {
        let lists = states.as_list::<i32>();
        let hashes = lists.values().as_primitive::<UInt64Type>().values();
        for (row, ends) in lists.value_offsets().windows(2).enumerate() {
            let group = group_of(row);
            if lists.is_null(row) || self.is_full(group) {
                continue;
            }
            // Offsets of a list array never decrease and are never negative.
            if let [start, end] = ends
                && let Some(own) = hashes.get(*start as usize..*end as usize)
            {
                for hash in own {
                    self.insert(group, *hash);
                }
            }
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> (Vec<u32>, Vec<u64>) {
        let taken = match emit_to {
            EmitTo::All => (std::mem::take(&mut self.counts), std::mem::take(&mut self.hashes)),
            EmitTo::First(n) => {
                let counts = self.counts.split_off(n.min(self.counts.len()));
                let hashes = self.hashes.split_off((n * self.k).min(self.hashes.len()));
                (
                    std::mem::replace(&mut self.counts, counts),
                    std::mem::replace(&mut self.hashes, hashes),
                )
            }
        };
        self.full = (0..self.counts.len()).filter(|group| self.is_full(*group)).count();
        taken
    }
}

/// Where a condition is met: true, and not NULL.
pub(super) fn truths(filter: &BooleanArray) -> BooleanBuffer {
    match filter.nulls() {
        None => filter.values().clone(),
        Some(valid) => filter.values() & valid.inner(),
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        match values.first() {
            Some(people) => self.add_rows(people, in_groups(group_indices), opt_filter),
            None => internal_err!("hedgerow_people without a person"),
        }
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let (counts, _) = self.take(emit_to);
        Ok(Arc::new(counts.into_iter().map(|n| Some(i64::from(n))).collect::<Int64Array>()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let (counts, hashes) = self.take(emit_to);
        let kept: Vec<u64> = hashes
            .chunks(self.k)
            .zip(&counts)
            .flat_map(|(seen, n)| seen.iter().take(*n as usize).copied())
            .collect();
        Ok(vec![hash_lists(&counts, kept)?])
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let Some(people) = values.first() else {
            return internal_err!("hedgerow_people without a person");
        };
        let mut hashes = vec![0; people.len()];
        create_hashes([people], &*HASH_KEY, &mut hashes)?;
        let counted = |row: usize| opt_filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        let counts: Vec<u32> = (0..people.len()).map(|row| u32::from(counted(row))).collect();
        let kept = hashes
            .into_iter()
            .enumerate()
            .filter(|(row, _)| counted(*row))
            .map(|(row, hash)| if people.is_null(row) { 0 } else { hash })
            .collect();
        Ok(vec![hash_lists(&counts, kept)?])
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        if let Some(states) = values.first() {
            self.merge(states, in_groups(group_indices));
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.counts.capacity() * 4 + (self.hashes.capacity() + self.scratch.capacity()) * 8
    }
}

/// The group of a row; one that does not exist where there is none.
pub(super) fn in_groups(indices: &[usize]) -> impl Fn(usize) -> usize {
    |row| indices.get(row).copied().unwrap_or(usize::MAX)
}

/// One list per group, with `wide` values for each of its people.
pub(super) fn lists(
    people: impl IntoIterator<Item = usize>,
    wide: usize,
    values: ArrayRef,
) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(people.into_iter().map(|n| n * wide));
    let item = Arc::new(Field::new_list_field(values.data_type().clone(), false));
    Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
}

fn hash_lists(counts: &[u32], hashes: Vec<u64>) -> Result<ArrayRef> {
    let counts = counts.iter().map(|n| *n as usize);
    lists(counts, 1, Arc::new(UInt64Array::from(hashes)))
}

/// The same for a question without group keys.
#[derive(Debug)]
pub(super) struct Single<G>(pub(super) G);

impl<G: GroupsAccumulator + Sync + std::fmt::Debug> Accumulator for Single<G> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = values.first().map_or(0, |values| values.len());
        self.0.update_batch(values, &vec![0; rows], None, 1)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.merge_batch(&[], &[], 1)?;
        ScalarValue::try_from_array(&self.0.evaluate(EmitTo::All)?, 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.merge_batch(&[], &[], 1)?;
        let state = self.0.state(EmitTo::All)?;
        state.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = states.first().map_or(0, |states| states.len());
        self.0.merge_batch(states, &vec![0; rows], 1)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    fn counts(groups: &mut Groups, emit_to: EmitTo) -> Vec<i64> {
        groups.evaluate(emit_to).unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    fn people(numbers: Vec<Option<i64>>) -> ArrayRef {
        Arc::new(Int64Array::from(numbers))
    }

    #[test]
    fn people_are_counted_no_further_than_k() {
        let mut groups = Groups::new(3);
        let one = people(vec![Some(1), Some(1), None, None, Some(7), Some(8), Some(9), Some(10)]);
        groups.update_batch(&[one], &[0, 0, 0, 0, 1, 1, 1, 1], None, 2).unwrap();
        // Group 1 is full, group 0 is not, group 2 is new.
        let two = people(vec![Some(11), Some(1), Some(2), Some(5)]);
        groups.update_batch(&[two], &[1, 0, 0, 2], None, 3).unwrap();
        assert_eq!(counts(&mut groups, EmitTo::First(1)), [3]);
        groups.update_batch(&[people(vec![Some(6)])], &[1], None, 2).unwrap();
        assert_eq!(counts(&mut groups, EmitTo::All), [3, 2]);
    }

    #[test]
    fn only_rows_that_meet_the_condition_count() {
        let mut groups = Groups::new(5);
        let met = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
        let rows = people(vec![Some(1), Some(2), Some(3), Some(4)]);
        groups.update_batch(&[rows], &[0, 0, 0, 1], Some(&met), 2).unwrap();
        assert_eq!(counts(&mut groups, EmitTo::All), [1, 1]);
    }

    #[test]
    fn parts_are_merged_person_by_person() {
        let part = |numbers: &[i64]| {
            let mut groups = Groups::new(4);
            let rows = people(numbers.iter().copied().map(Some).collect());
            groups.update_batch(&[rows], &vec![0; numbers.len()], None, 1).unwrap();
            groups.state(EmitTo::All).unwrap()
        };
        let mut groups = Groups::new(4);
        for numbers in [&[1, 2][..], &[2, 3], &[3]] {
            groups.merge_batch(&part(numbers), &[0], 1).unwrap();
        }
        assert_eq!(groups.full, 0);
        groups.merge_batch(&part(&[4, 5, 6]), &[0], 1).unwrap();
        assert_eq!(groups.full, 1);
        assert_eq!(counts(&mut groups, EmitTo::All), [4]);
    }
}
