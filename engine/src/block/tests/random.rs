//! Random blocks, well-typed and in normal form, built without any SQL.
//!
//! Each is emitted, read back and run, and beside it the same block spelled by `spell`, which knows
//! nothing of the emitter: its text is what the block means.
//!
//! `HEDGEROW_RANDOM_SEED` and `HEDGEROW_RANDOM_CASES` repeat a case or run more of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::ScalarValue;
use hedgerow_policies::{
    AggregateFunction as F, BinaryOperator as B, Block, Expr, InlineTable, Join, Literal, Measure,
    OrderKey, Output, Relation, Source, TypeName, UnaryTest,
};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::spell::spell;
use super::{Bench, in_parts};
use crate::block::expression::literal;
use crate::block::{canonical, emit};

const CASES: u64 = 240;

/// What an expression yields; integers of every width are one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Float,
    Decimal,
    Text,
    Day,
    At,
    Utc,
}

use Kind::{At, Bool, Day, Decimal, Float, Int, Text, Utc};

const KINDS: [Kind; 8] = [Bool, Int, Float, Decimal, Text, Day, At, Utc];

type Columns = &'static [(&'static str, Kind)];

const TABLES: [(&str, Columns); 4] = [
    (
        "things",
        &[
            ("id", Int),
            ("place", Int),
            ("b", Bool),
            ("c", Bool),
            ("i16", Int),
            ("i32", Int),
            ("i64", Int),
            ("n", Int),
            ("f", Float),
            ("g", Float),
            ("d", Decimal),
            ("e", Decimal),
            ("s", Text),
            ("t", Text),
            ("day", Day),
            ("at", At),
            ("utc", Utc),
        ],
    ),
    (
        "visits",
        &[
            ("thing", Int),
            ("kind", Text),
            ("cost", Decimal),
            ("minutes", Int),
            ("score", Float),
            ("day", Day),
            ("at", At),
        ],
    ),
    ("places", &[("code", Int), ("label", Text), ("beds", Int), ("open", Bool)]),
    (
        "Odd \"Names\"",
        &[
            ("select", Int),
            ("Mixed Case", Text),
            ("a\"b", Float),
            ("with.dot", Int),
            ("it's", Int),
            ("ünï", Int),
            ("-- no", Int),
            ("count(*)", Int),
            ("r0", Int),
            ("c0", Int),
            ("k0", Int),
            ("m0", Int),
            ("true", Bool),
        ],
    ),
];

/// The columns of every inline table.
const INLINE: Columns =
    &[("c0", Int), ("c1", Text), ("c2", Float), ("c3", Bool), ("c4", Day), ("c5", Decimal)];

struct Generator {
    random: ChaCha8Rng,
    /// Columns in scope, by relation.
    columns: Vec<Columns>,
    /// Relations that have `organisation`.
    named: Vec<usize>,
}

fn boxed(expr: Expr) -> Box<Expr> {
    Box::new(expr)
}

fn constant(value: &ScalarValue) -> Expr {
    Expr::Literal(literal(value).unwrap())
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    Expr::Function { name: name.to_owned(), arguments }
}

fn text(text: &str) -> Expr {
    constant(&ScalarValue::from(text))
}

fn int(value: i64) -> Expr {
    constant(&ScalarValue::from(value))
}

