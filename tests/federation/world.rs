//! Federations for tests: a [`Spec`] becomes a [`World`] of real servers on loopback ports, each
//! with its own certificate, that a client reaches as any client does.
//!
//! ```text
//! FOLDER/authority.pem
//!       /contracts/*.toml
//!       /ORGANISATION/serve.toml, server.pem, server.key, users.toml, data files
//!       /BOARD/serve.toml, server.pem, server.key, users.toml, node.password
//!       /coordinator/serve.toml, server.pem, server.key, users.toml, node.password
//! ```

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use arrow::array::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use futures::FutureExt;
use futures::future::BoxFuture;
use hedgerow::demo::{
    CONTRACTS, DataOptions, ensure_certificates, node_tables_toml, organisations,
};
use hedgerow::server::{bind, run_on};
use hedgerow_catalog::ServerConfig;
use hedgerow_engine::{Coverage, WireError};
use hedgerow_flight::{ClientTls, Credentials, RunningServer, SqlClient};
use tempfile::TempDir;

/// No test takes longer.
pub(crate) const TEST_MAX: Duration = Duration::from_secs(30);
/// The one user of every server of a world.
pub(crate) const USER: &str = "analyst";
/// Its password.
pub(crate) const PASSWORD: &str = "correct horse";

const COORDINATOR: &str = "coordinator";
/// Enough that every question has an answer at the threshold.
const PEOPLE: usize = 12_000;
/// Enough that there are rows in every table.
const OTHERS: usize = 600;

/// What a federation is made of.
#[derive(Default)]
pub(crate) struct Spec {
    contracts: Vec<(String, String)>,
    organisations: Vec<Organisation>,
    /// Coordinators between, each with the servers below it.
    boards: Vec<(String, Vec<String>)>,
    k: Option<u32>,
    policy: String,
    limits: String,
    metrics: String,
    coordinator: String,
    coordinator_files: Vec<(String, String)>,
}

/// One organisation: its files, and the part of its configuration that serves them.
pub(crate) struct Organisation {
    id: String,
    policy: String,
    config: String,
    files: Vec<(String, Data)>,
    /// Where data are that were there before.
    folder: Option<PathBuf>,
}

/// The content of one data file.
pub(crate) enum Data {
    Csv(String),
    Rows(Vec<RecordBatch>),
    /// Anything, in a file with this ending.
    Bytes(&'static str, Vec<u8>),
}

/// What a stand-in takes over: a node's place, as the coordinator knows it, and the node itself.
pub(crate) struct Front {
    /// Where the coordinator looks for the node.
    pub(crate) listener: TcpListener,
    /// The node's certificate and key.
    pub(crate) home: PathBuf,
    /// Where the node really is.
    pub(crate) url: String,
    /// How to reach it.
    pub(crate) tls: ClientTls,
}

/// Puts something in a node's place.
type StandIn<'a> = Box<dyn FnOnce(Front) -> BoxFuture<'a, ()> + 'a>;

impl Spec {
    /// Adds a contract, as TOML.
    pub(crate) fn contract(mut self, text: &str) -> Self {
        let parsed: toml::Table = text.parse().unwrap();
        let name = parsed["name"].as_str().unwrap().to_owned();
        self.contracts.push((name, text.to_owned()));
        self
    }

    pub(crate) fn organisation(mut self, organisation: Organisation) -> Self {
        self.organisations.push(organisation);
        self
    }

    /// Puts servers, which may be boards themselves, below a coordinator of their own.
    pub(crate) fn board(mut self, id: &str, below: &[&str]) -> Self {
        let below = below.iter().map(|name| (*name).to_owned()).collect();
        self.boards.push((id.to_owned(), below));
        self
    }

    /// Sets the threshold of every node.
    pub(crate) fn k(mut self, people: u32) -> Self {
        self.k = Some(people);
        self
    }

    /// Lines of the `[policy]` section of every node.
    pub(crate) fn policy(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.policy);
        self
    }

    /// Lets a user read the figures of every server.
    pub(crate) fn metrics(mut self, user: &str) -> Self {
        self.metrics = format!("[metrics]\nuser = \"{user}\"\n");
        self
    }

