//! What a derived relation is worth to a protected question (S6): its contract, by lineage.
//!
//! A derived relation over protected tables gives person-level rows: groups whose keys hold the
//! person column, or rows with it. It is judged like a question of its own, without the gate, and
//! what it yields gets roles from what it is computed from. So the rules of joins, keys, conditions
//! and measures hold above it as over a table. Entry: [`with_derived`].

use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL128_MAX_SCALE, DataType};

use crate::admit::{Question, peel};
use crate::block::{AggregateFunction, Block, Join, Measure, Output, Relation, Source};
use crate::contract::{ColumnContract, PersonColumn, Protection, Role, Scope, TableContract};
use crate::expression::Use;
use crate::measure::is_arithmetic;
use crate::refusal::{Refusal, Rule};
use crate::scalar::Expr;
use crate::window::{Window, WindowFunction};

/// Looks a contract up by the name of its table.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<Arc<TableContract>>;

/// The name of every contract made here; no table has it.
pub(crate) const DERIVED: &str = "a derived table";
/// Most of a count or a rank, as a range.
const COUNT_MAX: f64 = 1e18;

/// A block whose derived rows hand on the person they are about, and the contract of each of its
/// relations, by position.
///
/// # Errors
/// A [`Refusal`] where a derived relation may not feed a protected question. Rule `S6.inner` says
/// that it is not at person level, and so a question of its own.
pub fn with_derived(
    block: &Block,
    contract: Lookup<'_>,
) -> Result<(Block, Vec<Arc<TableContract>>), Refusal> {
    let is_protected = |name: &str| contract(name).is_none_or(|table| table.is_protected());
    let one = |relation: &Relation| {
        if let Join::NotIn(_) = relation.join {
            return Err(not_in());
        }
        let same = || relation.source.clone();
        let (source, own) = match &relation.source {
            Source::Table { name, .. } => (same(), contract(name).ok_or_else(|| unknown(name))?),
            Source::Derived(inner) if inner.tables().any(is_protected) => {
                let (inner, own) = person_level(inner, contract)?;
                (Source::Derived(Box::new(inner)), Arc::new(own))
            }
            Source::Derived(inner) => (same(), Arc::new(of_open(inner, contract)?)),
            Source::Values(inline) => (same(), Arc::new(inline.contract())),
        };
        Ok((Relation { source, join: relation.join.clone() }, own))
    };
    let mut refused = None;
    let (mut from, mut contracts) = (vec![], vec![]);
    for relation in &block.from {
        match one(relation) {
            Ok((relation, own)) => {
                from.push(relation);
                contracts.push(own);
            }
            // What is a question of its own is so whatever else is wrong.
            Err(refusal) if refusal.rule == Rule::S6Inner => return Err(refusal),
            Err(refusal) => refused = refused.or(Some(refusal)),
        }
    }
    match refused {
        Some(refusal) => Err(refusal),
        None => Ok((Block { from, ..block.clone() }, contracts)),
    }
}

// ------------------------------------------------------------------------- person level

fn person_level(inner: &Block, contract: Lookup<'_>) -> Result<(Block, TableContract), Refusal> {
    let (mut inner, contracts) = with_derived(inner, contract)?;
    hand_on_person(&mut inner, &contracts)?;
    let question = Question { block: &inner, contracts: &contracts };
    question.check_joins()?;
    question.check_inline()?;
    question.check_conditions()?;
    let derived = match &inner.output {
        Output::Groups { keys, measures } => question.groups(keys, measures)?,
        Output::Rows { limit: Some(_), .. } => return Err(limited()),
        Output::Rows { columns, limit: None, .. } => question.rows(columns)?,
    };
    Ok((inner, derived))
}

/// Adds the person column to rows that leave it out: the gate counts people by it.
fn hand_on_person(inner: &mut Block, contracts: &[Arc<TableContract>]) -> Result<(), Refusal> {
    let question = Question { block: inner, contracts };
    let person = question.person_expr()?;
    if let Output::Rows { columns, .. } = &mut inner.output
        && !columns.contains(&person)
    {
        columns.push(person);
    }
    Ok(())
}