impl Generator {
    fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), columns: vec![], named: vec![] }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.random).unwrap()
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    fn up_to(&mut self, most: usize) -> usize {
        self.random.random_range(0..=most)
    }

    // ------------------------------------------------------------------------- blocks

    fn block(&mut self) -> Block {
        let mut from = vec![];
        let mut filter = vec![];
        let relations = self.pick(&[1, 1, 1, 2, 2, 3]);
        for index in 0..relations {
            let inline = self.chance(0.15);
            let (table, columns) = if inline { ("", INLINE) } else { self.pick(&TABLES) };
            self.columns.push(columns);
            let join = match index {
                0 => Join::First,
                _ if self.chance(0.5) => {
                    filter.push(self.link(index));
                    Join::Inner
                }
                _ => {
                    let mut on = vec![self.link(index)];
                    if self.chance(0.5) {
                        on.extend(conjuncts(self.expr(Bool, 2)));
                    }
                    let on = canonical(on);
                    match self.up_to(3) {
                        0 => Join::Semi(on),
                        1 => Join::Anti(on),
                        _ => Join::Left(on),
                    }
                }
            };
            let shown = matches!(join, Join::First | Join::Inner);
            if matches!(join, Join::Semi(_) | Join::Anti(_)) {
                // It gives no columns: what follows does not see it.
                self.columns[index] = &[];
            }
            if ["things", "visits"].contains(&table) && shown {
                self.named.push(index);
            }
            from.push(match inline {
                true => Relation { source: self.inline(), join },
                false => Relation::table(table, join),
            });
        }
        for _ in 0..self.up_to(2) {
            let depth = self.pick(&[1, 2, 3, 4]);
            filter.extend(conjuncts(self.expr(Bool, depth)));
        }
        let output = if self.chance(0.45) { self.rows() } else { self.groups() };
        Block { from, filter: canonical(filter), output }
    }

    /// Rows of constants.
    fn inline(&mut self) -> Source {
        let rows = 1 + self.up_to(3);
        let mut row = || INLINE.iter().map(|(_, kind)| self.of_one_type(*kind)).collect();
        let rows: Vec<Vec<Literal>> = (0..rows).map(|_| row()).collect();
        let columns = rows[0].iter().map(|value| value.data_type.clone()).collect();
        Source::Values(Arc::new(InlineTable { columns, rows }))
    }

    /// A constant of the kind's one type: of integers the widest.
    fn of_one_type(&mut self, kind: Kind) -> Literal {
        loop {
            if let Expr::Literal(literal) = self.literal(kind)
                && (kind != Int || literal.data_type.0 == DataType::Int64)
            {
                return literal;
            }
        }
    }

    /// An equality that ties a relation to one before it, so that a join stays small.
    fn link(&mut self, index: usize) -> Expr {
        // A relation that only had to exist, or not, has no columns.
        let shown: Vec<usize> = (0..index).filter(|i| !self.columns[*i].is_empty()).collect();
        let before = self.pick(&shown);
        let (left, right) = (self.column_of(before, Int), self.column_of(index, Int));
        Expr::Binary { left: boxed(left), operator: B::Equal, right: boxed(right) }
    }

    fn column_of(&mut self, relation: usize, kind: Kind) -> Expr {
        let fitting: Vec<&str> =
            self.columns[relation].iter().filter(|c| c.1 == kind).map(|c| c.0).collect();
        Expr::Column { relation, name: self.pick(&fitting).to_owned() }
    }

    fn rows(&mut self) -> Output {
        let columns: Vec<Expr> = (0..=self.up_to(3)).map(|_| self.any(4)).collect();
        let limit = self.chance(0.25).then(|| self.random.random_range(0..9));
        let order = match limit {
            Some(_) if self.chance(0.5) => self.order(&columns),
            _ => vec![],
        };
        Output::Rows { columns, order, limit }
    }

    /// Every column, so that the rows of a LIMIT are certain.
    fn order(&mut self, columns: &[Expr]) -> Vec<OrderKey> {
        let mut places: Vec<usize> = (0..columns.len()).collect();
        places.shuffle(&mut self.random);
        let key = |column| OrderKey {
            column,
            descending: self.chance(0.5),
            nulls_first: self.chance(0.5),
        };
        places.into_iter().map(key).collect()
    }

    fn groups(&mut self) -> Output {
        let mut keys: Vec<Expr> = vec![];
        for _ in 0..self.up_to(2) {
            let key = self.any(2);
            // A key that is there already, and a NULL that any other NULL stands for.
            if !keys.contains(&key) && !matches!(&key, Expr::Literal(l) if l.text.is_none()) {
                keys.push(key);
            }
        }
        let mut measures: Vec<Measure> = vec![];
        for _ in 0..self.up_to(2) + usize::from(keys.is_empty()) {
            let measure = self.measure();
            if !measures.contains(&measure) {
                measures.push(measure);
            }
        }
        Output::Groups { keys, measures }
    }

    fn measure(&mut self) -> Measure {
        let function = self.pick(&AGGREGATES);
        let kinds: &[Kind] = match function {
            F::Count => &KINDS,
            F::Sum | F::Avg => &[Int, Float, Decimal],
            F::Min | F::Max => &[Int, Float, Decimal, Text, Day, At, Utc],
            F::BoolAnd | F::BoolOr => &[Bool],
            F::BitAnd | F::BitOr | F::BitXor => &[Int],
            _ => &[Float],
        };
        let kind = self.pick(kinds);
        let arguments = match function {
            F::Count if self.chance(0.4) => vec![],
            F::Sum if kind == Int => vec![self.column(Int).unwrap_or_else(|| int(1))],
            F::VarPop | F::VarSamp | F::StddevPop | F::StddevSamp => vec![self.expr(kind, 2)],
            _ if kinds == [Float] => vec![self.expr(Float, 1), self.expr(Float, 1)],
            F::Count => vec![self.not_a_constant(kind)],
            _ => vec![self.expr(kind, 2)],
        };
        let may_be_distinct = matches!(function, F::Count | F::Sum | F::Min | F::Max);
        let distinct = may_be_distinct && !arguments.is_empty() && self.chance(0.25);
        let condition = self.chance(0.3).then(|| self.expr(Bool, 2));
        Measure { function, arguments, distinct, condition }
    }

    /// `count(1)` is `count(*)` in normal form.
    fn not_a_constant(&mut self, kind: Kind) -> Expr {
        loop {
            let expr = self.expr(kind, 2);
            if !matches!(expr, Expr::Literal(_)) {
                return expr;
            }
        }
    }

    // -------------------------------------------------------------------- expressions

    fn any(&mut self, depth_max: usize) -> Expr {
        let kind = self.pick(&KINDS);
        let depth = self.up_to(depth_max);
        self.expr(kind, depth)
    }

    fn expr(&mut self, kind: Kind, depth: usize) -> Expr {
        if depth == 0 || self.chance(0.1) {
            return self.leaf(kind);
        }
        let below = depth - 1;
        match self.up_to(9) {
            0 => self.case(kind, below),
            1 => call(self.pick(&["coalesce", "nullif"]), self.two(kind, below)),
            _ => match kind {
                Bool => self.condition(below),
                Int => self.integer(below),
                Float => self.float(below),
                Decimal => self.decimal(below),
                Text => self.text(below),
                Day => self.day(below),
                At => self.instant(below),
                Utc => self.moved(Utc, below),
            },
        }
    }

    fn leaf(&mut self, kind: Kind) -> Expr {
        if kind == Text && !self.named.is_empty() && self.chance(0.15) {
            let relation = *self.named.choose(&mut self.random).unwrap();
            return Expr::Organisation { relation };
        }
        match self.chance(0.7).then(|| self.column(kind)).flatten() {
            Some(column) => column,
            None => self.literal(kind),
        }
    }

    fn column(&mut self, kind: Kind) -> Option<Expr> {
        let fitting: Vec<usize> = (0..self.columns.len())
            .filter(|i| self.columns[*i].iter().any(|column| column.1 == kind))
            .collect();
        let relation = *fitting.choose(&mut self.random)?;
        Some(self.column_of(relation, kind))
    }

    fn literal(&mut self, kind: Kind) -> Expr {
        use ScalarValue as S;
        let none = self.chance(0.1);
        let value = match kind {
            Bool => S::Boolean(Some(self.chance(0.5))),
            Int => match self.up_to(3) {
                0 => S::Int16(Some(self.pick(&[i16::MIN, -1, 0, 3, i16::MAX]))),
                1 => S::Int32(Some(self.pick(&[i32::MIN, -2, 0, 5, i32::MAX]))),
                _ => S::Int64(Some(self.pick(&[i64::MIN, -3, -1, 0, 1, 2, 8, i64::MAX]))),
            },
            Float => S::Float64(Some(self.pick(&[
                0.0,
                -0.0,
                0.1,
                -1.5,
                2.0,
                1e-7,
                1e21,
                1e308,
                5e-324,
                f64::NAN,
                f64::INFINITY,
            ]))),
            Decimal => S::Decimal128(Some(self.pick(&[-150, 0, 1, 99, 12_345])), 12, 2),
            Text => S::from(self.pick(&["", "a", "a%b", "it's", "\\", "ünï", "--", "10", "x\ny"])),
            Day => S::Date32(Some(self.pick(&[-98_000, -1, 0, 19_782, 102_000]))),
            At => S::TimestampMicrosecond(Some(self.moment()), None),
            Utc => S::TimestampMicrosecond(Some(self.moment()), Some("UTC".into())),
        };
        constant(&if none { S::try_new_null(&value.data_type()).unwrap() } else { value })
    }

    fn moment(&mut self) -> i64 {
        self.pick(&[0, -1, 1_709_164_800_000_000, 1_709_168_400_000_001])
    }

    fn two(&mut self, kind: Kind, depth: usize) -> Vec<Expr> {
        vec![self.expr(kind, depth), self.expr(kind, depth)]
    }

    fn binary(&mut self, kind: Kind, operators: &[B], depth: usize) -> Expr {
        let (left, right) = (self.expr(kind, depth), self.expr(kind, depth));
        let operator = self.pick(operators);
        Expr::Binary { left: boxed(left), operator, right: boxed(right) }
    }

    fn cast(&mut self, from: &[Kind], to: DataType, or_null: bool, depth: usize) -> Expr {
        let kind = self.pick(from);
        let mut operand = self.expr(kind, depth);
        // A cast of a constant is a constant.
        if !or_null && matches!(operand, Expr::Literal(_)) {
            operand = call("coalesce", vec![operand.clone(), operand]);
        }
        Expr::Cast { operand: boxed(operand), to: TypeName(to), or_null }
    }

    fn case(&mut self, kind: Kind, depth: usize) -> Expr {
        let tested = self.chance(0.4).then(|| self.pick(&KINDS));
        let branches = (0..=self.up_to(1))
            .map(|_| (self.expr(tested.unwrap_or(Bool), depth), self.expr(kind, depth)))
            .collect();
        Expr::Case {
            operand: tested.map(|kind| boxed(self.expr(kind, depth))),
            branches,
            otherwise: self.chance(0.6).then(|| boxed(self.expr(kind, depth))),
        }
    }

    fn condition(&mut self, depth: usize) -> Expr {
        let kind = self.pick(&KINDS);
        let negated = self.chance(0.5);
        match self.up_to(13) {
            0 | 1 => Expr::And(self.flat(depth, |e| matches!(e, Expr::And(_)))),
            2 | 3 => Expr::Or(self.flat(depth, |e| matches!(e, Expr::Or(_)))),
            4 => Expr::Not(boxed(self.expr(Bool, depth))),
            5 => {
                Expr::Is { operand: boxed(self.expr(kind, depth)), test: UnaryTest::Null, negated }
            }
            6 => {
                let test = self.pick(&[UnaryTest::True, UnaryTest::False, UnaryTest::Unknown]);
                Expr::Is { operand: boxed(self.expr(Bool, depth)), test, negated }
            }
            7 => Expr::Between {
                operand: boxed(self.expr(kind, depth)),
                negated,
                low: boxed(self.expr(kind, depth)),
                high: boxed(self.expr(kind, depth)),
            },
            8 => Expr::InList {
                operand: boxed(self.expr(kind, depth)),
                list: (0..=self.up_to(2)).map(|_| self.expr(kind, depth)).collect(),
                negated,
            },
            9 => Expr::Like {
                operand: boxed(self.expr(Text, depth)),
                pattern: boxed(text(self.pick(&["a%", "%B%", "_", "a\\%b", "%'%", ""]))),
                escape: self.chance(0.3).then_some('\\'),
                negated,
                case_insensitive: self.chance(0.5),
            },
            10 => Expr::Binary {
                left: boxed(self.expr(Text, depth)),
                operator: self.pick(&[
                    B::RegexMatch,
                    B::RegexIMatch,
                    B::RegexNotMatch,
                    B::RegexNotIMatch,
                ]),
                right: boxed(text(self.pick(&["^a", "B$", "[0-9]+", "'", "b."]))),
            },
            _ => self.binary(kind, &COMPARISONS, depth),
        }
    }

    /// Operands of AND or OR, none of which is the same again.
    fn flat(&mut self, depth: usize, same: fn(&Expr) -> bool) -> Vec<Expr> {
        let mut list = vec![];
        while list.len() < 2 {
            let operand = self.expr(Bool, depth);
            if same(&operand) {
                list.extend(operand.children().into_iter().cloned());
            } else {
                list.push(operand);
            }
        }
        list
    }

    fn integer(&mut self, depth: usize) -> Expr {
        match self.up_to(6) {
            0 => Expr::Negative(boxed(self.expr(Int, depth))),
            1 => self.divided(depth),
            2 => self.binary(Int, &BITWISE, depth),
            3 => call("character_length", vec![self.expr(Text, depth)]),
            4 => self.cast(&[Bool, Int], DataType::Int64, false, depth),
            5 => self.cast(&[Text, Float, Decimal], DataType::Int32, true, depth),
            _ => self.binary(Int, &[B::Plus, B::Minus, B::Multiply], depth),
        }
    }

    /// Divided by a constant, so that no row fails.
    fn divided(&mut self, depth: usize) -> Expr {
        let operator = self.pick(&[B::Divide, B::Modulo]);
        let by = self.pick(&[2, 3, -7]);
        Expr::Binary { left: boxed(self.expr(Int, depth)), operator, right: boxed(int(by)) }
    }

    fn float(&mut self, depth: usize) -> Expr {
        match self.up_to(4) {
            0 => Expr::Negative(boxed(self.expr(Float, depth))),
            1 => self.cast(&[Int, Decimal], DataType::Float64, false, depth),
            2 => self.cast(&[Text], DataType::Float64, true, depth),
            _ => self.binary(Float, &[B::Plus, B::Minus, B::Multiply, B::Divide, B::Modulo], depth),
        }
    }

    fn decimal(&mut self, depth: usize) -> Expr {
        match self.up_to(3) {
            0 => Expr::Negative(boxed(self.expr(Decimal, depth))),
            1 => self.cast(&[Text, Float], DataType::Decimal128(9, 3), true, depth),
            _ => self.binary(Decimal, &[B::Plus, B::Minus], depth),
        }
    }

    fn text(&mut self, depth: usize) -> Expr {
        match self.up_to(5) {
            0 => call(self.pick(&["upper", "lower", "btrim"]), vec![self.expr(Text, depth)]),
            1 => call("substr", vec![self.expr(Text, depth), int(self.pick(&[1, 2])), int(2)]),
            2 => call("replace", vec![self.expr(Text, depth), text("a"), text("'")]),
            3 => self.cast(&[Bool, Int, Decimal, Day], DataType::Utf8, false, depth),
            _ => self.binary(Text, &[B::Concat], depth),
        }
    }

    fn day(&mut self, depth: usize) -> Expr {
        match self.up_to(2) {
            0 => self.cast(&[At], DataType::Date32, false, depth),
            1 => self.cast(&[Text], DataType::Date32, true, depth),
            _ => self.moved(Day, depth),
        }
    }

    fn instant(&mut self, depth: usize) -> Expr {
        match self.up_to(2) {
            0 => self.cast(
                &[Day, Utc],
                DataType::Timestamp(TimeUnit::Microsecond, None),
                false,
                depth,
            ),
            1 => {
                call("date_trunc", vec![text(self.pick(&["month", "hour"])), self.expr(At, depth)])
            }
            _ => self.moved(At, depth),
        }
    }

    fn moved(&mut self, kind: Kind, depth: usize) -> Expr {
        // A date moved by days alone is compared as a difference of dates.
        let (months, days, hours) = match kind {
            Day => self.pick(&[(1, 1, 0), (-1, 0, 0), (13, -2, 0)]),
            _ => self.pick(&[(0, 1, 0), (-1, 0, 0), (13, -2, 0), (0, 0, 0)]),
        };
        let by = IntervalMonthDayNano::new(months, days, hours * 3_600_000_000_000);
        Expr::Binary {
            left: boxed(self.expr(kind, depth)),
            operator: self.pick(&[B::Plus, B::Minus]),
            right: boxed(constant(&ScalarValue::IntervalMonthDayNano(Some(by)))),
        }
    }
}

