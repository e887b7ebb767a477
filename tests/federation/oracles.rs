//! Programs of others that say of the same tables what may be seen: Python scripts in
//! `tests/oracles/`.
//!
//! `HEDGEROW_ORACLES_PYTHON` names a Python with what `tests/oracles/requirements.txt` lists; without
//! it their tests are skipped, and with `HEDGEROW_NOTHING_SKIPPED` they then fail.
//! `HEDGEROW_ORACLE_TABLES` is how many tables, `HEDGEROW_RANDOM_SEED` which. Main entries:
//! [`python`], [`ask`].

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::Command;

use crate::oracle_tables::{Table, tables};

/// Tables, unless more are asked for; with fewer some explanation might not occur.
const TABLES: usize = 20;
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles");
const PYTHON: &str = "HEDGEROW_ORACLES_PYTHON";

/// The Python to be used, if there is one.
pub(crate) fn python(oracle: &str) -> Option<OsString> {
    let python = env::var_os(PYTHON).filter(|path| !path.is_empty());
    if python.is_none() {
        let skipped = format!(
            "{oracle}: skipped, since {PYTHON} is not set. It names a Python that has {oracle}: \
             `.ci/oracles FOLDER` makes one, and then {PYTHON}=FOLDER/bin/python"
        );
        assert!(env::var_os("HEDGEROW_NOTHING_SKIPPED").is_none(), "{skipped}");
        // Past the harness, which shows nothing of tests that pass.
        io::stderr().write_all(format!("{skipped}\n").as_bytes()).unwrap();
    }
    python
}

/// The seed, and the tables drawn from it.
pub(crate) fn drawn() -> (u64, Vec<Table>) {
    let number = |variable: &str, default: u64| {
        env::var(variable).map_or(default, |text| text.parse().unwrap())
    };
    let seed = number("HEDGEROW_RANDOM_SEED", 1);
    (seed, tables(seed, TABLES.max(number("HEDGEROW_ORACLE_TABLES", 0) as usize)))
}

/// Writes tables to a folder, each as `NAME.csv`.
pub(crate) fn write(folder: &Path, tables: &[Table]) {
    for table in tables {
        fs::write(folder.join(format!("{}.csv", table.name)), table.csv()).unwrap();
    }
}

/// What a script prints about the tables of a folder: each line but the first, as its values.
pub(crate) fn ask(python: &OsString, script: &str, folder: &Path) -> Vec<Vec<String>> {
    let output = Command::new(python).arg(format!("{SCRIPTS}/{script}")).arg(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{PYTHON}={}: {error}", python.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Past the harness, for whoever reads the run.
#[expect(clippy::print_stderr, reason = "a summary for whoever reads the run")]
pub(crate) fn report(text: &str) {
    eprint!("{text}");
}
