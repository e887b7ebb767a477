//! From the configuration as written to one that holds together. Entry: [`server`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hedgerow_policies::{Policy, PolicyError, PolicySettings};

use super::file::{FederationFile, FilesFile, FormatWord, PolicyFile, ServerFile, ViewFile};
use super::{
    FederationConfig, LedgerConfig, LogConfig, ServerConfig, SourceConfig, SourceFormat,
    TableConfig, TlsConfig, UsersConfig, ViewConfig, keys,
};
use crate::contracts::Contracts;
use crate::document::{Document, read_text};
use crate::error::{CatalogError, ConfigProblem, Nearest};

/// Checks what was written and resolves its paths.
pub(super) fn server(
    file: ServerFile,
    document: &Document<'_>,
    folder: &Path,
) -> Result<ServerConfig, CatalogError> {
    let check = Check { document, folder };
    if let Some(organisation) = &file.organisation {
        check.name(&["organisation"], organisation)?;
    }
    if let Some(key) = file.limits.zero() {
        return Err(check.problem(&["limits", key], ConfigProblem::Zero));
    }
    let config = ServerConfig {
        organisation: file.organisation,
        name: file.name,
        listen: file.listen,
        contracts: check.path(&file.contracts),
        tls: TlsConfig {
            certificate: check.path(&file.tls.certificate),
            key: check.path(&file.tls.key),
            authority: file.tls.authority.map(|path| check.path(&path)),
        },
        users: UsersConfig { file: check.path(&file.users.file) },
        log: LogConfig {
            format: file.log.format,
            filter: file.log.filter.unwrap_or_else(|| keys::LOG_FILTER.to_owned()),
        },
        metrics: file.metrics,
        limits: file.limits,
        policy: check.policy(file.policy, &file.tables)?,
        ledger: file.ledger.map(|ledger| LedgerConfig { file: check.path(&ledger.file) }),
        sources: check.sources(&file.sources)?,
        tables: check.tables(file.tables)?,
        views: check.views(file.views)?,
        federation: file.federation.map(|federation| check.federation(federation)).transpose()?,
    };
    check.role(&config)?;
    Ok(config)
}

/// Every table has a contract.
pub(super) fn contracts(
    config: &ServerConfig,
    contracts: &Contracts,
    document: &Document<'_>,
) -> Result<(), CatalogError> {
    match config.tables.keys().find(|name| contracts.get(name).is_none()) {
        None => Ok(()),
        Some(name) => {
            let known = contracts.iter().map(|contract| contract.name.as_str());
            let problem =
                ConfigProblem::TableWithoutContract { nearest: Nearest::find(name, known) };
            Err(Check { document, folder: Path::new("") }.problem(&["tables", name], problem))
        }
    }
}

struct Check<'a> {
    document: &'a Document<'a>,
    folder: &'a Path,
}