const COMPARISONS: [B; 8] = [
    B::Equal,
    B::NotEqual,
    B::Less,
    B::LessOrEqual,
    B::Greater,
    B::GreaterOrEqual,
    B::IsDistinctFrom,
    B::IsNotDistinctFrom,
];
const BITWISE: [B; 5] = [B::BitwiseAnd, B::BitwiseOr, B::BitwiseXor, B::ShiftLeft, B::ShiftRight];
/// All that may come from outside.
const AGGREGATES: [F; 26] = [
    F::Count,
    F::Sum,
    F::Avg,
    F::Min,
    F::Max,
    F::BoolAnd,
    F::BoolOr,
    F::BitAnd,
    F::BitOr,
    F::BitXor,
    F::VarPop,
    F::VarSamp,
    F::StddevPop,
    F::StddevSamp,
    F::CovarPop,
    F::CovarSamp,
    F::Corr,
    F::RegrAvgx,
    F::RegrAvgy,
    F::RegrCount,
    F::RegrIntercept,
    F::RegrR2,
    F::RegrSlope,
    F::RegrSxx,
    F::RegrSxy,
    F::RegrSyy,
];

fn conjuncts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::And(list) => list,
        other => vec![other],
    }
}

// ---------------------------------------------------------------------------- the test

/// What a run met, to show that it left nothing out.
#[derive(Default)]
struct Met {
    expressions: BTreeSet<String>,
    aggregates: BTreeSet<F>,
    answered: u64,
    same_block: u64,
    empty: u64,
}