impl Question<'_> {
    /// The person column that a key or column is, with its scope: of a table that every row has.
    fn person_of(&self, expr: &Expr) -> Option<Scope> {
        let Expr::Column { relation, name } = expr else { return None };
        let whole = matches!(self.block.from.get(*relation)?.join, Join::First | Join::Inner);
        let person = self.contracts.get(*relation)?.person()?;
        (whole && person.column == *name).then_some(person.scope)
    }

    fn groups(&self, keys: &[Expr], measures: &[Measure]) -> Result<TableContract, Refusal> {
        let person = keys.iter().position(|key| self.person_of(key).is_some());
        let Some(person) = person else { return Err(not_person_level()) };
        let scope = keys.get(person).and_then(|key| self.person_of(key));
        let alone = keys.iter().enumerate().all(|(place, key)| place == person || is_constant(key));
        let mut columns = vec![];
        for (place, key) in keys.iter().enumerate() {
            if self.person_of(key).is_none() {
                self.places().check(key, Use::Key)?;
            }
            let unique = alone && place == person;
            columns.push(ColumnContract { unique, ..self.handed_on(key, format!("k{place}")) });
        }
        for (place, measure) in measures.iter().enumerate() {
            columns.push(self.number(measure, format!("m{place}"))?);
        }
        let all = (0..keys.len()).map(|place| format!("k{place}")).collect();
        let scope = scope.unwrap_or(Scope::Organisation);
        Ok(derived(columns, Some((format!("k{person}"), scope)), vec![all]))
    }

    fn rows(&self, columns: &[Expr]) -> Result<TableContract, Refusal> {
        let person = self.person_expr()?;
        let place = columns.iter().position(|column| *column == person);
        let (Some(place), Some(scope)) = (place, self.person_of(&person)) else {
            return Err(not_person_level());
        };
        let exists = |relation: &&Relation| matches!(relation.join, Join::Semi(_) | Join::Anti(_));
        let lone = self.block.from.iter().filter(|relation| !exists(relation)).count() == 1;
        let mut handed = vec![];
        for (place, column) in columns.iter().enumerate() {
            let name = format!("c{place}");
            handed.push(match column {
                Expr::Window(window) => self.window(window, name)?,
                Expr::Column { .. } => {
                    let own = self.handed_on(column, name);
                    ColumnContract { unique: own.unique && lone, ..own }
                }
                other => {
                    self.places().check(other, Use::Key)?;
                    self.handed_on(other, name)
                }
            });
        }
        Ok(derived(handed, Some((format!("c{place}"), scope)), vec![]))
    }

    /// What an expression is under another name: a column keeps what it is, all else is a dimension.
    fn handed_on(&self, expr: &Expr, name: String) -> ColumnContract {
        let own = match expr {
            Expr::Column { relation, name } => {
                let column = self.contracts.get(*relation).and_then(|c| c.column(name));
                column.filter(|_| self.contracts.get(*relation).is_some_and(|c| c.is_protected()))
            }
            _ => None,
        };
        let optional = expr.relations().into_iter().any(|relation| {
            let join = self.block.from.get(relation).map(|relation| &relation.join);
            !matches!(join, Some(Join::First | Join::Inner))
        });
        match own {
            Some(own) => ColumnContract {
                name,
                nullable: own.nullable || optional,
                // One that is optional may be NULL in many rows.
                unique: own.unique && !optional,
                // Numbers of different things may come to have one name.
                within_person: false,
                ..own.clone()
            },
            // Whoever asks may know which rows have one: it is never counted.
            None if is_open_column(self, expr) => {
                column(name, self.type_of(expr), vec![Role::Open])
            }
            None => column(name, self.type_of(expr), vec![Role::Dimension]),
        }
    }

    // ------------------------------------------------------------------ inner measures

    /// An aggregate at person level. Extremes are allowed here and only here.
    fn number(&self, measure: &Measure, name: String) -> Result<ColumnContract, Refusal> {
        use AggregateFunction as F;
        match measure.function {
            F::Count | F::Sum | F::Avg => {
                self.check_measure(measure)?;
                measure
                    .arguments
                    .iter()
                    .try_for_each(|argument| self.check_uncomputed(argument))?;
                Ok(self.counted(measure, name))
            }
            F::Min | F::Max => {
                self.check_filter(measure)?;
                let [value] = measure.arguments.as_slice() else { return Err(unusual(measure)) };
                self.value(value, name)
            }
            F::BoolAnd | F::BoolOr => {
                self.check_filter(measure)?;
                let [flag] = measure.arguments.as_slice() else { return Err(unusual(measure)) };
                self.places().check(flag, Use::Condition)?;
                Ok(column(name, DataType::Boolean, vec![Role::Dimension]))
            }
            F::BitAnd | F::BitOr | F::BitXor | F::People | F::Profile => Err(unusual(measure)),
            F::VarPop
            | F::VarSamp
            | F::StddevPop
            | F::StddevSamp
            | F::CovarPop
            | F::CovarSamp
            | F::Corr
            | F::RegrAvgx
            | F::RegrAvgy
            | F::RegrCount
            | F::RegrIntercept
            | F::RegrR2
            | F::RegrSlope
            | F::RegrSxx
            | F::RegrSxy
            | F::RegrSyy => Err(unusual(measure)),
        }
    }

    /// The gate sees an inner number as a whole: who contributes to each addend of it, and what falls
    /// together with it, would be out of its sight.
    fn check_uncomputed(&self, argument: &Expr) -> Result<(), Refusal> {
        let argument = peel(argument);
        if !is_arithmetic(argument) || self.places().date_difference(argument).is_some() {
            return Ok(());
        }
        Err(Refusal::new(
            Rule::S3Measure,
            "an aggregate of an inner query takes one column, not a sum or product of several",
            "write one inner aggregate for each column, and add them up outside: sum(x + y)",
        ))
    }

    fn check_filter(&self, measure: &Measure) -> Result<(), Refusal> {
        match &measure.condition {
            Some(condition) => self.places().check(condition, Use::Condition),
            None => Ok(()),
        }
    }

    fn counted(&self, measure: &Measure, name: String) -> ColumnContract {
        if measure.function == AggregateFunction::Count {
            return count(name);
        }
        let base = match measure.arguments.as_slice() {
            [argument] if measure.condition.is_none() => self.base(peel(argument)),
            _ => None,
        };
        let own = match measure.arguments.first() {
            None => DataType::Null,
            Some(Expr::Cast { to, .. }) => to.0.clone(),
            Some(argument) => self.type_of(argument),
        };
        let data_type = match (measure.function, own) {
            (AggregateFunction::Sum, DataType::Int16 | DataType::Int32) => DataType::Int64,
            (AggregateFunction::Sum, DataType::Decimal128(precision, scale)) => {
                DataType::Decimal128((precision + 10).min(DECIMAL128_MAX_PRECISION), scale)
            }
            (AggregateFunction::Avg, DataType::Decimal128(precision, scale)) => {
                let digits = |digits: u8| digits.saturating_add(4).min(DECIMAL128_MAX_PRECISION);
                let scale = scale.saturating_add(4).min(DECIMAL128_MAX_SCALE);
                DataType::Decimal128(digits(precision), scale)
            }
            (AggregateFunction::Avg, _) => DataType::Float64,
            (_, own) => own,
        };
        ColumnContract {
            continuous: base.is_some_and(|base| base.continuous),
            ..column(name, data_type, vec![Role::Measure])
        }
    }

    fn base(&self, expr: &Expr) -> Option<&ColumnContract> {
        match expr {
            Expr::Column { relation, name } => self.contracts.get(*relation)?.column(name),
            _ => None,
        }
    }

    /// A value of one row: it keeps the roles of its column.
    fn value(&self, expr: &Expr, name: String) -> Result<ColumnContract, Refusal> {
        let own = self.handed_on(expr, name);
        let own = ColumnContract { unique: false, nullable: true, ..own };
        match (self.places().check(expr, Use::Key), expr) {
            (Ok(()), _) => Ok(own),
            // A measure cannot be a key, and stays a measure.
            (Err(refusal), _) if refusal.rule != Rule::S2Key => Err(refusal),
            (Err(_), Expr::Column { .. }) => Ok(own),
            (Err(_), _) => {
                self.places().check(expr, Use::Measured)?;
                self.check_uncomputed(expr)?;
                Ok(ColumnContract { roles: vec![Role::Measure], ..own })
            }
        }
    }

    // ----------------------------------------------------------------------- windows

    /// A window whose partitions are within one person.
    fn window(&self, window: &Window, name: String) -> Result<ColumnContract, Refusal> {
        use WindowFunction as F;
        if !window.partition.iter().any(|key| self.person_of(key).is_some()) {
            return Err(Refusal::new(
                Rule::S7BelowGate,
                format!(
                    "the window of `{}` is not within one person's rows",
                    window.function.name()
                ),
                "add the person column to its PARTITION BY, or use the window over released groups",
            ));
        }
        for key in window.partition.iter().filter(|key| self.person_of(key).is_none()) {
            self.places().check(key, Use::Key)?;
        }
        for (place, key) in window.order.iter().enumerate() {
            if place == 0 || !self.is_within_person(&key.expr) {
                self.places().check(&key.expr, Use::Condition)?;
            }
        }
        let refused = || {
            Refusal::new(
                Rule::S9Function,
                format!("`{}` with these arguments is not allowed", window.function.name()),
                "give it one column; lag and lead take a constant number of rows as well",
            )
        };
        match (window.function, window.arguments.as_slice()) {
            (F::RowNumber | F::Rank | F::DenseRank, []) | (F::Count, []) => Ok(count(name)),
            (F::Count, [counted]) => {
                self.places().check(counted, Use::Counted)?;
                self.check_uncomputed(counted)?;
                Ok(count(name))
            }
            (F::Sum | F::Avg, [added]) => {
                self.places().check(peel(added), Use::Measured)?;
                self.check_uncomputed(added)?;
                Ok(column(name, self.type_of(added), vec![Role::Measure]))
            }
            (F::Min | F::Max | F::FirstValue | F::LastValue | F::Lag | F::Lead, [value]) => {
                self.value(value, name)
            }
            (F::Lag | F::Lead, [value, Expr::Literal(rows)]) => {
                let some = rows.text.as_deref().and_then(|text| text.parse::<u16>().ok());
                if some.is_none() {
                    return Err(refused());
                }
                self.value(value, name)
            }
            _ => Err(refused()),
        }
    }

    /// An identifier each of whose values belongs to one person: within the rows of a person it may
    /// break ties.
    fn is_within_person(&self, expr: &Expr) -> bool {
        let Expr::Column { relation, name } = expr else { return false };
        self.contracts.get(*relation).is_some_and(|contract| {
            contract.is_protected() && contract.column(name).is_some_and(|c| c.within_person)
        })
    }

    /// The type of an expression, as far as rules ask for it: a column's own, and whether a number
    /// is a float.
    fn type_of(&self, expr: &Expr) -> DataType {
        if let Some(base) = self.base(peel(expr)) {
            return base.data_type.clone();
        }
        let mut float = false;
        expr.walk(&mut |part| match part {
            Expr::Column { .. } => {
                float |= self.base(part).is_some_and(|base| base.data_type.is_floating());
            }
            Expr::Literal(literal) => float |= literal.data_type.0.is_floating(),
            _ => {}
        });
        if float { DataType::Float64 } else { DataType::Null }
    }
}

