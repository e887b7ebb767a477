//! Numbers over several nodes against exact arithmetic: sums, means, overflow, moments.
//!
//! References are fractions of whole numbers, so that what is measured is the engine's own error.

use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::answers::{Status, Value, companion, rows, values, values_of};
use crate::world::{Client, Data, Organisation, Spec, World, in_time};

/// Machine epsilon: half the distance from 1 to the next float.
const EPSILON: f64 = 1.110_223_024_625_156_5e-16;

fn contract(protection: &str) -> String {
    let mut text = format!("name = \"reading\"\nversion = 1\n{protection}\n");
    for (name, type_name, role) in [
        ("person_number", "int64", "identifier"),
        ("place", "int64", "dimension"),
        ("units", "int64", "measure"),
        ("price", "decimal128(38,2)", "measure"),
        ("cost", "decimal128(12,2)", "measure"),
        ("x", "float64", "measure"),
        ("y", "float64", "measure"),
    ] {
        text.push_str(&format!(
            "[[columns]]\nname = \"{name}\"\ntype = \"{type_name}\"\nroles = [\"{role}\"]\n"
        ));
        match name {
            "x" | "y" => text.push_str("continuous = true\n"),
            "person_number" => text.push_str("unique = true\n"),
            _ => {}
        }
    }
    text
}

const OPEN: &str = "protection = \"open\"";
const PROTECTED: &str = "person = { column = \"person_number\", scope = \"organisation\" }";

/// One reading.
#[derive(Clone, Default)]
struct Reading {
    place: i64,
    units: Option<i64>,
    price: Option<i128>,
    cost: Option<i128>,
    x: Option<f64>,
    y: Option<f64>,
}