impl Check<'_> {
    fn problem(&self, path: &[&str], problem: ConfigProblem) -> CatalogError {
        CatalogError::Config {
            file: self.document.file.to_owned(),
            line: self.document.line_of(path),
            key: path.join("."),
            problem,
        }
    }

    fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    fn name(&self, path: &[&str], name: &str) -> Result<(), CatalogError> {
        let mut bytes = name.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        if starts && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Ok(());
        }
        Err(self.problem(path, ConfigProblem::Name { name: name.to_owned() }))
    }

    fn role(&self, config: &ServerConfig) -> Result<(), CatalogError> {
        if config.is_node() && config.organisation.is_none() {
            return Err(self.problem(&["organisation"], ConfigProblem::NodeWithoutOrganisation));
        }
        if !config.is_node() && !config.is_coordinator() {
            return Err(self.problem(&["tables"], ConfigProblem::NoRole));
        }
        if let Some(id) =
            config.federation_id().filter(|id| config.organisation.as_deref() == Some(id))
        {
            let problem = ConfigProblem::OwnNode { organisation: id.to_owned() };
            return Err(self.problem(&["federation", "organisation"], problem));
        }
        Ok(())
    }

    fn policy(
        &self,
        policy: PolicyFile,
        tables: &BTreeMap<String, FilesFile>,
    ) -> Result<PolicySettings, CatalogError> {
        if let Some(table) = policy.tables.keys().find(|table| !tables.contains_key(*table)) {
            let nearest = Nearest::find(table, tables.keys().map(String::as_str));
            let problem = ConfigProblem::PolicyWithoutTable { table: table.clone(), nearest };
            return Err(self.problem(&["policy", "tables", table], problem));
        }
        let settings = PolicySettings {
            preset: policy.preset.unwrap_or_else(|| keys::PRESET.to_owned()),
            k: policy.k,
            complement: policy.complement.unwrap_or(keys::COMPLEMENT),
            p_percent: policy.p_percent,
            dominance: policy.dominance,
            round_to: policy.round_to,
            coordinators: policy.coordinators,
            tables: policy.tables.into_iter().map(|(table, policy)| (table, policy.k)).collect(),
        };
        match Policy::new(&settings) {
            Ok(_) => Ok(settings),
            Err(error) => {
                let at = place_of(&error, &settings);
                Err(self.problem(&at, ConfigProblem::Policy(error.clone())))
            }
        }
    }

    fn sources(
        &self,
        sources: &BTreeMap<String, FilesFile>,
    ) -> Result<BTreeMap<String, SourceConfig>, CatalogError> {
        let check = |(name, file): (&String, &FilesFile)| {
            self.name(&["sources", name], name)?;
            if file.sql.is_some() {
                return Err(self.unknown_sql("sources", name));
            }
            Ok((name.clone(), self.files("sources", name, file)?))
        };
        sources.iter().map(check).collect()
    }

    /// A source takes all keys of a table but `sql`, and so does a coordinator's table.
    fn unknown_sql(&self, kind: &str, name: &str) -> CatalogError {
        CatalogError::UnknownKey {
            file: self.document.file.to_owned(),
            line: self.document.line_of(&place(kind, name, &["sql"])),
            key: "sql".to_owned(),
            nearest: Nearest::find("sql", ["path", "format", "header", "delimiter"]),
        }
    }

    fn tables(
        &self,
        tables: BTreeMap<String, FilesFile>,
    ) -> Result<BTreeMap<String, TableConfig>, CatalogError> {
        let check = |(name, file): (String, FilesFile)| {
            self.name(&["tables", &name], &name)?;
            let table = self.table(&name, file)?;
            Ok((name, table))
        };
        tables.into_iter().map(check).collect()
    }

    fn table(&self, name: &str, mut file: FilesFile) -> Result<TableConfig, CatalogError> {
        match (file.path.is_some(), file.sql.take()) {
            (true, None) => Ok(TableConfig::Files(self.files("tables", name, &file)?)),
            (false, Some(sql)) => {
                let given = [
                    ("format", file.format.is_some()),
                    ("header", file.header.is_some()),
                    ("delimiter", file.delimiter.is_some()),
                ];
                match given.iter().find(|(_, given)| *given) {
                    Some((key, _)) => {
                        Err(self.problem(&["tables", name, key], ConfigProblem::OnlyPath))
                    }
                    None => Ok(TableConfig::Mapping { sql }),
                }
            }
            (true, Some(_)) | (false, None) => {
                Err(self.problem(&["tables", name], ConfigProblem::PathOrSql))
            }
        }
    }

    fn files(
        &self,
        kind: &str,
        name: &str,
        file: &FilesFile,
    ) -> Result<SourceConfig, CatalogError> {
        let Some(path) = &file.path else {
            return Err(CatalogError::MissingKey {
                file: self.document.file.to_owned(),
                line: self.document.line_of(&place(kind, name, &[])),
                key: "path".to_owned(),
            });
        };
        let path = self.path(path);
        let format = file.format.or_else(|| format_of(&path));
        let format = format
            .ok_or_else(|| self.problem(&place(kind, name, &["path"]), ConfigProblem::Format))?;
        Ok(SourceConfig { format: self.format(kind, name, file, format)?, path })
    }

    fn format(
        &self,
        kind: &str,
        name: &str,
        file: &FilesFile,
        format: FormatWord,
    ) -> Result<SourceFormat, CatalogError> {
        let only_csv = |key| self.problem(&place(kind, name, &[key]), ConfigProblem::OnlyCsv);
        match format {
            FormatWord::Parquet if file.header.is_some() => Err(only_csv("header")),
            FormatWord::Parquet if file.delimiter.is_some() => Err(only_csv("delimiter")),
            FormatWord::Parquet => Ok(SourceFormat::Parquet),
            FormatWord::Csv => Ok(SourceFormat::Csv {
                header: file.header.unwrap_or(keys::HEADER),
                delimiter: self.delimiter(kind, name, file.delimiter.as_deref())?,
            }),
        }
    }

    fn delimiter(&self, kind: &str, name: &str, text: Option<&str>) -> Result<u8, CatalogError> {
        match text.unwrap_or(keys::DELIMITER).as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
            _ => Err(self.problem(&place(kind, name, &["delimiter"]), ConfigProblem::Delimiter)),
        }
    }

    fn views(
        &self,
        views: BTreeMap<String, ViewFile>,
    ) -> Result<BTreeMap<String, ViewConfig>, CatalogError> {
        let check = |(name, view): (String, ViewFile)| {
            self.name(&["views", &name], &name)?;
            let sql = match (view.sql, view.file) {
                (Some(sql), None) => sql,
                (None, Some(file)) => read_text(&self.path(&file))?,
                (Some(_), Some(_)) | (None, None) => {
                    return Err(self.problem(&["views", &name], ConfigProblem::SqlOrFile));
                }
            };
            Ok((name, ViewConfig { sql, description: view.description.unwrap_or_default() }))
        };
        views.into_iter().map(check).collect()
    }

    fn own_tables(
        &self,
        tables: &BTreeMap<String, FilesFile>,
    ) -> Result<BTreeMap<String, SourceConfig>, CatalogError> {
        let kind = "federation.tables";
        let check = |(name, file): (&String, &FilesFile)| {
            self.name(&place(kind, name, &[]), name)?;
            if file.sql.is_some() {
                return Err(self.unknown_sql(kind, name));
            }
            Ok((name.clone(), self.files(kind, name, file)?))
        };
        tables.iter().map(check).collect()
    }

    fn federation(&self, file: FederationFile) -> Result<FederationConfig, CatalogError> {
        if file.connect_timeout_ms == 0 {
            return Err(self.problem(&["federation", "connect_timeout_ms"], ConfigProblem::Zero));
        }
        let own = file.organisation.as_deref();
        if let Some(own) = own {
            self.name(&["federation", "organisation"], own)?;
        }
        let mut seen = BTreeSet::new();
        for (index, node) in file.nodes.iter().enumerate() {
            let index = index.to_string();
            let at = |key| ["federation", "nodes", index.as_str(), key];
            self.name(&at("organisation"), &node.organisation)?;
            if !seen.insert(node.organisation.as_str()) {
                let organisation = node.organisation.clone();
                let problem = ConfigProblem::DuplicateNode { organisation };
                return Err(self.problem(&at("organisation"), problem));
            }
            if own == Some(node.organisation.as_str()) {
                let organisation = node.organisation.clone();
                return Err(
                    self.problem(&at("organisation"), ConfigProblem::OwnNode { organisation })
                );
            }
            if node.url.strip_prefix("https://").is_none_or(str::is_empty) {
                return Err(self.problem(&at("url"), ConfigProblem::Url));
            }
        }
        Ok(FederationConfig {
            organisation: file.organisation,
            user: file.user,
            password_file: self.path(&file.password_file),
            coordinators: file.coordinators,
            connect_timeout_ms: file.connect_timeout_ms,
            tables: self.own_tables(&file.tables)?,
            nodes: file.nodes,
        })
    }
}

