//! TPC-H files, made once and kept in a cache folder. Main entry: [`ensure`].
//!
//! ```text
//! CACHE/hedgerow-bench/tpch-SCALE-VERSION/TABLE/part_N.parquet
//!                                         complete             written last
//! ```
//! A split table has one file per node; DataFusion reads them all. Rows are made in chunks, so that
//! memory does not grow with the scale.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow,
    SupplierArrow,
};

use crate::Failure;
use crate::tables::{Home, NODES, TABLES, Table};

/// Raise it whenever the files change.
const VERSION: u32 = 2;
/// So that two threads share a node's file evenly.
const ROW_GROUP_ROWS: usize = 128 * 1_024;
/// Written last.
pub(crate) const COMPLETE: &str = "complete";
const CUSTOMER: &str = "l_custkey";

/// The folder with all tables at a scale, made if it is not there yet.
pub(crate) fn ensure(scale: f64) -> Result<PathBuf, Failure> {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
    let cache = cache.map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = cache.join("hedgerow-bench").join(format!("tpch-{scale}-{VERSION}"));
    if folder.join(COMPLETE).exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for table in &TABLES {
        writeln!(std::io::stderr(), "making {} at scale {scale}", table.name)?;
        write(table, scale, &folder)?;
    }
    File::create(folder.join(COMPLETE))?.sync_all()?;
    Ok(folder)
}

/// Tells whether the data are at scale 1 or more.
pub(crate) fn is_whole(data: &Path) -> bool {
    let name = data.file_name().map(|name| name.to_string_lossy().into_owned());
    let scale = name.as_deref().and_then(|name| name.split('-').nth(1)?.parse::<f64>().ok());
    scale.is_some_and(|scale| scale >= 1.0)
}

/// The file with a table's rows at a node.
pub(crate) fn file(data: &Path, table: &Table, node: usize) -> PathBuf {
    part(&data.join(table.name), table.part_of(node))
}

/// The columns of a table.
pub(crate) fn schema(data: &Path, table: &Table) -> Result<SchemaRef, Failure> {
    let file = File::open(file(data, table, 0))?;
    let metadata = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new())?;
    Ok(Arc::clone(metadata.schema()))
}

/// The file of one node, or the one of all.
pub(crate) fn part(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("part_{number}.parquet"))
}

fn write(table: &Table, scale: f64, data: &Path) -> Result<(), Failure> {
    let folder = data.join(table.name);
    fs::create_dir_all(&folder)?;
    let mut writers: Vec<ArrowWriter<File>> = vec![];
    let chunks = (scale * 4.0).ceil().max(1.0) as i32;
    // The smallest tables are one chunk, whatever the scale.
    let smallest = ["nation", "nation_part", "region"].contains(&table.name);
    let chunks = if smallest { 1 } else { chunks };
    for chunk in 1..=chunks {
        for batch in batches(table.name, scale, chunk, chunks)? {
            let batch = batch?;
            if writers.is_empty() {
                for number in 0..table.parts() {
                    writers.push(writer(&part(&folder, number), batch.schema())?);
                }
            }
            for (writer, rows) in writers.iter_mut().zip(split(table, &batch)?) {
                writer.write(&rows)?;
            }
        }
    }
    for writer in writers {
        writer.close()?;
    }
    Ok(())
}

/// Writes a file in the form of all of them.
pub(crate) fn writer(path: &Path, schema: SchemaRef) -> Result<ArrowWriter<File>, Failure> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .build();
    Ok(ArrowWriter::try_new(File::create(path)?, schema, Some(properties))?)
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch, Failure>>>;

fn batches(name: &str, scale: f64, chunk: i32, chunks: i32) -> Result<Batches, Failure> {
    let orders = || OrderGenerator::new(scale, chunk, chunks);
    let made: Box<dyn Iterator<Item = RecordBatch>> = match name {
        "customer" => Box::new(CustomerArrow::new(CustomerGenerator::new(scale, chunk, chunks))),
        "orders" => Box::new(OrderArrow::new(orders())),
        "nation" | "nation_part" => {
            Box::new(NationArrow::new(NationGenerator::new(scale, chunk, chunks)))
        }
        "region" => Box::new(RegionArrow::new(RegionGenerator::new(scale, chunk, chunks))),
        "part" => Box::new(PartArrow::new(PartGenerator::new(scale, chunk, chunks))),
        "supplier" => Box::new(SupplierArrow::new(SupplierGenerator::new(scale, chunk, chunks))),
        "partsupp" => Box::new(PartSuppArrow::new(PartSuppGenerator::new(scale, chunk, chunks))),
        "lineitem" => {
            let customers: HashMap<i64, i64> =
                orders().iter().map(|order| (order.o_orderkey, order.o_custkey)).collect();
            let lines = LineItemArrow::new(LineItemGenerator::new(scale, chunk, chunks));
            return Ok(Box::new(
                lines.map(move |batch| plain(&with_customers(&batch, &customers)?)),
            ));
        }
        other => return Err(format!("`{other}` is not made yet").into()),
    };
    Ok(Box::new(made.map(|batch| plain(&batch))))
}

/// Adds the customer of each line's order.
fn with_customers(
    batch: &RecordBatch,
    customers: &HashMap<i64, i64>,
) -> Result<RecordBatch, Failure> {
    let orders = numbers(batch, "l_orderkey")?;
    let own: Option<Vec<i64>> = orders.iter().map(|order| customers.get(order).copied()).collect();
    let own: ArrayRef = Arc::new(Int64Array::from(own.ok_or("a line without its order")?));
    let added = Arc::new(Field::new(CUSTOMER, DataType::Int64, false));
    let schema = batch.schema();
    let fields: Vec<_> = schema.fields().iter().cloned().chain([added]).collect();
    let columns = batch.columns().iter().cloned().chain([own]).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// Texts in the type of contracts.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, Failure> {
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    };
    let schema = batch.schema();
    let fields = schema.fields().iter();
    let fields: Vec<Field> =
        fields.map(|f| Field::new(f.name(), plain(f.data_type()), f.is_nullable())).collect();
    let columns = batch.columns().iter().map(|c| cast(c, &plain(c.data_type())));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// The rows of each part.
fn split(table: &Table, batch: &RecordBatch) -> Result<Vec<RecordBatch>, Failure> {
    let Home::Split(column) = table.home else {
        return Ok(vec![batch.clone()]);
    };
    let numbers = numbers(batch, column)?;
    let nodes = i64::try_from(NODES)?;
    let rows = |node: i64| {
        let here: BooleanArray = numbers.iter().map(|n| Some(n % nodes == node)).collect();
        Ok(filter_record_batch(batch, &here)?)
    };
    (0..nodes).map(rows).collect()
}

fn numbers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a [i64], Failure> {
    let column = batch.column_by_name(name).ok_or_else(|| format!("no column `{name}`"))?;
    let column = column.as_primitive_opt::<Int64Type>();
    Ok(column.ok_or_else(|| format!("`{name}` is not int64"))?.values())
}