    /// More of the coordinator's configuration.
    pub(crate) fn coordinator(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.coordinator);
        self
    }

    /// A file in the coordinator's folder.
    pub(crate) fn coordinator_file(mut self, name: &str, text: &str) -> Self {
        self.coordinator_files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Lines of the `[limits]` section of every server.
    pub(crate) fn limits(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.limits);
        self
    }

    /// The servers below a coordinator: those of its list, or all that are below no other.
    fn below(&self, coordinator: &str) -> Vec<String> {
        if let Some((_, below)) = self.boards.iter().find(|(id, _)| id == coordinator) {
            return below.clone();
        }
        let listed = |name: &String| self.boards.iter().any(|(_, below)| below.contains(name));
        let mut names = self.servers();
        names.retain(|name| name != COORDINATOR && !listed(name));
        names
    }

    /// All servers, the coordinator last.
    fn servers(&self) -> Vec<String> {
        let names = self.organisations.iter().map(|one| one.id.clone());
        let boards = self.boards.iter().map(|(id, _)| id.clone());
        names.chain(boards).chain([COORDINATOR.to_owned()]).collect()
    }
}

impl Organisation {
    pub(crate) fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            policy: String::new(),
            config: String::new(),
            files: vec![],
            folder: None,
        }
    }

    /// More lines of its `[policy]` section.
    pub(crate) fn policy(mut self, lines: &str) -> Self {
        lines.clone_into(&mut self.policy);
        self
    }

    /// Adds a table whose file has the contract's columns.
    pub(crate) fn table(self, name: &str, data: Data) -> Self {
        self.file("tables", name, data)
    }

    /// Adds a file that a mapping reads.
    pub(crate) fn source(self, name: &str, data: Data) -> Self {
        self.file("sources", name, data)
    }

    /// Adds a table that is a query over sources.
    pub(crate) fn mapping(mut self, name: &str, sql: &str) -> Self {
        self.config.push_str(&format!("[tables.{name}]\nsql = \"\"\"\n{sql}\"\"\"\n"));
        self
    }

    fn file(mut self, section: &str, name: &str, data: Data) -> Self {
        let file = match data {
            Data::Csv(_) => format!("{name}.csv"),
            Data::Rows(_) => format!("{name}.parquet"),
            Data::Bytes(ending, _) => format!("{name}.{ending}"),
        };
        self.config.push_str(&format!("[{section}.{name}]\npath = \"{file}\"\n"));
        self.files.push((file, data));
        self
    }

    fn write(&self, folder: &Path) {
        for (name, data) in &self.files {
            let path = folder.join(name);
            match data {
                Data::Csv(text) => fs::write(path, text).unwrap(),
                Data::Rows(batches) => write_parquet(&path, batches),
                Data::Bytes(_, bytes) => fs::write(path, bytes).unwrap(),
            }
        }
    }

    /// The tables, with whole paths where the data are elsewhere.
    fn tables(&self) -> String {
        let Some(folder) = &self.folder else { return self.config.clone() };
        let folder = toml::Value::from(folder.to_string_lossy().into_owned()).to_string();
        let start = format!("path = {}/", folder.trim_end_matches('"'));
        self.config.replace("path = \"", &start)
    }
}

fn write_parquet(path: &Path, batches: &[RecordBatch]) {
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batches[0].schema(), None).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.close().unwrap();
}

/// A federation that runs in this process. Its folder goes with it.
pub(crate) struct World {
    servers: Vec<(String, RunningServer)>,
    url: String,
    folder: TempDir,
    _data: Option<Arc<TempDir>>,
}

impl World {
    /// Starts every node, then the coordinator.
    pub(crate) async fn start(spec: Spec) -> Self {
        Self::start_without(spec, &[]).await
    }

    /// Starts the federation with some of its nodes never there.
    pub(crate) async fn start_without(spec: Spec, missing: &[&str]) -> Self {
        Self::launch(spec, missing, None).await
    }

    /// Starts the federation with something in the place of the node `name`, which runs elsewhere.
    pub(crate) async fn start_behind<'a, F: Future<Output = ()> + Send + 'a>(
        spec: Spec,
        name: &str,
        front: impl FnOnce(Front) -> F + 'a,
    ) -> Self {
        Self::launch(spec, &[], Some((name, Box::new(|place| front(place).boxed())))).await
    }