impl Met {
    fn block(&mut self, block: &Block) {
        for expr in block.expressions() {
            expr.walk(&mut |part| {
                self.expressions.insert(variant(part));
            });
        }
        if let Output::Groups { measures, .. } = &block.output {
            self.aggregates.extend(measures.iter().map(|measure| measure.function));
        }
    }

    fn join(mut self, other: Self) -> Self {
        self.expressions.extend(other.expressions);
        self.aggregates.extend(other.aggregates);
        self.answered += other.answered;
        self.same_block += other.same_block;
        self.empty += other.empty;
        self
    }
}

/// Kind of an expression, with its operator or test.
fn variant(expr: &Expr) -> String {
    match expr {
        Expr::Column { .. } => "Column".to_owned(),
        Expr::Organisation { .. } => "Organisation".to_owned(),
        Expr::Literal(_) => "Literal".to_owned(),
        Expr::Parameter { .. } => "Parameter".to_owned(),
        Expr::And(_) => "And".to_owned(),
        Expr::Or(_) => "Or".to_owned(),
        Expr::Not(_) => "Not".to_owned(),
        Expr::Negative(_) => "Negative".to_owned(),
        Expr::Is { test, negated, .. } => format!("Is {test:?} {negated}"),
        Expr::Binary { operator, .. } => format!("Binary {operator:?}"),
        Expr::Between { negated, .. } => format!("Between {negated}"),
        Expr::InList { negated, .. } => format!("InList {negated}"),
        Expr::Like { escape, negated, case_insensitive, .. } => {
            format!("Like {} {negated} {case_insensitive}", escape.is_some())
        }
        Expr::Case { operand, otherwise, .. } => {
            format!("Case {} {}", operand.is_some(), otherwise.is_some())
        }
        Expr::Cast { or_null, .. } => format!("Cast {or_null}"),
        Expr::Function { .. } => "Function".to_owned(),
        Expr::Window(_) => unreachable!("drawn by `windows`"),
    }
}

