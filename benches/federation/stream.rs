//! Very many rows of an open table through the coordinator to one client: how fast, and in how much
//! memory. Main entry: [`measure`].
//!
//! They are compared with a plain Flight server that sends the same batches out of its memory, in the
//! same run: that is what the network, its encryption and the client take alone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Date32Array, Float64Array, Int32Array, Int64Array, RecordBatch};
use serde_json::Value;

use crate::data::{part, writer};
use crate::federation::{Extra, Federation, ask};
use crate::measure::quantile;
use crate::plain::Plain;
use crate::processes::{peak_mib, resident_mib};
use crate::questions::SMALL;
use crate::report::{Aim, Report};
use crate::tables::NODES;
use crate::{Failure, data};

/// At scale 1, of all nodes together: as many as an answer may have by default.
const ROWS: f64 = 10_000_000.0;
/// Rows made at once.
const CHUNK_ROWS: usize = 128 * 1_024;
/// Raise it whenever the files change.
const VERSION: u32 = 1;
const ALL: &str = "select n, code, day, value from reading";
/// What counts as flat: a process may grow by this while it streams.
const GROWTH_MIB: Aim = Aim::AtMost(100.0);

const CONTRACT: &str = r#"name = "reading"
version = 1
protection = "open"
[[columns]]
name = "n"
type = "int64"
nullable = false
roles = ["open"]
[[columns]]
name = "code"
type = "int32"
nullable = false
roles = ["open"]
[[columns]]
name = "day"
type = "date32"
nullable = false
roles = ["open"]
[[columns]]
name = "value"
type = "float64"
nullable = false
roles = ["open"]
"#;

/// Streams all rows once through a federation of its own, and once from a plain server.
pub(crate) async fn measure(data: &Path, scale: f64, report: &mut Report) -> Result<(), Failure> {
    let rows = ((ROWS * scale) as usize / NODES).max(1) * NODES;
    let readings = ensure(data, rows)?;
    let federation = Federation::start_with(data, &extra(&readings)).await?;
    let mut client = federation.client().await?;
    ask(&mut client, SMALL).await?;
    let processes: Vec<u32> = federation.processes().collect();
    let before: Vec<f64> = processes.iter().map(|process| resident_mib(*process)).collect();
    let begin = Instant::now();
    let mut stream = client.query(ALL).await.map_err(|error| error.message)?;
    let mut streamed = 0;
    while let Some(batch) = stream.next().await {
        streamed += batch.map_err(|error| error.message)?.num_rows();
    }
    let per_s = rows as f64 / begin.elapsed().as_secs_f64();
    if streamed != rows {
        return Err(format!("{streamed} rows came of {rows}").into());
    }
    // The most a process has ever had: it has done nothing larger before.
    let grown = processes.iter().zip(&before).map(|(process, before)| peak_mib(*process) - before);
    let grown: Vec<f64> = grown.collect();
    let (nodes, coordinator) = grown.split_at(NODES);
    drop(federation);

    let (plain_rows, plain_s) = Plain::start(&readings)?.stream().await?;
    if plain_rows != rows {
        return Err(format!("{plain_rows} rows came of {rows} without a federation").into());
    }
    let plain_per_s = rows as f64 / plain_s;
    report.noted("stream_rows", "rows streamed", rows as f64, "");
    report.noted("stream_rows_per_s", "through the federation", per_s, "rows a second");
    report.noted("stream_plain_rows_per_s", "from a plain server", plain_per_s, "rows a second");
    report.noted("stream_share", "share of the plain server", per_s / plain_per_s, "");
    let coordinator = quantile(coordinator, 1.0);
    report.aimed("stream_coordinator_mib", "coordinator grows by", coordinator, "MiB", GROWTH_MIB);
    let node = quantile(nodes, 1.0);
    report.aimed("stream_node_mib", "largest node grows by", node, "MiB", GROWTH_MIB);
    Ok(())
}

fn extra(readings: &Path) -> Extra {
    let served = |node| {
        let path = Value::from(part(readings, node).to_string_lossy().into_owned());
        format!("[tables.reading]\npath = {path}\n")
    };
    Extra {
        contracts: vec![("reading".to_owned(), CONTRACT.to_owned())],
        node_configs: (0..NODES).map(served).collect(),
        policy: "",
    }
}

/// The folder with the rows of each node in a file, made if it is not there yet.
fn ensure(data: &Path, rows: usize) -> Result<PathBuf, Failure> {
    let folder = data.with_file_name(format!("readings-{rows}-{VERSION}"));
    if folder.join(data::COMPLETE).exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let each = rows / NODES;
    for node in 0..NODES {
        let mut from = 0;
        let mut out = writer(&part(&folder, node), readings(0, 0)?.schema())?;
        while from < each {
            let count = CHUNK_ROWS.min(each - from);
            out.write(&readings((node * each + from) as i64, count as i64)?)?;
            from += count;
        }
        out.close()?;
    }
    File::create(folder.join(data::COMPLETE))?.sync_all()?;
    Ok(folder)
}

/// Rows that follow from their numbers.
fn readings(from: i64, count: i64) -> Result<RecordBatch, Failure> {
    let numbers = || from..from + count;
    let small = |n: i64, most: i64| i32::try_from(n % most).unwrap_or_default();
    let columns: [(&str, ArrayRef); 4] = [
        ("n", Arc::new(Int64Array::from_iter_values(numbers()))),
        ("code", Arc::new(Int32Array::from_iter_values(numbers().map(|n| small(n, 997))))),
        ("day", Arc::new(Date32Array::from_iter_values(numbers().map(|n| small(n / 500, 20_000))))),
        (
            "value",
            Arc::new(Float64Array::from_iter_values(
                numbers().map(|n| f64::from(small(n * 7_919, 100_003)) / 100.0),
            )),
        ),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}
