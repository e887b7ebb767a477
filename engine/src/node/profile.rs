//! `hedgerow_profile(person, k, p, n, share, conditions, c…, x…)`: what every person has to do with a
//! group, as one bit per proof (rules G3 and G4).
//!
//! ```text
//! (group, person) -> conditions the person met in some row | sum of |x| for each x
//!    bit 31 + i   k people or more never met condition i
//!    bit j        nobody's part in x j is too large: p%, and (n, share)
//! ```
//! Shares are in millionths. People are told apart by keyed 64-bit hashes; two people with one hash
//! are one, which makes the others fewer and the largest larger: a mistake withholds. What is no
//! finite number proves nothing. Sums are floating point.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, UInt64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::hash_utils::create_hashes;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature,
    Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use hedgerow_policies::PROFILE_CONDITION_BIT;

use super::people::{HASH_KEY, Single, constant, in_groups, lists, truths};

/// How many constants follow the person.
const RULES: usize = 5;
const MILLION: f64 = 1_000_000.0;

/// The aggregate, to be registered in a node's session.
pub(crate) fn profile_udaf() -> Arc<AggregateUDF> {
    static UDAF: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
        let signature = Signature::variadic_any(Volatility::Immutable);
        Arc::new(AggregateUDF::from(Profile { signature, rules: None }))
    });
    Arc::clone(&UDAF)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Profile {
    signature: Signature,
    /// Once they were taken from the arguments.
    rules: Option<Rules>,
}

/// What is to be proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Rules {
    k: usize,
    /// Millionths of the largest part that must be left without the two largest.
    p: u32,
    /// How many people's share is looked at.
    n: usize,
    /// Their largest share, in millionths.
    share: u32,
    /// How many of the arguments are conditions; the others are amounts.
    conditions: usize,
}

impl Rules {
    fn of(numbers: &[i64]) -> Option<Self> {
        let [k, p, n, share, conditions] = numbers else { return None };
        Some(Self {
            k: usize::try_from(*k).ok()?,
            p: u32::try_from(*p).ok()?,
            n: usize::try_from(*n).ok()?,
            share: u32::try_from(*share).ok()?,
            conditions: usize::try_from(*conditions).ok()?,
        })
    }
}

impl Profile {
    fn groups(&self, args: &AccumulatorArgs<'_>) -> Result<Groups> {
        let (rules, first) = match self.rules {
            Some(rules) => (Some(rules), 1),
            None => {
                let constants = args.exprs.iter().skip(1).take(RULES);
                let numbers = constants.map_while(|expr| {
                    expr.downcast_ref::<Literal>().and_then(|literal| constant(literal.value()))
                });
                (Rules::of(&numbers.collect::<Vec<_>>()), 1 + RULES)
            }
        };
        match rules {
            Some(rules) => Ok(Groups::new(rules, first, args.exprs.len())),
            None => internal_err!("hedgerow_profile needs constant rules"),
        }
    }
}

impl AggregateUDFImpl for Profile {
    fn name(&self) -> &str {
        "hedgerow_profile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let list = |what: &str, item: DataType| {
            let item = Arc::new(Field::new_list_field(item, false));
            Arc::new(Field::new(format!("{}[{what}]", args.name), DataType::List(item), false))
        };
        Ok(vec![
            list("people", DataType::UInt64),
            list("met", DataType::UInt64),
            list("totals", DataType::Float64),
        ])
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

    /// Takes the rules out of the arguments: they would be written out for every row.
    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        if self.rules.is_some() {
            return None;
        }
        Some(Box::new(|call, _| {
            let AggregateFunction { func, mut params } = call;
            let numbers = params.args.iter().skip(1).take(RULES).map_while(|expr| match expr {
                Expr::Literal(value, _) => constant(value),
                _ => None,
            });
            let func = match Rules::of(&numbers.collect::<Vec<_>>()) {
                Some(rules) => {
                    params.args.drain(1..=RULES);
                    let signature = Signature::variadic_any(Volatility::Immutable);
                    Arc::new(AggregateUDF::from(Profile { signature, rules: Some(rules) }))
                }
                None => func,
            };
            Ok(Expr::AggregateFunction(AggregateFunction { func, params }))
        }))
    }
}

