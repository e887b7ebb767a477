//! Writes the demo's Parquet files, one folder per organisation.
//!
//! Main entry: [`write_data`].

use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;

use super::admissions::AdmissionRows;
use super::contracts::{schema, tables};
use super::emergency::EmergencyRows;
use super::error::DemoError;
use super::extracts::{Extract, extract};
use super::open_tables;
use super::organisations::{DemoOrganisation, ORGANISATIONS_MAX, organisations};
use super::outpatients::OutpatientRows;
use super::people::{Known, PersonRows, Population};
use super::reference;
use super::referrals::ReferralRows;
use super::rows::PersonTable;
use super::vaccinations::VaccinationRows;

/// The most people a demo federation can have.
const PEOPLE_MAX: usize = 50_000_000;
/// People whose rows are written as one block.
const BLOCK_PEOPLE: usize = 16_384;

/// How much data to make, and which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataOptions {
    /// People in all, over all organisations; some are known to two.
    pub people: usize,
    /// Organisations, 1 to [`ORGANISATIONS_MAX`].
    pub organisations: usize,
    /// The same seed makes the same bytes.
    pub seed: u64,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self { people: 100_000, organisations: 5, seed: 1 }
    }
}

/// Writes every table of every organisation as Parquet under `directory/<organisation>/`.
///
/// Folders are made where missing, files of the same name replaced. Which files there are,
/// [`node_tables_toml`](super::node_tables_toml) tells.
///
/// # Errors
/// [`DemoError`] when the options ask for too much or a file cannot be written.
pub fn write_data(options: &DataOptions, directory: &Path) -> Result<(), DemoError> {
    if !(1..=ORGANISATIONS_MAX).contains(&options.organisations) {
        return Err(DemoError::Organisations {
            asked: options.organisations,
            organisations_max: ORGANISATIONS_MAX,
        });
    }
    if options.people > PEOPLE_MAX {
        return Err(DemoError::People { asked: options.people, people_max: PEOPLE_MAX });
    }
    let organisations = organisations(options.organisations);
    let population = Population::draw(options.seed, options.people, &organisations);
    let writers: Vec<Writer<'_>> = organisations
        .iter()
        .zip(&population.known)
        .map(|(organisation, people)| Writer {
            seed: options.seed,
            organisation,
            organisations: &organisations,
            people,
            directory: directory.join(&organisation.id),
        })
        .collect();
    let jobs: Vec<(&Writer<'_>, &'static str)> = writers
        .iter()
        .flat_map(|writer| tables(writer.organisation.kind).map(move |table| (writer, table)))
        .collect();
    in_parallel(&jobs, |(writer, table)| writer.write(table))
}

/// Runs `job` for each item on as many threads as there are cores; the first error wins.
fn in_parallel<T: Sync>(
    items: &[T],
    job: impl Fn(&T) -> Result<(), DemoError> + Sync,
) -> Result<(), DemoError> {
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            job(item)?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|one| one.join().map_err(|_| DemoError::Thread)?)
    })
}

/// Writes the tables of one organisation.
struct Writer<'a> {
    seed: u64,
    organisation: &'a DemoOrganisation,
    organisations: &'a [DemoOrganisation],
    people: &'a [Known],
    directory: PathBuf,
}

impl Writer<'_> {
    fn write(&self, table: &'static str) -> Result<(), DemoError> {
        let (seed, organisation, count) = (self.seed, self.organisation, self.people.len());
        match table {
            "person" => self.write_people(table, PersonRows::new(self.organisations)),
            "referral_pathway" => self.write_people(table, ReferralRows::new(seed, organisation)),
            "admitted_care" => self.write_people(table, AdmissionRows::new(seed, organisation)),
            "outpatient_appointment" => {
                self.write_people(table, OutpatientRows::new(seed, organisation))
            }
            "emergency_attendance" => {
                self.write_people(table, EmergencyRows::new(seed, organisation))
            }
            "vaccination" => self.write_people(table, VaccinationRows::new(seed, organisation)),
            "bed_occupancy" => {
                self.write_once(table, open_tables::bed_occupancy(seed, organisation, count))
            }
            "stock" => self.write_once(table, open_tables::stock(seed, organisation, count)),
            "treatment_function" => self.write_once(table, reference::treatment_function()),
            "icd10_chapter" => self.write_once(table, reference::icd10_chapter()),
            "organisation_directory" => {
                self.write_once(table, reference::organisation_directory(self.organisations))
            }
            "calendar" => self.write_once(table, reference::calendar()),
            _ => Err(DemoError::Contract { table, reason: "no rows are made for it".to_owned() }),
        }
    }

    fn write_people(
        &self,
        table: &'static str,
        mut rows: impl PersonTable,
    ) -> Result<(), DemoError> {
        let mut file = TableFile::create(table, self.organisation, &self.directory)?;
        for block in self.people.chunks(BLOCK_PEOPLE) {
            for known in block {
                rows.add(known);
            }
            file.append(rows.take())?;
        }
        rows.add_rare(self.people);
        file.append(rows.take())?;
        file.close()
    }

    fn write_once(&self, table: &'static str, columns: Vec<ArrayRef>) -> Result<(), DemoError> {
        let mut file = TableFile::create(table, self.organisation, &self.directory)?;
        file.append(columns)?;
        file.close()
    }
}

/// One Parquet file, in contract layout or in the organisation's own.
struct TableFile {
    table: &'static str,
    path: PathBuf,
    schema: SchemaRef,
    extract: Option<Extract>,
    writer: ArrowWriter<File>,
}

impl TableFile {
    fn create(
        table: &'static str,
        organisation: &DemoOrganisation,
        directory: &Path,
    ) -> Result<Self, DemoError> {
        let schema = schema(table)?;
        let extract = extract(&organisation.id, table);
        let name = extract.as_ref().map_or(table, |extract| extract.source);
        let path = directory.join(format!("{name}.parquet"));
        let file = std::fs::create_dir_all(directory)
            .and_then(|()| File::create(&path))
            .map_err(|source| DemoError::File { path: path.clone(), source })?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .build();
        let written = match &extract {
            Some(extract) => extract
                .layout(&RecordBatch::new_empty(schema.clone()))
                .map_err(|source| DemoError::Rows { table, source })?
                .schema(),
            None => schema.clone(),
        };
        let writer = ArrowWriter::try_new(file, written, Some(properties))
            .map_err(|source| DemoError::Parquet { path: path.clone(), source })?;
        Ok(Self { table, path, schema, extract, writer })
    }

    fn append(&mut self, columns: Vec<ArrayRef>) -> Result<(), DemoError> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns)
            .and_then(|batch| match &self.extract {
                Some(extract) => extract.layout(&batch),
                None => Ok(batch),
            })
            .map_err(|source| DemoError::Rows { table: self.table, source })?;
        self.writer
            .write(&batch)
            .map_err(|source| DemoError::Parquet { path: self.path.clone(), source })
    }

    fn close(self) -> Result<(), DemoError> {
        let Self { path, writer, .. } = self;
        writer.close().map(|_| ()).map_err(|source| DemoError::Parquet { path, source })
    }
}