// --------------------------------------------------------------------------- open tables

/// What is derived from open tables: its columns are keys and filters. Nothing in it may fail,
/// because which of its rows are computed could depend on the rows it is joined to.
fn of_open(inner: &Block, contract: Lookup<'_>) -> Result<TableContract, Refusal> {
    let (_, contracts) = with_derived(inner, contract)?;
    let question = Question { block: inner, contracts: &contracts };
    let total = |expr: &Expr| question.places().check(expr, Use::Condition);
    for expr in inner.expressions() {
        total(expr)?;
    }
    let open = |name| column(name, DataType::Null, vec![Role::Open]);
    match &inner.output {
        Output::Rows { limit: Some(_), .. } => Err(limited()),
        Output::Rows { columns, limit: None, .. } => {
            let columns = (0..columns.len()).map(|place| open(format!("c{place}")));
            Ok(derived(columns.collect(), None, vec![]))
        }
        Output::Groups { keys, measures } => {
            let all: Vec<String> = (0..keys.len()).map(|place| format!("k{place}")).collect();
            let measures = (0..measures.len()).map(|place| format!("m{place}"));
            let columns = all.iter().cloned().chain(measures).map(open).collect();
            // A constant is the same in every group, and nobody has to equate it.
            let told = keys.iter().zip(&all).filter(|(key, _)| !is_constant(key));
            Ok(derived(columns, None, vec![told.map(|(_, name)| name.clone()).collect()]))
        }
    }
}