fn batch(rows: &[Reading]) -> RecordBatch {
    let decimal = |pick: fn(&Reading) -> Option<i128>, precision| -> ArrayRef {
        let values: Decimal128Array = rows.iter().map(pick).collect();
        Arc::new(values.with_precision_and_scale(precision, 2).unwrap())
    };
    let columns: [(&str, ArrayRef); 7] = [
        ("person_number", Arc::new(Int64Array::from_iter_values(0..rows.len() as i64))),
        ("place", Arc::new(rows.iter().map(|row| Some(row.place)).collect::<Int64Array>())),
        ("units", Arc::new(rows.iter().map(|row| row.units).collect::<Int64Array>())),
        ("price", decimal(|row| row.price, 38)),
        ("cost", decimal(|row| row.cost, 12)),
        ("x", Arc::new(rows.iter().map(|row| row.x).collect::<Float64Array>())),
        ("y", Arc::new(rows.iter().map(|row| row.y).collect::<Float64Array>())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// A federation with these readings at its organisations.
async fn world(protection: &str, nodes: &[Vec<Reading>]) -> World {
    let mut spec = Spec::default().contract(&contract(protection));
    for (number, rows) in nodes.iter().enumerate() {
        let organisation = Organisation::new(&format!("node_{number}"));
        spec = spec.organisation(organisation.table("reading", Data::Rows(vec![batch(rows)])));
    }
    World::start(spec).await
}

async fn one_row(client: &mut Client, sql: &str) -> Vec<Value> {
    let mut rows = values(&client.ask(sql).await.batches);
    assert_eq!(rows.len(), 1, "{sql}");
    rows.remove(0)
}

async fn floats(client: &mut Client, sql: &str) -> Vec<f64> {
    let float = |value| match value {
        Value::Float(number) => number,
        Value::Exact(text) => text.parse().unwrap(),
        Value::Null => panic!("NULL in {sql}"),
    };
    one_row(client, sql).await.into_iter().map(float).collect()
}

async fn error(client: &mut Client, sql: &str) -> String {
    match client.try_ask(sql).await {
        Ok(answer) => panic!("{sql} is {:?}", values(&answer.batches)),
        Err(error) => format!("{} {}", error.sqlstate, error.message),
    }
}

fn exact(text: impl ToString) -> Value {
    Value::Exact(text.to_string())
}

/// A decimal of two places.
fn hundredths(number: i128) -> Value {
    let sign = if number < 0 { "-" } else { "" };
    exact(format!("{sign}{}.{:02}", number.abs() / 100, number.abs() % 100))
}

const OUT_OF_RANGE: &str =
    "22003 the statement failed on the data: a sum is out of range of its type";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sums_are_exact_or_fail() {
    in_time(async {
        let mut dice = ChaCha8Rng::seed_from_u64(11);
        let mut nodes = vec![vec![]; 4];
        let (mut units, mut cost, mut price) = (0_i128, 0_i128, 0_i128);
        for number in 0..3_000 {
            let null = dice.random_bool(0.1);
            // One node has no rows; halves of the whole range meet, and their sums pass it.
            let reading = Reading {
                place: number % 3,
                units: (!null).then(|| dice.random_range(i64::MIN..=i64::MAX)),
                cost: (!null).then(|| dice.random_range(-999_999_999_999..=999_999_999_999)),
                price: (!null).then(|| dice.random_range(-10_i128.pow(36)..10_i128.pow(36))),
                ..Reading::default()
            };
            units += i128::from(reading.units.unwrap_or(0));
            cost += reading.cost.unwrap_or(0);
            price += reading.price.unwrap_or(0);
            nodes[dice.random_range(0..3)].push(reading);
        }
        // What is missing to a sum of all integers that fits.
        let rest = 1_234_567 - units;
        let (mut left, mut added) = (rest, 0_i64);
        while left != 0 {
            let step = left.clamp(i64::MIN.into(), i64::MAX.into());
            let reading = Reading { place: 9, units: Some(step as i64), ..Reading::default() };
            nodes[2].push(reading);
            left -= step;
            added += 1;
        }
        let count = nodes.iter().flatten().filter(|row| row.units.is_some()).count() as i64;
        let world = world(OPEN, &nodes).await;
        let mut client = world.client().await;
        let row = one_row(
            &mut client,
            "SELECT count(units), sum(units), sum(cost), sum(price), avg(cost) FROM reading",
        )
        .await;
        let of_cost = count - added;
        // Four more places, cut off.
        let mean = cost * 10_000 / i128::from(of_cost);
        let sign = if mean < 0 { "-" } else { "" };
        let mean = format!("{sign}{}.{:06}", mean.abs() / 1_000_000, mean.abs() % 1_000_000);
        let expected =
            [exact(count), exact(1_234_567), hundredths(cost), hundredths(price), exact(mean)];
        assert_eq!(row, expected);
        // The wrapped sum would be some number or other.
        for sql in [
            "SELECT sum(units) FROM reading WHERE units > 0",
            "SELECT place, sum(units) FROM reading WHERE units < 0 GROUP BY place",
            "SELECT organisation, sum(units) FROM reading WHERE units < 0 GROUP BY 1",
            "SELECT sum(units) FILTER (WHERE units > 0) FROM reading",
            "SELECT sum(units) OVER () FROM reading WHERE units > 0",
            "SELECT sum(DISTINCT units) FROM reading WHERE units > 0",
            "SELECT sum(n) FROM (SELECT place, max(units) AS n FROM reading GROUP BY place) AS t",
            "SELECT sum(r.units) FROM reading r JOIN reading s ON r.place = s.place + 1 \
             AND r.organisation <> s.organisation WHERE r.units > 0",
            "SELECT place, sum(price) FROM reading WHERE price > 0 GROUP BY place",
        ] {
            assert_eq!(error(&mut client, sql).await, OUT_OF_RANGE, "{sql}");
        }
        // The way out that the hint names.
        let positive: i128 = nodes
            .iter()
            .flatten()
            .filter_map(|row| row.units)
            .filter(|n| *n > 0)
            .map(i128::from)
            .sum();
        let sql = "SELECT sum(CAST(units AS DECIMAL(38,0))) FROM reading WHERE units > 0";
        assert_eq!(one_row(&mut client, sql).await, [exact(positive)]);
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_protected_node_never_fails_on_a_sum() {
    in_time(async {
        let large = |place, units| Reading {
            place,
            units: Some(units),
            price: Some(9 * 10_i128.pow(37)),
            ..Reading::default()
        };
        // Nine people at place 1 whose sum passes 64 bits, and fifteen at place 2 whose does not.
        let mut rows = vec![large(1, i64::MAX); 9];
        rows.extend(vec![large(2, 3); 15]);
        let nodes = [rows, vec![large(2, i64::MAX / 20); 15]];
        let world = world(PROTECTED, &nodes).await;
        let mut client = world.client().await;
        let sql = "SELECT place, sum(units) FROM reading GROUP BY place";
        let row = one_row(&mut client, sql).await;
        assert_eq!(row, [exact(2), exact(15 * (i64::MAX / 20 + 3))]);
        let sql = "SELECT place, sum(units) FROM reading WHERE place = 1 GROUP BY place";
        assert!(values(&client.ask(sql).await.batches).is_empty());
        let sql = "SELECT sum(price), sum(units) FROM reading WHERE place = 1";
        let cells = rows_of(&mut client, sql).await;
        assert_eq!(cells, [(Value::Null, Status::Withheld), (Value::Null, Status::Withheld)]);
        // Everybody's sum is released, and is too large: that says no more than the sum would.
        assert_eq!(error(&mut client, "SELECT sum(units) FROM reading").await, OUT_OF_RANGE);
        assert_eq!(error(&mut client, "SELECT sum(price) FROM reading").await, OUT_OF_RANGE);
        let whole =
            error(&mut client, "SELECT organisation, avg(price) FROM reading GROUP BY 1").await;
        assert!(whole.starts_with("42501"), "{whole}");
        world.shutdown().await;
    })
    .await;
}

async fn rows_of(client: &mut Client, sql: &str) -> Vec<(Value, Status)> {
    rows(&client.ask(sql).await.batches).remove(0)
}

/// Minus zero is zero: who has it contributes nothing to a sum.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_contributes_a_zero_of_either_sign() {
    in_time(async {
        let reading = |x| Reading { x: Some(x), ..Reading::default() };
        let mut rows = vec![reading(-0.0); 10];
        rows.extend(vec![reading(0.0); 10]);
        rows.extend(vec![reading(17.25); 9]);
        // Elsewhere the column is as continuous as its contract says.
        let others = (0..100).map(|n| Reading { place: 1, ..reading(f64::from(n)) });
        rows.extend(others);
        let world = world(PROTECTED, &[rows]).await;
        let mut client = world.client().await;
        let hidden = (Value::Null, Status::Withheld);
        let sums = "SELECT sum(x), avg(x), stddev(x) FROM reading WHERE place = 0";
        let cells = rows_of(&mut client, sums).await;
        assert_eq!(cells, [hidden.clone(), hidden.clone(), hidden]);
        let count = "SELECT count(x) FROM reading WHERE place = 0";
        let cells = rows_of(&mut client, count).await;
        assert_eq!(cells, [(exact(29), Status::Whole)]);
        // Beside the sum the count falls with it, and nobody says that it is one of few.
        let both = "SELECT count(x) AS n, sum(x) AS s FROM reading WHERE place = 0";
        let answer = client.ask(both).await;
        let bound = |what| values_of(companion(&answer.batches[0], "n", what).unwrap());
        assert_eq!((bound("lower"), bound("upper")), (vec![exact(0)], vec![Value::Null]));
        world.shutdown().await;
    })
    .await;
}

/// Floats at their ends: what is not finite in the data is in the answer, and nothing else is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn floats_at_their_ends() {
    in_time(async {
        let reading = |place, x| Reading { place, x: Some(x), ..Reading::default() };
        let first = vec![
            reading(1, f64::INFINITY),
            reading(2, f64::INFINITY),
            reading(3, f64::NAN),
            reading(4, -0.0),
            reading(5, 1e16),
            reading(6, f64::MAX),
            reading(7, 5e-324),
        ];
        let second = vec![
            reading(1, 1.0),
            reading(2, f64::NEG_INFINITY),
            reading(3, 1.0),
            reading(4, -0.0),
            reading(5, 1.0),
            reading(6, f64::MAX),
            reading(7, 5e-324),
        ];
        let world = world(OPEN, &[first, second, vec![]]).await;
        let mut client = world.client().await;
        let sql = "SELECT place, sum(x), min(x), max(x) FROM reading WHERE place <> 3 \
                   GROUP BY place ORDER BY place";
        let rows = values(&client.ask(sql).await.batches);
        let text: Vec<String> = rows.iter().map(|row| format!("{:?}", &row[1..])).collect();
        let expected = [
            "[Float(inf), Float(1.0), Float(inf)]",
            "[Float(NaN), Float(-inf), Float(inf)]",
            "[Float(0.0), Float(-0.0), Float(-0.0)]",
            "[Float(1e16), Float(1.0), Float(1e16)]",
            "[Float(inf), Float(1.7976931348623157e308), Float(1.7976931348623157e308)]",
            "[Float(1e-323), Float(5e-324), Float(5e-324)]",
        ];
        assert_eq!(text, expected);
        // The extremes of what holds NaN are whatever DataFusion makes of it, as over the union.
        let sql = "SELECT sum(x), avg(x) FROM reading WHERE place = 3";
        assert!(floats(&mut client, sql).await.iter().all(|number| number.is_nan()));
        world.shutdown().await;
    })
    .await;
}

// ------------------------------------------------------------------------- moments

/// Rows of x and y as whole multiples of 2^-30, so that all references are exact.
struct Hard {
    name: &'static str,
    nodes: Vec<Vec<(i64, i64)>>,
}

const UNIT: f64 = 1.0 / (1_i64 << 30) as f64;

/// A number as close to `a / b` as floats are, for whole numbers of any size that fits.
fn ratio(a: i128, b: i128) -> f64 {
    // Both are shortened to 64 bits or so, which is more than a float holds.
    let shorten = |n: i128| {
        let shift = (128 - n.unsigned_abs().leading_zeros()).saturating_sub(100);
        ((n >> shift) as f64, shift as i32)
    };
    let ((a, up), (b, down)) = (shorten(a), shorten(b));
    a / b * 2_f64.powi(up - down)
}

/// Exact n, Σx, Σy and centred second moments times n.
struct Exact {
    n: i128,
    x: i128,
    y: i128,
    xx: i128,
    yy: i128,
    xy: i128,
}

impl Exact {
    fn of(hard: &Hard) -> Self {
        let all: Vec<(i128, i128)> =
            hard.nodes.iter().flatten().map(|(x, y)| ((*x).into(), (*y).into())).collect();
        let n = all.len() as i128;
        // From a point nearby, so that nothing overflows.
        let (x0, y0) = all[0];
        let near: Vec<(i128, i128)> = all.iter().map(|(x, y)| (x - x0, y - y0)).collect();
        let sum = |of: fn(&(i128, i128)) -> i128| near.iter().map(of).sum::<i128>();
        let (x, y) = (sum(|p| p.0), sum(|p| p.1));
        Self {
            n,
            x: x + n * x0,
            y: y + n * y0,
            xx: n * sum(|p| p.0 * p.0) - x * x,
            yy: n * sum(|p| p.1 * p.1) - y * y,
            xy: n * sum(|p| p.0 * p.1) - x * y,
        }
    }

    /// SQL and value of every aggregate that is merged from moments.
    fn all(&self) -> Vec<(&'static str, f64)> {
        let Self { n, x, y, xx, yy, xy } = *self;
        let square = UNIT * UNIT;
        let var_pop = ratio(xx, n * n) * square;
        let var = ratio(xx, n * (n - 1)) * square;
        let slope = ratio(xy, yy);
        vec![
            ("avg(x)", ratio(x, n) * UNIT),
            ("var_pop(x)", var_pop),
            ("var(x)", var),
            ("stddev_pop(x)", var_pop.sqrt()),
            ("stddev(x)", var.sqrt()),
            ("covar_pop(x, y)", ratio(xy, n * n) * square),
            ("covar_samp(x, y)", ratio(xy, n * (n - 1)) * square),
            ("corr(x, y)", ratio(xy, 1) / (ratio(xx, 1).sqrt() * ratio(yy, 1).sqrt())),
            ("regr_count(x, y)", n as f64),
            ("regr_avgx(x, y)", ratio(y, n) * UNIT),
            ("regr_avgy(x, y)", ratio(x, n) * UNIT),
            ("regr_sxx(x, y)", ratio(yy, n) * square),
            ("regr_syy(x, y)", ratio(xx, n) * square),
            ("regr_sxy(x, y)", ratio(xy, n) * square),
            ("regr_slope(x, y)", slope),
            ("regr_r2(x, y)", slope * ratio(xy, xx)),
        ]
    }

    /// How much larger the mean is than the spread: what rounding is multiplied by.
    fn condition(&self) -> f64 {
        let of = |sum: i128, squares: i128| {
            (ratio(sum, self.n) / ratio(squares, self.n * self.n).sqrt()).abs()
        };
        1.0 + of(self.x, self.xx).max(of(self.y, self.yy))
    }
}

fn hard_cases() -> Vec<Hard> {
    let mut dice = ChaCha8Rng::seed_from_u64(12);
    let mut draw = |mean: i64, spread: i64| {
        // In steps that a float of a thousand million still tells apart.
        let mut step = || dice.random_range(-spread / 128..=spread / 128) * 128;
        let x = step();
        let y = x / 2 + step();
        ((mean << 30) + x, (mean << 29) + y)
    };
    // Spread 0.03: a variance of 0.0003 beside a mean of a thousand million.
    let (million, small) = (1_000_000_000, 1 << 25);
    let mut rows = |n: usize, mean, spread| (0..n).map(|_| draw(mean, spread)).collect::<Vec<_>>();
    vec![
        Hard { name: "plain", nodes: vec![rows(500, 3, 1 << 32), rows(700, 3, 1 << 32)] },
        Hard {
            name: "uneven nodes, large mean",
            nodes: vec![
                rows(20_000, million, small),
                rows(3, million, small),
                vec![],
                rows(1, million, small),
            ],
        },
        Hard {
            name: "one row per node, large mean",
            nodes: (0..7).map(|_| rows(1, million, small)).collect(),
        },
        Hard {
            name: "nodes apart from each other",
            nodes: vec![rows(900, 0, small), rows(900, 1_000_000, small), rows(30, -5, small)],
        },
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn moments_keep_to_their_error_bound() {
    in_time(async {
        for hard in hard_cases() {
            let reading = |(x, y): &(i64, i64)| Reading {
                x: Some(*x as f64 * UNIT),
                y: Some(*y as f64 * UNIT),
                ..Reading::default()
            };
            for (x, _) in hard.nodes.iter().flatten() {
                assert_eq!((*x as f64) as i64, *x, "data that no float holds");
            }
            let nodes: Vec<Vec<Reading>> =
                hard.nodes.iter().map(|rows| rows.iter().map(reading).collect()).collect();
            let world = world(OPEN, &nodes).await;
            let mut client = world.client().await;
            let truth = Exact::of(&hard);
            let all = truth.all();
            let list: Vec<&str> = all.iter().map(|(sql, _)| *sql).collect();
            let sql = format!("SELECT {} FROM reading", list.join(", "));
            let actual = floats(&mut client, &sql).await;
            let bound = bound(&truth);
            for ((sql, expected), actual) in all.iter().zip(actual) {
                let error = ((actual - expected) / expected).abs();
                let name = hard.name;
                assert!(error <= bound, "{name}: {sql} is {actual:e}, not {expected:e}: {error:e}");
            }
            world.shutdown().await;
        }
    })
    .await;
}

/// What docs/architecture.md promises.
fn bound(truth: &Exact) -> f64 {
    32.0 * EPSILON * truth.condition()
}