/// One person of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    group: usize,
    person: u64,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The person is a keyed hash already.
        state.write_u64(self.person ^ (self.group as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
}

/// Takes a number that is a hash for one.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// What is known of the people of all groups.
#[derive(Debug)]
struct Groups {
    rules: Rules,
    /// Where conditions begin among the arguments.
    first: usize,
    /// How many amounts there are.
    amounts: usize,
    /// How many groups there are.
    total: usize,
    places: HashMap<Key, usize, BuildHasherDefault<AsIs>>,
    /// By place: whom it is of.
    keys: Vec<Key>,
    /// By place: which conditions were met.
    met: Vec<u64>,
    /// By place, amounts side by side.
    totals: Vec<f64>,
    hashes: Vec<u64>,
}

impl Groups {
    fn new(rules: Rules, first: usize, arguments: usize) -> Self {
        Self {
            rules,
            first,
            amounts: arguments.saturating_sub(first + rules.conditions),
            total: 0,
            places: HashMap::default(),
            keys: vec![],
            met: vec![],
            totals: vec![],
            hashes: vec![],
        }
    }

    fn place(&mut self, key: Key) -> usize {
        if let Some(place) = self.places.get(&key) {
            return *place;
        }
        let place = self.keys.len();
        self.places.insert(key, place);
        self.keys.push(key);
        self.met.push(0);
        self.totals.resize(self.totals.len() + self.amounts, 0.0);
        place
    }

    fn add(&mut self, place: usize, met: u64, parts: impl Iterator<Item = f64>) {
        if let Some(known) = self.met.get_mut(place) {
            *known |= met;
        }
        let first = place * self.amounts;
        let own = self.totals.get_mut(first..first + self.amounts).unwrap_or_default();
        for (total, part) in own.iter_mut().zip(parts) {
            *total += part.abs();
        }
    }

    fn add_rows(
        &mut self,
        values: &[ArrayRef],
        group_of: impl Fn(usize) -> usize,
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let Some(people) = values.first() else {
            return internal_err!("hedgerow_profile without a person");
        };
        let (conditions, amounts) = self.arguments(values)?;
        let met = met_by_row(&conditions, people.len());
        let mut hashes = std::mem::take(&mut self.hashes);
        hashes.clear();
        hashes.resize(people.len(), 0);
        create_hashes([people], &*HASH_KEY, &mut hashes)?;
        let counted = filter.map(truths);
        let mut last: Option<(Key, usize)> = None;
        for (row, (hash, met)) in hashes.iter().zip(met).enumerate() {
            if counted.as_ref().is_some_and(|rows| !rows.value(row)) {
                continue;
            }
            let person = if people.is_null(row) { 0 } else { *hash };
            let key = Key { group: group_of(row), person };
            // Rows of one person often stand together.
            let place = match last {
                Some((known, place)) if known == key => place,
                _ => self.place(key),
            };
            last = Some((key, place));
            let parts = amounts.iter().map(|amount| match amount.is_valid(row) {
                true => amount.value(row),
                false => 0.0,
            });
            self.add(place, met, parts);
        }
        self.hashes = hashes;
        Ok(())
    }

    fn arguments(&self, values: &[ArrayRef]) -> Result<(Vec<BooleanArray>, Vec<Float64Array>)> {
        let own = values.get(self.first..).unwrap_or_default();
        let (conditions, amounts) = own.split_at(self.rules.conditions.min(own.len()));
        let conditions = conditions
            .iter()
            .map(|values| Ok(cast(values, &DataType::Boolean)?.as_boolean().clone()));
        let amounts = amounts.iter().map(|values| {
            Ok(cast(values, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
        });
        Ok((conditions.collect::<Result<_>>()?, amounts.collect::<Result<_>>()?))
    }

    fn merge(&mut self, states: &[ArrayRef], group_of: impl Fn(usize) -> usize) -> Result<()> {
        let [people, met, totals] = states else { return Ok(()) };
        let (people, met, totals) =
            (people.as_list::<i32>(), met.as_list::<i32>(), totals.as_list::<i32>());
        for row in 0..people.len() {
            let group = group_of(row);
            let (people, met, totals) = (people.value(row), met.value(row), totals.value(row));
            let met = met.as_primitive::<UInt64Type>().values();
            let totals = totals.as_primitive::<Float64Type>().values();
            let people = people.as_primitive::<UInt64Type>().values();
            for (number, (person, met)) in people.iter().zip(met).enumerate() {
                let place = self.place(Key { group, person: *person });
                let first = number * self.amounts;
                let own = totals.get(first..first + self.amounts).unwrap_or_default();
                self.add(place, *met, own.iter().copied());
            }
        }
        Ok(())
    }

    /// Places by group, of the groups that are emitted.
    fn by_group(&self, emitted: usize) -> Vec<Vec<usize>> {
        let mut found = vec![vec![]; emitted];
        for (place, key) in self.keys.iter().enumerate() {
            if let Some(places) = found.get_mut(key.group) {
                places.push(place);
            }
        }
        found
    }

    fn emitted(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.total,
            EmitTo::First(n) => n.min(self.total),
        }
    }

    /// Forgets the first groups; the others move up.
    fn forget(&mut self, emitted: usize) {
        let old = std::mem::replace(self, Self::new(self.rules, self.first, 0));
        self.amounts = old.amounts;
        self.total = old.total - emitted;
        for (place, (key, met)) in old.keys.iter().zip(&old.met).enumerate() {
            let Some(group) = key.group.checked_sub(emitted) else { continue };
            let new = self.place(Key { group, ..*key });
            let first = place * old.amounts;
            let own = old.totals.get(first..first + old.amounts).unwrap_or_default();
            self.add(new, *met, own.iter().copied());
        }
    }

    fn verdict(&self, places: &[usize]) -> i64 {
        let met = |place: &usize| self.met.get(*place).copied().unwrap_or(u64::MAX);
        let mut bits = 0_i64;
        for condition in 0..self.rules.conditions {
            let others = places.iter().filter(|place| met(place) >> condition & 1 == 0).count();
            bits |= i64::from(others >= self.rules.k) << (PROFILE_CONDITION_BIT + condition);
        }
        for amount in 0..self.amounts {
            let part = |place: &usize| self.totals.get(place * self.amounts + amount).copied();
            let parts: Vec<f64> = places.iter().filter_map(part).collect();
            bits |= i64::from(self.is_spread(parts)) << amount;
        }
        bits
    }

    /// G4: whether no part is too large. Comparisons with what is no number are false.
    fn is_spread(&self, mut parts: Vec<f64>) -> bool {
        let largest = self.rules.n.max(2);
        if parts.len() > largest {
            parts.select_nth_unstable_by(largest - 1, |a, b| b.total_cmp(a));
        }
        let middle = largest.min(parts.len());
        let (top, rest) = parts.split_at_mut(middle);
        top.sort_unstable_by(|a, b| b.total_cmp(a));
        let rest: f64 = rest.iter().sum();
        let sum = top.iter().sum::<f64>() + rest;
        let first = top.first().copied().unwrap_or(0.0);
        let without_two = top.iter().skip(2).sum::<f64>() + rest;
        let held: f64 = top.iter().take(self.rules.n).sum();
        // In millionths on both sides, since nine tenths are no binary fraction.
        let [p, share] = [self.rules.p, self.rules.share].map(f64::from);
        sum.is_finite()
            && without_two * MILLION >= p * first
            && (share >= MILLION || held * MILLION < share * sum)
    }
}

/// Which conditions each row meets, as bits.
fn met_by_row(conditions: &[BooleanArray], rows: usize) -> Vec<u64> {
    let mut met = vec![0; rows];
    for (number, condition) in conditions.iter().enumerate() {
        for row in truths(condition).set_indices() {
            if let Some(bits) = met.get_mut(row) {
                *bits |= 1 << number;
            }
        }
    }
    met
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.total = self.total.max(total_num_groups);
        self.add_rows(values, in_groups(group_indices), opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let emitted = self.emitted(emit_to);
        let groups = self.by_group(emitted);
        let bits: Int64Array = groups.iter().map(|places| Some(self.verdict(places))).collect();
        self.forget(emitted);
        Ok(Arc::new(bits))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let emitted = self.emitted(emit_to);
        let groups = self.by_group(emitted);
        let places = || groups.iter().flatten().copied();
        let person = |place: usize| self.keys.get(place).map_or(0, |key| key.person);
        let met = |place: usize| self.met.get(place).copied().unwrap_or(0);
        let totals = |place: usize| {
            let first = place * self.amounts;
            self.totals.get(first..first + self.amounts).unwrap_or_default().iter().copied()
        };
        let lengths = || groups.iter().map(Vec::len);
        let people: ArrayRef = Arc::new(places().map(person).collect::<UInt64Array>());
        let met: ArrayRef = Arc::new(places().map(met).collect::<UInt64Array>());
        let totals: ArrayRef =
            Arc::new(Float64Array::from(places().flat_map(totals).collect::<Vec<_>>()));
        let states = vec![
            lists(lengths(), 1, people)?,
            lists(lengths(), 1, met)?,
            lists(lengths(), self.amounts, totals)?,
        ];
        self.forget(emitted);
        Ok(states)
    }

    /// Each row as a group of its own.
    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, |values| values.len());
        let mut own = Self::new(self.rules, self.first, values.len());
        own.update_batch(values, &(0..rows).collect::<Vec<_>>(), opt_filter, rows)?;
        own.state(EmitTo::All)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.total = self.total.max(total_num_groups);
        self.merge(values, in_groups(group_indices))
    }

    fn size(&self) -> usize {
        self.places.capacity() * (size_of::<Key>() + size_of::<usize>() + 1)
            + self.keys.capacity() * size_of::<Key>()
            + (self.met.capacity() + self.totals.capacity() + self.hashes.capacity()) * 8
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use datafusion::arrow::datatypes::Int64Type;

    use super::*;

    const RULES: Rules = Rules { k: 2, p: 100_000, n: 2, share: 900_000, conditions: 1 };
    const OTHERS: i64 = 1 << PROFILE_CONDITION_BIT;

    fn groups() -> Groups {
        Groups::new(RULES, 1, 3)
    }

    /// Rows of (group, person, condition, amount).
    fn add(groups: &mut Groups, rows: &[(usize, i64, Option<bool>, f64)]) {
        let people: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>());
        let met: ArrayRef = Arc::new(rows.iter().map(|row| row.2).collect::<BooleanArray>());
        let amounts: ArrayRef =
            Arc::new(rows.iter().map(|row| Some(row.3)).collect::<Float64Array>());
        let own: Vec<usize> = rows.iter().map(|row| row.0).collect();
        let total = own.iter().max().unwrap() + 1;
        groups.update_batch(&[people, met, amounts], &own, None, total).unwrap();
    }

    fn bits(groups: &mut Groups, emit_to: EmitTo) -> Vec<i64> {
        groups.evaluate(emit_to).unwrap().as_primitive::<Int64Type>().values().to_vec()
    }

    const EVEN: [(usize, i64, Option<bool>, f64); 5] = [
        (0, 1, Some(true), 5.0),
        (0, 2, Some(true), 4.0),
        (0, 3, Some(false), -6.0),
        (0, 4, None, 5.0),
        (0, 1, Some(false), 1.0),
    ];

    #[test]
    fn a_person_who_met_the_condition_once_is_none_of_the_others() {
        let mut two = groups();
        add(&mut two, &EVEN);
        assert_eq!(bits(&mut two, EmitTo::All), [OTHERS | 1]);
        let mut one = groups();
        add(&mut one, &EVEN);
        add(&mut one, &[(0, 4, Some(true), 0.0)]);
        assert_eq!(bits(&mut one, EmitTo::All), [1]);
    }

    #[test]
    fn one_large_part_is_seen_over_all_its_rows() {
        let mut one = groups();
        add(&mut one, &EVEN);
        // Person 9 has 2 * 50 of 120: the others are less than a tenth of it only without person 8.
        add(&mut one, &[(0, 9, Some(true), 50.0), (0, 8, None, 40.0), (0, 9, Some(true), 50.0)]);
        assert_eq!(bits(&mut one, EmitTo::All), [OTHERS | 1]);
        let mut more = groups();
        add(&mut more, &EVEN);
        add(&mut more, &[(0, 9, Some(true), 150.0), (0, 9, None, -150.0)]);
        assert_eq!(bits(&mut more, EmitTo::All), [OTHERS]);
    }

    #[test]
    fn exactly_the_share_is_too_much() {
        for (large, bits_of_all) in [(13.0, OTHERS | 1), (13.5, OTHERS), (14.0, OTHERS)] {
            // Nine tenths of 30 are 27: two people have 26.5, 27 and 27.5 of what is then there.
            let small = if large == 13.5 { 0.5 } else { 1.0 };
            let mut group = groups();
            add(&mut group, &[(0, 1, Some(true), large), (0, 2, None, 13.5), (0, 3, None, small)]);
            add(&mut group, &[(0, 4, None, 1.0), (0, 5, None, 3.0 - 1.0 - small)]);
            assert_eq!(bits(&mut group, EmitTo::All), [bits_of_all], "{large}");
        }
        let rules = Rules { share: 1_000_000, ..RULES };
        let mut unlimited = Groups::new(rules, 1, 3);
        add(&mut unlimited, &[(0, 1, Some(true), 5.0), (0, 2, None, 4.0), (0, 3, None, 3.0)]);
        assert_eq!(bits(&mut unlimited, EmitTo::All), [OTHERS | 1]);
    }

    #[test]
    fn what_is_no_number_proves_nothing() {
        let mut endless = groups();
        add(&mut endless, &EVEN);
        add(&mut endless, &[(0, 3, Some(false), f64::NAN)]);
        assert_eq!(bits(&mut endless, EmitTo::All), [OTHERS]);
    }

    #[test]
    fn groups_that_were_emitted_are_forgotten() {
        let mut both = groups();
        add(&mut both, &[(0, 1, Some(true), 1.0), (1, 1, Some(true), 1.0)]);
        assert_eq!(bits(&mut both, EmitTo::First(1)), [0]);
        for row in EVEN {
            add(&mut both, &[row]);
        }
        assert_eq!(bits(&mut both, EmitTo::All), [OTHERS | 1]);
    }

    #[test]
    fn parts_are_merged_person_by_person() {
        let mut whole = groups();
        for part in EVEN.chunks(2) {
            let mut own = groups();
            add(&mut own, part);
            let state = own.state(EmitTo::All).unwrap();
            whole.merge_batch(&state, &[0], 1).unwrap();
        }
        assert_eq!(bits(&mut whole, EmitTo::All), [OTHERS | 1]);
    }
}