    async fn launch(spec: Spec, missing: &[&str], front: Option<(&str, StandIn<'_>)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = spec.servers();
        let mut listeners: Vec<TcpListener> = names.iter().map(|_| any_port()).collect();
        let addresses: Vec<SocketAddr> =
            listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        prepare(&spec, folder.path(), &names, &addresses);
        let coordinator = listeners.pop().unwrap();
        let address = coordinator.local_addr().unwrap();
        let (hidden, mut stand_in) = front.map_or((None, None), |(name, f)| (Some(name), Some(f)));
        let mut servers = vec![];
        for (name, listener) in names.iter().zip(listeners) {
            if missing.contains(&name.as_str()) {
                continue;
            }
            let front = stand_in.take_if(|_| hidden == Some(name.as_str()));
            let Some(front) = front else {
                servers.push((name.clone(), serve(folder.path(), name, listener).await));
                continue;
            };
            let server = serve(folder.path(), name, any_port()).await;
            front(Front {
                listener,
                home: folder.path().join(name),
                url: format!("https://{}", server.local_addr()),
                tls: client_tls(folder.path()),
            })
            .await;
            servers.push((name.clone(), server));
        }
        let server = serve(folder.path(), COORDINATOR, coordinator).await;
        servers.push((COORDINATOR.to_owned(), server));
        Self { servers, url: format!("https://{address}"), folder, _data: None }
    }

    /// The demo's federation, with fewer people.
    pub(crate) async fn demo() -> Self {
        Self::of_demo(Spec::default(), demo_data(), str::to_owned).await
    }

    /// The same, with more in the policy of every node.
    pub(crate) async fn demo_with_policy(lines: &str) -> Self {
        Self::of_demo(Spec::default().policy(lines), demo_data(), str::to_owned).await
    }

    /// The demo's federation over a few other people.
    pub(crate) async fn demo_of_others() -> Self {
        Self::of_demo(Spec::default(), written_demo(OTHERS, 2), str::to_owned).await
    }

    /// The demo's federation over the same data, as if nobody were in them.
    pub(crate) async fn demo_all_open() -> Self {
        Self::of_demo(Spec::default(), demo_data(), all_open).await
    }

    /// The demo's federation below boards.
    pub(crate) async fn demo_below(boards: &[(&str, &[&str])]) -> Self {
        Self::of_demo(below(boards), demo_data(), str::to_owned).await
    }

    /// The same over the same data, as if nobody were in them.
    pub(crate) async fn demo_all_open_below(boards: &[(&str, &[&str])]) -> Self {
        Self::of_demo(below(boards), demo_data(), all_open).await
    }

    async fn of_demo(mut spec: Spec, data: Arc<TempDir>, change: fn(&str) -> String) -> Self {
        for (_, text) in CONTRACTS {
            spec = spec.contract(&change(text));
        }
        for organisation in organisations(DataOptions::default().organisations) {
            spec = spec.organisation(Organisation {
                config: node_tables_toml(&organisation),
                folder: Some(data.path().join(&organisation.id)),
                ..Organisation::new(&organisation.id)
            });
        }
        Self { _data: Some(data), ..Self::start(spec).await }
    }

    /// A new client of the coordinator.
    pub(crate) async fn client(&self) -> Client {
        Client(self.try_client(PASSWORD).await.unwrap())
    }

    /// A new client of another server.
    pub(crate) async fn client_of(&self, name: &str) -> Client {
        let url = self.url_of(name);
        Client(SqlClient::connect(&url, &self.tls(), credentials(PASSWORD)).await.unwrap())
    }

    pub(crate) async fn try_client(&self, password: &str) -> Result<SqlClient, WireError> {
        SqlClient::connect(&self.url, &self.tls(), credentials(password)).await
    }

    /// Where the coordinator is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Where a server is.
    pub(crate) fn url_of(&self, name: &str) -> String {
        let (_, server) = self.servers.iter().find(|(known, _)| known == name).unwrap();
        format!("https://{}", server.local_addr())
    }

    pub(crate) fn tls(&self) -> ClientTls {
        client_tls(self.folder.path())
    }

    /// The folder of a server: its configuration and its data files.
    pub(crate) fn home(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration of a server, as it was read.
    pub(crate) fn config(&self, name: &str) -> ServerConfig {
        ServerConfig::load(&self.folder.path().join(name).join("serve.toml")).unwrap()
    }

    /// Ids of all organisations, in federation order.
    pub(crate) fn organisations(&self) -> Vec<String> {
        let nodes = self.config(COORDINATOR).federation.unwrap().nodes;
        nodes.into_iter().map(|node| node.organisation).collect()
    }

    /// Takes one server out, to be stopped by whoever asks.
    pub(crate) fn take(&mut self, name: &str) -> RunningServer {
        let index = self.servers.iter().position(|(known, _)| known == name).unwrap();
        self.servers.remove(index).1
    }

    /// Stops one server.
    pub(crate) async fn stop(&mut self, name: &str) {
        self.take(name).shutdown().await.unwrap();
    }

    /// Stops every server, the coordinator first.
    pub(crate) async fn shutdown(mut self) {
        while let Some((_, server)) = self.servers.pop() {
            server.shutdown().await.unwrap();
        }
    }
}

/// A federation on disk, for servers that run as programs of their own.
pub(crate) struct Layout {
    pub(crate) folder: TempDir,
    /// Every server and where it is to listen, the coordinator last.
    pub(crate) servers: Vec<(String, SocketAddr)>,
}

impl Layout {
    pub(crate) fn new(spec: &Spec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = spec.servers();
        let addresses: Vec<SocketAddr> = names.iter().map(|_| quiet_port()).collect();
        prepare(spec, folder.path(), &names, &addresses);
        Self { folder, servers: names.into_iter().zip(addresses).collect() }
    }

    pub(crate) fn url_of(&self, name: &str) -> String {
        let (_, address) = self.servers.iter().find(|(known, _)| known == name).unwrap();
        format!("https://{address}")
    }

    pub(crate) fn tls(&self) -> ClientTls {
        client_tls(self.folder.path())
    }

    /// A new client of the coordinator.
    pub(crate) async fn client(&self) -> Client {
        let url = self.url_of(COORDINATOR);
        Client(SqlClient::connect(&url, &self.tls(), credentials(PASSWORD)).await.unwrap())
    }
}

/// A free port out of the range from which the system gives ports, so that it stays free until the
/// program that is to listen there has started.
fn quiet_port() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id() % 10_000;
    loop {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + ((start + step) % 10_000) as u16;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn any_port() -> TcpListener {
    bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn client_tls(folder: &Path) -> ClientTls {
    ClientTls { authority: folder.join("authority.pem"), domain: None }
}

async fn serve(folder: &Path, name: &str, listener: TcpListener) -> RunningServer {
    let config = ServerConfig::load(&folder.join(name).join("serve.toml")).unwrap();
    run_on(listener, &config).await.unwrap()
}

pub(crate) fn credentials(password: &str) -> Credentials {
    Credentials { user: USER.to_owned(), password: password.to_owned() }
}

/// Writes contracts, configurations, users, certificates and data.
fn prepare(spec: &Spec, folder: &Path, names: &[String], addresses: &[SocketAddr]) {
    let contracts = folder.join("contracts");
    fs::create_dir(&contracts).unwrap();
    for (name, text) in &spec.contracts {
        fs::write(contracts.join(format!("{name}.toml")), text).unwrap();
    }
    let users = format!("[users]\n{USER} = \"{}\"\n", cheap_hash(PASSWORD));
    for (name, address) in names.iter().zip(addresses) {
        let home = folder.join(name);
        fs::create_dir(&home).unwrap();
        fs::write(home.join("users.toml"), &users).unwrap();
        let common = format!(
            "listen = \"{address}\"\ncontracts = \"../contracts\"\n\
             [tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n\
             authority = \"../authority.pem\"\n[users]\nfile = \"users.toml\"\n\
             {}[limits]\n{}\n",
            spec.metrics, spec.limits
        );
        let config = match spec.organisations.iter().find(|one| one.id == *name) {
            Some(one) => {
                one.write(&home);
                let k = spec.k.map(|k| format!("k = {k}\n")).unwrap_or_default();
                let named = spec.policy.contains("preset =") || one.policy.contains("preset =");
                let preset = if named { "" } else { "preset = \"primary_only\"\n" };
                format!(
                    "organisation = \"{name}\"\n{common}[policy]\n{preset}{k}\
                     {}\n{}\n[ledger]\nfile = \"ledger.ndjson\"\n{}",
                    spec.policy,
                    one.policy,
                    one.tables()
                )
            }
            None => {
                let below = spec.below(name);
                let nodes = names.iter().zip(addresses).filter(|(one, _)| below.contains(*one));
                let own = if name == COORDINATOR { spec.coordinator.as_str() } else { "" };
                format!("name = \"test\"\n{common}{}{own}", federation(name, nodes))
            }
        };
        fs::write(home.join("serve.toml"), config).unwrap();
    }
    for name in names.iter().filter(|name| spec.organisations.iter().all(|one| one.id != **name)) {
        fs::write(folder.join(name).join("node.password"), PASSWORD).unwrap();
    }
    for (name, text) in &spec.coordinator_files {
        fs::write(folder.join(COORDINATOR).join(name), text).unwrap();
    }
    ensure_certificates(folder, names).unwrap();
}

fn federation<'a>(id: &str, nodes: impl Iterator<Item = (&'a String, &'a SocketAddr)>) -> String {
    let mut text = format!("[federation]\nuser = \"{USER}\"\npassword_file = \"node.password\"\n");
    if id != COORDINATOR {
        text.push_str(&format!("organisation = \"{id}\"\n"));
    }
    for (name, address) in nodes {
        text.push_str(&format!(
            "[[federation.nodes]]\norganisation = \"{name}\"\nurl = \"https://{address}\"\n"
        ));
    }
    text
}

/// A hash that costs little: what passwords cost is tested elsewhere.
fn cheap_hash(password: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let salt = SaltString::encode_b64(b"federation tests").unwrap();
    argon2.hash_password(password.as_bytes(), &salt).unwrap().to_string()
}

/// A federation with boards.
fn below(boards: &[(&str, &[&str])]) -> Spec {
    boards.iter().fold(Spec::default(), |spec, (id, below)| spec.board(id, below))
}

/// The demo's data, made once for all tests that hold them at the same time.
fn demo_data() -> Arc<TempDir> {
    static DATA: Mutex<Weak<TempDir>> = Mutex::new(Weak::new());
    let mut shared = DATA.lock().unwrap();
    if let Some(data) = shared.upgrade() {
        return data;
    }
    let data = written_demo(PEOPLE, 1);
    *shared = Arc::downgrade(&data);
    data
}

/// Data of the demo in a folder of their own.
fn written_demo(people: usize, seed: u64) -> Arc<TempDir> {
    let data = Arc::new(tempfile::tempdir().unwrap());
    let options = DataOptions { people, seed, ..DataOptions::default() };
    hedgerow::demo::write_data(&options, data.path()).unwrap();
    data
}

/// A contract as if its rows were about nobody.
fn all_open(text: &str) -> String {
    let mut contract: toml::Table = text.parse().unwrap();
    contract.insert("protection".to_owned(), "open".into());
    contract.remove("person");
    for column in contract["columns"].as_array_mut().unwrap() {
        let roles = column["roles"].as_array_mut().unwrap();
        if !roles.is_empty() && !roles.contains(&"open".into()) {
            roles.push("open".into());
        }
    }
    toml::to_string(&contract).unwrap()
}

/// A logged-in client that reads whole answers.
pub(crate) struct Client(pub(crate) SqlClient);

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) coverage: Coverage,
}

impl Client {
    pub(crate) async fn try_ask(&mut self, sql: &str) -> Result<Answer, WireError> {
        let mut stream = self.0.query(sql).await?;
        let mut batches = vec![];
        while let Some(batch) = stream.next().await {
            batches.push(batch?);
        }
        if batches.is_empty() {
            batches.push(RecordBatch::new_empty(stream.schema.clone()));
        }
        Ok(Answer { batches, coverage: stream.coverage().cloned().unwrap_or_default() })
    }

    pub(crate) async fn ask(&mut self, sql: &str) -> Answer {
        self.try_ask(sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"))
    }
}

/// Runs a test against the clock; in the long run, where a busy machine proves nothing, ten times as
/// long.
pub(crate) async fn in_time<T>(test: impl Future<Output = T>) -> T {
    let long = std::env::var_os("HEDGEROW_LONG").is_some();
    let time = if long { TEST_MAX * 10 } else { TEST_MAX };
    tokio::time::timeout(time, test).await.expect("the test takes too long")
}