/// The key that a fault of the policy lies in.
fn place_of<'a>(error: &'a PolicyError, settings: &'a PolicySettings) -> Vec<&'a str> {
    match error {
        PolicyError::UnknownPreset { .. } => vec!["policy", "preset"],
        PolicyError::Threshold { k } => {
            let mut tables = settings.tables.iter().filter(|_| settings.k != Some(*k));
            match tables.find(|(_, own)| *own == k) {
                Some((table, _)) => vec!["policy", "tables", table.as_str(), "k"],
                None => vec!["policy", "k"],
            }
        }
        PolicyError::Loosened { table, .. } => vec!["policy", "tables", table.as_str(), "k"],
        PolicyError::Share { key, .. } => std::iter::once("policy").chain(key.split('.')).collect(),
        PolicyError::Looser { key, .. } => vec!["policy", key],
        PolicyError::DominanceOf { .. } => vec!["policy", "dominance", "n"],
        PolicyError::Base { .. } => vec!["policy", "round_to"],
        PolicyError::NothingToRound => vec!["policy", "coordinators"],
    }
}

/// Where a key of a table stands: `kind` may be a path itself.
fn place<'a>(kind: &'a str, name: &'a str, key: &[&'a str]) -> Vec<&'a str> {
    kind.split('.').chain([name]).chain(key.iter().copied()).collect()
}

/// The format a path's ending tells; a folder without `format` holds Parquet.
fn format_of(path: &Path) -> Option<FormatWord> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("parquet") => Some(FormatWord::Parquet),
        Some("csv") => Some(FormatWord::Csv),
        Some(_) => None,
        None if path.file_name().is_some_and(|name| name.to_string_lossy().contains('*')) => None,
        None => Some(FormatWord::Parquet),
    }
}
