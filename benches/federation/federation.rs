//! Server processes and their clients. Main type: [`Federation`].
//!
//! ```text
//! FOLDER/authority.pem, users.toml
//!       /contracts/*.toml
//!       /NODE/serve.toml, server.pem, server.key, ledger.ndjson
//!       /coordinator/serve.toml, server.pem, server.key, node.password
//! ```

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use hedgerow::demo::ensure_certificates;
use hedgerow_flight::{ClientTls, Credentials, SqlClient, hash_password};
use serde_json::Value;
use tempfile::TempDir;

use crate::Failure;
use crate::answers::{Answer, rows};
use crate::data;
use crate::processes::{Process, resident_mib};
use crate::tables::{NODES, TABLES, Table};

/// Longest wait for a server to serve.
const START_MAX: Duration = Duration::from_secs(60);
/// Lines of a server's log that are shown when it does not start.
const LOG_LINES_MAX: usize = 20;

const USER: &str = "analyst";
pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const COORDINATOR: &str = "coordinator";

/// Four nodes and a coordinator, each a process; killed when dropped.
pub(crate) struct Federation {
    nodes: Vec<Server>,
    coordinator: Server,
    folder: TempDir,
}

/// What a federation has beside the tables of the data.
#[derive(Default)]
pub(crate) struct Extra {
    /// Contracts by name, as TOML.
    pub(crate) contracts: Vec<(String, String)>,
    /// More of the configuration of each node.
    pub(crate) node_configs: Vec<String>,
    /// More of the `[policy]` of every node.
    pub(crate) policy: &'static str,
}

/// One server process.
pub(crate) struct Server {
    process: Process,
    pub(crate) url: String,
    pub(crate) started: Duration,
}

impl Federation {
    /// Starts the nodes one after the other, then the coordinator.
    pub(crate) async fn start(data: &Path) -> Result<Self, Failure> {
        Self::start_with(data, &Extra::default()).await
    }

    /// The same with more tables.
    pub(crate) async fn start_with(data: &Path, extra: &Extra) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        let names: Vec<String> = (0..NODES).map(|node| format!("node_{node}")).collect();
        prepare(path, data, &names, &hash_password(PASSWORD)?)?;
        for (name, text) in &extra.contracts {
            fs::write(path.join("contracts").join(format!("{name}.toml")), text)?;
        }
        let mut nodes = vec![];
        for (node, name) in names.iter().enumerate() {
            let mut config = node_config(data, node, name, extra.policy, &TABLES);
            config.push_str(extra.node_configs.get(node).map_or("", String::as_str));
            fs::write(path.join(name).join("serve.toml"), config)?;
            nodes.push(Server::start(path, name).await?);
        }
        let urls = nodes.iter().map(|node| node.url.as_str());
        let config = coordinator_config(names.iter().map(String::as_str).zip(urls));
        fs::write(path.join(COORDINATOR).join("serve.toml"), config)?;
        let coordinator = Server::start(path, COORDINATOR).await?;
        Ok(Self { nodes, coordinator, folder })
    }

    /// The folder of the contracts.
    pub(crate) fn contracts(&self) -> PathBuf {
        self.folder.path().join("contracts")
    }

    /// A new client of the coordinator.
    pub(crate) async fn client(&self) -> Result<SqlClient, Failure> {
        client(&self.coordinator.url, self.folder.path()).await
    }

    /// How long each node took from its start to the first login, in milliseconds.
    pub(crate) fn node_starts(&self) -> Vec<f64> {
        self.nodes.iter().map(|node| node.started.as_secs_f64() * 1e3).collect()
    }

    /// The same of the coordinator, whose nodes were there.
    pub(crate) fn coordinator_start(&self) -> f64 {
        self.coordinator.started.as_secs_f64() * 1e3
    }

    /// Resident memory of each node, in MiB.
    pub(crate) fn memory(&self) -> Vec<f64> {
        self.nodes.iter().map(|node| resident_mib(node.process())).collect()
    }

    /// The processes of the nodes.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().map(Server::process)
    }

    /// The process of the coordinator.
    pub(crate) fn coordinator(&self) -> u32 {
        self.coordinator.process()
    }

    /// All server processes.
    pub(crate) fn processes(&self) -> impl Iterator<Item = u32> {
        self.nodes().chain([self.coordinator()])
    }
}