/// Leaves, AND, OR, NOT, minus, functions: 8; tests: 8; operators: 23; BETWEEN and IN: 4; LIKE: 8;
/// CASE: 4; casts: 2.
const VARIANTS: usize = 8 + 8 + 23 + 4 + 8 + 4 + 2;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn random_blocks_read_back_and_mean_what_they_say() {
    let seed = number("HEDGEROW_RANDOM_SEED", 1);
    let cases = number("HEDGEROW_RANDOM_CASES", CASES);
    let numbers: Vec<u64> = (0..cases).collect();
    let parts = in_parts(&numbers, |part| {
        let bench = Bench::new(seed);
        let mut met = Met::default();
        let failures = part.iter().filter_map(|case| {
            check(&bench, seed, *case, &mut met)
                .err()
                .map(|e| format!("HEDGEROW_RANDOM_SEED={seed}, case {case}: {e}"))
        });
        let failures: Vec<String> = failures.collect();
        (met, failures)
    });
    let (mets, failures): (Vec<Met>, Vec<Vec<String>>) = parts.into_iter().unzip();
    let failures = failures.concat();
    assert!(failures.is_empty(), "{} failed\n{}", failures.len(), failures.join("\n\n"));
    let met = mets.into_iter().reduce(Met::join).unwrap();
    if cases >= CASES {
        assert_eq!(met.expressions.len(), VARIANTS, "{:?}", met.expressions);
        assert_eq!(met.aggregates.len(), AGGREGATES.len(), "{:?}", met.aggregates);
        assert!(met.answered * 10 >= cases * 9, "{} of {cases} were answered", met.answered);
        assert!(met.same_block * 2 >= cases, "{} of {cases} lowered to it", met.same_block);
        assert!(met.empty * 2 <= cases, "{} of {cases} had no rows", met.empty);
    }
}