/// Tells whether an expression is a column of a relation that is about nobody.
fn is_open_column(question: &Question<'_>, expr: &Expr) -> bool {
    matches!(expr, Expr::Column { relation, .. } if !question.places().is_protected(*relation))
}

fn is_constant(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(_) | Expr::Organisation { .. })
}

fn derived(
    columns: Vec<ColumnContract>,
    person: Option<(String, Scope)>,
    keys: Vec<Vec<String>>,
) -> TableContract {
    TableContract {
        name: DERIVED.to_owned(),
        version: 0,
        description: String::new(),
        protection: match person {
            Some((column, scope)) => Protection::Protected(PersonColumn { column, scope }),
            None => Protection::Open,
        },
        reference: false,
        products: vec![],
        keys,
        columns,
    }
}

fn column(name: String, data_type: DataType, roles: Vec<Role>) -> ColumnContract {
    ColumnContract {
        name,
        data_type,
        nullable: true,
        roles,
        scope: None,
        within_person: false,
        within_organisation: false,
        unique: false,
        continuous: false,
        range: None,
        bins: vec![],
        domain: vec![],
        description: String::new(),
    }
}

fn count(name: String) -> ColumnContract {
    ColumnContract {
        nullable: false,
        range: Some((0.0, COUNT_MAX)),
        ..column(name, DataType::Int64, vec![Role::Measure])
    }
}

fn unknown(name: &str) -> Refusal {
    Refusal::new(
        Rule::S10Closed,
        format!("table `{name}` has no contract here"),
        "ask for a table listed in `system.tables`",
    )
}

fn not_person_level() -> Refusal {
    Refusal::new(
        Rule::S6Inner,
        "a subquery below an aggregate over a protected table does not give rows of people",
        "group it by `organisation` and the person column, such as `SELECT organisation, \
         person_number, count(*) … GROUP BY organisation, person_number`; or calculate with its \
         released result",
    )
}

fn not_in() -> Refusal {
    Refusal::new(
        Rule::S5Join,
        "NOT IN a subquery, with what it does to NULL, is not asked of a protected table",
        "write NOT EXISTS (SELECT 1 FROM … WHERE b.person_number = a.person_number)",
    )
}

fn limited() -> Refusal {
    Refusal::new(
        Rule::S7BelowGate,
        "LIMIT picks rows below an aggregate over a protected table",
        "limit the released result instead",
    )
}

fn unusual(measure: &Measure) -> Refusal {
    Refusal::new(
        Rule::S8Extreme,
        format!("`{}` is not computed for single people", measure.function.name()),
        "at person level use count, sum, avg, min, max, bool_and or bool_or",
    )
}
