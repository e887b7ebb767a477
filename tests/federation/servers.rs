//! A federation of programs, and what each of them shows of itself from outside: its figures, its
//! time on the processors, its open files. Main entries: [`start`], [`figures`].

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::future::join_all;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::program::Program;
use crate::world::{Layout, PASSWORD, USER};

/// The seed of what is drawn at random.
pub(crate) fn seed() -> u64 {
    std::env::var("HEDGEROW_RANDOM_SEED").map_or(1, |text| text.parse().unwrap())
}

/// Whether the tests may take long.
pub(crate) fn is_long() -> bool {
    std::env::var_os("HEDGEROW_LONG").is_some()
}

/// Starts every server of a federation as a program: the nodes in their order, the coordinator last.
pub(crate) async fn start(layout: &Layout) -> Vec<Program> {
    let ((coordinator, _), nodes) = layout.servers.split_last().unwrap();
    let mut programs = join_all(nodes.iter().map(|(name, _)| Program::serve(layout, name))).await;
    programs.push(Program::serve(layout, coordinator).await);
    programs
}

/// The figures of a server, which must have a `[metrics]` section.
pub(crate) async fn figures(layout: &Layout, server: &str) -> String {
    let url = layout.url_of(server);
    let address = url.strip_prefix("https://").unwrap().to_owned();
    let authority = layout.tls().authority;
    tokio::task::spawn_blocking(move || fetch(&address, authority)).await.unwrap()
}

fn fetch(address: &str, authority: PathBuf) -> String {
    let secret = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {secret}\r\n\
         Connection: close\r\n\r\n"
    );
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

/// The sum of a figure over those of its labels that hold `label`.
pub(crate) fn total(figures: &str, name: &str, label: &str) -> u64 {
    let lines = figures.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Time that a program has spent on the processors, where the system tells.
pub(crate) fn processor_time(program: &Program) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).ok()?;
    // The name, in brackets, may hold anything; time in the program and in the system are the 12th
    // and 13th field behind it, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

/// Number of a program's open files and sockets, where the system tells.
pub(crate) fn open_files(program: &Program) -> Option<usize> {
    fs::read_dir(format!("/proc/{}/fd", program.id())).ok().map(Iterator::count)
}