fn check(bench: &Bench, seed: u64, case: u64, met: &mut Met) -> Result<(), String> {
    let mut generator = Generator::new(seed.wrapping_mul(1_000_003).wrapping_add(case));
    let block = generator.block();
    met.block(&block);
    let text = bench.proved(&block)?;
    let spelled = spell(&block, &mut generator.random);
    let report = |what: String| format!("{what}\nspelled: {}\nemitted: {text}", spelled.text);
    let again = bench.block(&spelled.text).map_err(report)?;
    if again == block {
        met.same_block += 1;
    } else if spelled.exactly {
        return Err(report(format!("lowered to {again:?}\nnot to     {block:?}")));
    }
    let expected = bench.answer_text(&spelled.text);
    // A spelling that DataFusion cannot run says nothing of the text; there are few.
    if expected.failed().is_some() {
        return Ok(());
    }
    met.answered += 1;
    met.empty += u64::from(expected.is_empty());
    let texts = [text.clone(), bench.proved(&again)?];
    let once = if again == block { &texts[..1] } else { &texts[..] };
    match once.iter().find_map(|text| bench.difference(&block, text, &expected)) {
        Some(difference) => Err(report(difference)),
        None => Ok(()),
    }
}

/// The generator must yield normal forms, or the comparison of blocks would mean nothing.
#[test]
fn lowering_what_was_emitted_changes_nothing_further() {
    let bench = Bench::new(1);
    for case in 0..20 {
        let block = Generator::new(case).block();
        let text = emit(&block);
        assert_eq!(bench.block(&text).map(|again| emit(&again)).as_ref(), Ok(&text), "case {case}");
    }
}
