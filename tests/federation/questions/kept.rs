//! Answers that are kept beside the questions. `HEDGEROW_BLESS=1` writes them anew.
//!
//! Main entry: [`check_kept`].

use std::fs;
use std::path::Path;

use hedgerow::shell::{Format, Summary, TableOptions, renderer};

use crate::answers::close;
use crate::world::Answer;

/// An answer as the shell prints it.
fn printed(answer: &Answer) -> String {
    let mut out = vec![];
    let schema = answer.batches[0].schema();
    let mut printer = renderer(Format::Csv, TableOptions::default(), &schema, &mut out).unwrap();
    for batch in &answer.batches {
        printer.batch(batch, &mut out).unwrap();
    }
    printer.finish(&Summary::default(), &mut out, &mut vec![]).unwrap();
    String::from_utf8(out).unwrap()
}

/// Compares an answer with the one that is kept; floats as if summed in another order.
pub(super) fn check_kept(path: &Path, answer: &Answer) {
    if std::env::var_os("HEDGEROW_BLESS").is_some() {
        fs::write(path, printed(answer)).unwrap();
    }
    check_kept_as(path, answer, &str::to_owned);
}

/// The same, with other values in the place of some that are kept.
pub(super) fn check_kept_as(path: &Path, answer: &Answer, renamed: &dyn Fn(&str) -> String) {
    let answer = printed(answer);
    let name = path.file_name().unwrap().to_string_lossy();
    let kept = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("{name}: {error}; HEDGEROW_BLESS=1 writes it"));
    assert_eq!(answer.lines().count(), kept.lines().count(), "{name}: number of lines");
    for (answer, kept) in answer.lines().zip(kept.lines()) {
        let kept = kept.split(',').map(renamed).collect::<Vec<_>>().join(",");
        let same = answer.split(',').count() == kept.split(',').count()
            && answer.split(',').zip(kept.split(',')).all(|(a, b)| {
                a == b
                    || matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b))
                        if a.fract() != 0.0 && close(a, b))
            });
        assert!(same, "{name}:\n{answer}\nis kept as\n{kept}");
    }
}