impl Server {
    /// Starts a server and waits until a client has logged in.
    pub(crate) async fn start(folder: &Path, name: &str) -> Result<Self, Failure> {
        let begin = Instant::now();
        let program = std::env::var_os("HEDGEROW_BENCH_PROGRAM");
        let mut child = Command::new(program.unwrap_or(env!("CARGO_BIN_EXE_hedgerow").into()))
            .arg("serve")
            .arg("--config")
            .arg(folder.join(name).join("serve.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take();
        // Made at once, so that it is killed whatever comes next.
        let mut server =
            Self { process: Process(child), url: String::new(), started: Duration::ZERO };
        let address = address(log.ok_or("a server without a log")?);
        server.url = format!("https://{}", address.map_err(|e| format!("{name}: {e}"))?);
        client(&server.url, folder).await?;
        server.started = begin.elapsed();
        Ok(server)
    }

    pub(crate) fn process(&self) -> u32 {
        self.process.0.id()
    }
}

/// Where a server listens, as its log says. The log is read to its end, so that it never blocks.
fn address(log: ChildStderr) -> Result<String, Failure> {
    let (found, waiting) = mpsc::channel();
    std::thread::spawn(move || {
        let mut last: VecDeque<String> = VecDeque::new();
        for line in BufReader::new(log).lines().map_while(Result::ok) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let is = |key: &str, value: &str| event.get(key).is_some_and(|v| v == value);
            if is("message", "serving")
                && let Some(address) = event.get("address").and_then(Value::as_str)
            {
                // Nobody waits any more once the benchmark has given up.
                let _ = found.send(Ok(address.to_owned()));
            }
            if !is("level", "INFO") {
                last.push_back(line);
                last.truncate(LOG_LINES_MAX);
            }
        }
        let _ = found.send(Err(last.into_iter().collect::<Vec<_>>().join("\n")));
    });
    match waiting.recv_timeout(START_MAX) {
        Ok(Ok(address)) => Ok(address),
        Ok(Err(log)) => Err(format!("the server ended: {log}").into()),
        Err(RecvTimeoutError::Timeout) => Err("the server does not start".into()),
        Err(RecvTimeoutError::Disconnected) => Err("the server's log was lost".into()),
    }
}

/// Asks one question and reads the whole answer.
pub(crate) async fn ask(client: &mut SqlClient, sql: &str) -> Result<Answer, Failure> {
    let begin = Instant::now();
    let said = |error: hedgerow_engine::WireError| format!("{}: {}", error.sqlstate, error.message);
    let mut stream = client.query(sql).await.map_err(said)?;
    let mut batches = vec![];
    while let Some(batch) = stream.next().await {
        batches.push(batch.map_err(said)?);
    }
    let ms = begin.elapsed().as_secs_f64() * 1e3;
    Ok(Answer { rows: rows(&batches)?, ms })
}

/// A new client of the server at `url`, whose authority is in `folder`.
pub(crate) async fn client(url: &str, folder: &Path) -> Result<SqlClient, Failure> {
    let tls = ClientTls { authority: folder.join("authority.pem"), domain: None };
    let credentials = Credentials { user: USER.to_owned(), password: PASSWORD.to_owned() };
    let client = SqlClient::connect(url, &tls, credentials).await;
    Ok(client.map_err(|error| format!("{}: {}", error.sqlstate, error.message))?)
}

/// Writes what all servers share; `hash` is that of the password.
pub(crate) fn prepare(
    folder: &Path,
    data: &Path,
    nodes: &[String],
    hash: &str,
) -> Result<(), Failure> {
    let contracts = folder.join("contracts");
    fs::create_dir(&contracts)?;
    for table in &TABLES {
        let schema = data::schema(data, table)?;
        for (name, text) in table.contracts(&schema)? {
            fs::write(contracts.join(format!("{name}.toml")), text)?;
        }
    }
    fs::write(folder.join("users.toml"), format!("[users]\n{USER} = \"{hash}\"\n"))?;
    let servers: Vec<String> = nodes.iter().cloned().chain([COORDINATOR.to_owned()]).collect();
    for server in &servers {
        fs::create_dir(folder.join(server))?;
    }
    fs::write(folder.join(COORDINATOR).join("node.password"), PASSWORD)?;
    ensure_certificates(folder, &servers)?;
    Ok(())
}

/// Port 0: the server takes a free one and says which.
const COMMON: &str = "listen = \"127.0.0.1:0\"
contracts = \"../contracts\"
[tls]
certificate = \"server.pem\"
key = \"server.key\"
authority = \"../authority.pem\"
[users]
file = \"../users.toml\"
[log]
format = \"json\"
";

/// The configuration of a node called `name` that serves what `node` has of the tables, under
/// these further rules.
pub(crate) fn node_config(
    data: &Path,
    node: usize,
    name: &str,
    policy: &str,
    tables: &[Table],
) -> String {
    let mut text = format!(
        "organisation = \"{name}\"\n{COMMON}[policy]\npreset = \"primary_only\"\nk = 10\n{policy}\
         [ledger]\nfile = \"ledger.ndjson\"\n"
    );
    for table in tables {
        let file = data::file(data, table, node).to_string_lossy().into_owned();
        let names = [Some(table.name), table.protected.as_ref().map(|protected| protected.name)];
        for name in names.into_iter().flatten() {
            let path = Value::from(file.clone());
            text.push_str(&format!("[tables.{name}]\npath = {path}\n"));
        }
    }
    text
}

/// The configuration of a coordinator of nodes with these names and addresses.
pub(crate) fn coordinator_config<'a>(nodes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text =
        format!("{COMMON}[federation]\nuser = \"{USER}\"\npassword_file = \"node.password\"\n");
    for (name, url) in nodes {
        text.push_str(&format!(
            "[[federation.nodes]]\norganisation = \"{name}\"\nurl = \"{url}\"\n"
        ));
    }
    text
}
