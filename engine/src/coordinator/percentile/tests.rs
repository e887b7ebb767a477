//! Interpolated percentiles against exact ones: never further away than a bin is wide.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "test")]

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

const EDGES: [f64; 8] = [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

fn bin(value: f64) -> usize {
    EDGES.iter().take_while(|edge| value >= **edge).count()
}

fn histogram(p: f64, values: &[f64]) -> Histogram {
    let mut histogram =
        Histogram { p, edges: EDGES.to_vec(), counts: vec![0; EDGES.len() + 1], base: 1 };
    let bins = values.iter().map(|value| bin(*value) as i64);
    let counts = Int64Array::from(vec![1; values.len()]);
    let bases = Arc::new(Int64Array::from(vec![1; values.len()]));
    let bins = Arc::new(Int64Array::from_iter_values(bins));
    let batch: [ArrayRef; 3] = [bins, Arc::new(counts), bases];
    histogram.update_batch(&batch).unwrap();
    histogram
}

#[test]
fn an_estimate_is_in_the_bin_of_the_exact_percentile() {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..200 {
        let mut values: Vec<f64> = (0..random.random_range(20..400))
            .map(|_| 64.0 * random.random_range(0.0_f64..1.0).powi(3))
            .collect();
        values.sort_by(f64::total_cmp);
        for p in [0.05, 0.25, 0.5, 0.75, 0.92, 0.95] {
            let estimate = histogram(p, &values).percentile().unwrap();
            // The value of which a share p is at or below it.
            let exact = values[((p * values.len() as f64).ceil() as usize).max(1) - 1];
            let (low, high) = (EDGES[bin(exact) - 1], EDGES[bin(exact)]);
            assert!((low..=high).contains(&estimate), "{p}: {estimate} is not near {exact}");
        }
    }
}

#[test]
fn an_even_spread_is_met_exactly() {
    let values: Vec<f64> = (0..640).map(|n| f64::from(n) / 10.0).collect();
    let estimate = histogram(0.5, &values).percentile().unwrap();
    assert!((estimate - 32.0).abs() < 1e-9, "{estimate}");
    let estimate = histogram(0.25, &values).percentile().unwrap();
    assert!((estimate - 16.0).abs() < 1e-9, "{estimate}");
}

#[test]
fn nothing_is_told_in_an_open_ended_bin_or_of_nothing() {
    assert_eq!(histogram(0.5, &[]).percentile(), None);
    assert_eq!(histogram(0.5, &[-1.0, -2.0, -3.0]).percentile(), None);
    assert_eq!(histogram(0.5, &[64.0, 70.0, 900.0]).percentile(), None);
    assert!(histogram(0.5, &[1.0, 1.5, 900.0]).percentile().is_some());
}

#[test]
fn parts_add_up_in_any_order() {
    let (one, other) = ([1.0, 3.0, 5.0, 7.0, 20.0], [2.5, 2.5, 33.0, 40.0]);
    let whole = histogram(0.5, &[one.as_slice(), other.as_slice()].concat()).percentile();
    for (first, second) in [(&one[..], &other[..]), (&other[..], &one[..])] {
        let mut merged = histogram(0.5, &[]);
        for part in [first, second] {
            let state = histogram(0.5, part).state().unwrap();
            let state: Vec<ArrayRef> = state.iter().map(|s| s.to_array().unwrap()).collect();
            merged.merge_batch(&state).unwrap();
        }
        assert_eq!(merged.percentile(), whole);
    }
}

#[test]
fn what_is_withheld_or_has_no_value_is_in_no_bin() {
    let mut counted = histogram(0.5, &[]);
    let bins: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(2), Some(99)]));
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), Some(50), None, Some(70)]));
    let bases: ArrayRef = Arc::new(Int64Array::from(vec![5; 4]));
    counted.update_batch(&[bins, counts, bases]).unwrap();
    assert_eq!(counted.base, 5);
    assert_eq!(counted.counts, [0, 10, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn edges_are_constants_of_the_columns_own_kind() {
    let of = |edge, data_type| {
        let (literal, value) = edge_of(edge, &data_type);
        (literal.data_type.0, literal.text.unwrap(), value)
    };
    assert_eq!(of(6.0, DataType::Int32), (DataType::Int64, "6".to_owned(), 6.0));
    assert_eq!(of(6.5, DataType::Int32), (DataType::Float64, "6.5".to_owned(), 6.5));
    assert_eq!(of(6.0, DataType::Float64), (DataType::Float64, "6.0".to_owned(), 6.0));
    let pounds = DataType::Decimal128(12, 2);
    assert_eq!(of(500.0, pounds.clone()), (pounds, "500.00".to_owned(), 500.0));
    let (wider, text, _) = of(1e6, DataType::Decimal128(5, 2));
    assert_eq!((wider, text), (DataType::Decimal128(9, 2), "1000000.00".to_owned()));
}
