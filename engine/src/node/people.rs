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
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt64Type};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use datafusion::common::{Result, ScalarValue, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility,
};

/// The aggregate, to be registered in a node's session.
pub(crate) fn people_udaf() -> Arc<AggregateUDF> {
    static UDAF: LazyLock<Arc<AggregateUDF>> =
        LazyLock::new(|| Arc::new(AggregateUDF::from(People::new())));
    Arc::clone(&UDAF)
}

static HASH_KEY: LazyLock<RandomState> =
    LazyLock::new(|| RandomState::with_seed(StdRandomState::new().hash_one(0_u8)));

#[derive(Debug, PartialEq, Eq, Hash)]
struct People {
    signature: Signature,
}

impl People {
    fn new() -> Self {
        Self { signature: Signature::any(2, Volatility::Immutable) }
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
        Ok(Box::new(Single(Groups::new(threshold(&args)?))))
    }

    fn groups_accumulator_supported(&self, _args: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups::new(threshold(&args)?)))
    }
}

/// k, which must be a constant.
fn threshold(args: &AccumulatorArgs<'_>) -> Result<usize> {
    let k = args
        .exprs
        .get(1)
        .and_then(|e| e.downcast_ref::<datafusion::physical_expr::expressions::Literal>())
        .and_then(|literal| match literal.value() {
            ScalarValue::Int64(Some(k)) => usize::try_from(*k).ok(),
            _ => None,
        });
    match k {
        Some(k) if k > 0 => Ok(k),
        _ => internal_err!("hedgerow_people needs a constant threshold"),
    }
}

/// Up to k hashes per group, side by side in one vector.
#[derive(Debug)]
struct Groups {
    k: usize,
    counts: Vec<u32>,
    hashes: Vec<u64>,
    scratch: Vec<u64>,
}

impl Groups {
    fn new(k: usize) -> Self {
        Self { k, counts: vec![], hashes: vec![], scratch: vec![] }
    }

    fn grow(&mut self, total: usize) {
        self.counts.resize(total, 0);
        self.hashes.resize(total * self.k, 0);
    }

    fn insert(&mut self, group: usize, hash: u64) {
        let first = group * self.k;
        let (Some(count), Some(seen)) =
            (self.counts.get_mut(group), self.hashes.get_mut(first..first + self.k))
        else {
            return;
        };
        let n = *count as usize;
        let known = seen.iter().take(n).any(|known| *known == hash);
        if !known && let Some(free) = seen.get_mut(n) {
            *free = hash;
            *count += 1;
        }
    }

    fn add_rows(
        &mut self,
        people: &ArrayRef,
        groups: impl Iterator<Item = usize>,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        scratch.resize(people.len(), 0);
        create_hashes([people], &*HASH_KEY, &mut scratch)?;
        let full = u32::try_from(self.k).unwrap_or(u32::MAX);
        for (row, (group, hash)) in groups.zip(&scratch).enumerate() {
            if filter.is_some_and(|f| f.is_null(row) || !f.value(row)) {
                continue;
            }
            if self.counts.get(group).is_some_and(|count| *count < full) {
                let hash = if people.is_null(row) { 0 } else { *hash };
                self.insert(group, hash);
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    fn merge(&mut self, states: &ArrayRef, groups: impl Iterator<Item = usize>) {
        let lists = states.as_list::<i32>();
        for (row, group) in groups.enumerate() {
            if lists.is_valid(row) {
                for hash in lists.value(row).as_primitive::<UInt64Type>().values() {
                    self.insert(group, *hash);
                }
            }
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> (Vec<u32>, Vec<u64>) {
        match emit_to {
            EmitTo::All => (std::mem::take(&mut self.counts), std::mem::take(&mut self.hashes)),
            EmitTo::First(n) => {
                let counts = self.counts.split_off(n.min(self.counts.len()));
                let hashes = self.hashes.split_off((n * self.k).min(self.hashes.len()));
                (
                    std::mem::replace(&mut self.counts, counts),
                    std::mem::replace(&mut self.hashes, hashes),
                )
            }
        }
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
            Some(people) => self.add_rows(people, group_indices.iter().copied(), opt_filter),
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
            self.merge(states, group_indices.iter().copied());
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.counts.capacity() * 4 + (self.hashes.capacity() + self.scratch.capacity()) * 8
    }
}

/// One list of hashes per group.
fn hash_lists(counts: &[u32], hashes: Vec<u64>) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths(counts.iter().map(|n| *n as usize));
    let item = Arc::new(Field::new_list_field(DataType::UInt64, false));
    Ok(Arc::new(ListArray::try_new(item, offsets, Arc::new(UInt64Array::from(hashes)), None)?))
}

/// The same for a question without group keys.
#[derive(Debug)]
struct Single(Groups);

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.0.grow(1);
        match values.first() {
            Some(people) => self.0.add_rows(people, std::iter::repeat_n(0, people.len()), None),
            None => internal_err!("hedgerow_people without a person"),
        }
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.0.grow(1);
        let counted = self.0.counts.first().copied().unwrap_or(0);
        Ok(ScalarValue::Int64(Some(i64::from(counted))))
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.0.grow(1);
        let state = GroupsAccumulator::state(&mut self.0, EmitTo::All)?;
        state.iter().map(|list| ScalarValue::try_from_array(list, 0)).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0.grow(1);
        if let Some(states) = states.first() {
            self.0.merge(states, std::iter::repeat_n(0, states.len()));
        }
        Ok(())
    }
}
