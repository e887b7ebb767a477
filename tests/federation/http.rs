//! What an operator's tools see of a server: alive, ready, and its figures, over TLS and without
//! Flight.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::world::{Data, Organisation, PASSWORD, Spec, USER, World, in_time};

const VISIT: &str = r#"
name = "visit"
version = 1
protection = "protected"
[person]
column = "person_number"
scope = "organisation"
[[columns]]
name = "person_number"
type = "int64"
roles = ["identifier"]
scope = "organisation"
[[columns]]
name = "site"
type = "utf8"
roles = ["dimension"]
"#;

/// Twelve people at one site and three at another, which the threshold hides.
fn spec() -> Spec {
    let rows: String = (0..15)
        .map(|n| format!("{n},{}\n", if n < 12 { "harbour" } else { "quillwort" }))
        .collect();
    let visits = Data::Csv(format!("person_number,site\n{rows}"));
    Spec::default().contract(VISIT).organisation(Organisation::new("east").table("visit", visits))
}

async fn get(world: &World, server: &str, path: &str, password: Option<&str>) -> (u16, String) {
    request(&world.url_of(server), world.tls().authority, path, password).await
}

/// One request over HTTP/1.1: status and body.
pub(crate) async fn request(
    url: &str,
    authority: PathBuf,
    path: &str,
    password: Option<&str>,
) -> (u16, String) {
    let address = url.strip_prefix("https://").unwrap().to_owned();
    let secret = password.map(|password| BASE64_STANDARD.encode(format!("{USER}:{password}")));
    let secret = secret.map(|secret| format!("Authorization: Basic {secret}\r\n"));
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\n{}Connection: close\r\n\r\n",
        secret.unwrap_or_default()
    );
    tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address).unwrap());
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn alive_is_not_ready() {
    in_time(async {
        let mut world = World::start(spec()).await;
        for server in ["east", "coordinator"] {
            assert_eq!(get(&world, server, "/livez", None).await.0, 200);
            assert_eq!(get(&world, server, "/readyz", None).await.0, 200);
        }
        world.stop("east").await;
        let mut client = world.client().await;
        client.try_ask("SELECT count(*) FROM visit").await.map(|_| ()).unwrap_err();
        assert_eq!(get(&world, "coordinator", "/livez", None).await.0, 200);
        let (status, words) = get(&world, "coordinator", "/readyz", None).await;
        assert_eq!((status, words.contains("no node can be reached")), (503, true), "{words}");
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn figures_are_for_one_user_and_hold_no_data() {
    in_time(async {
        let world = World::start(spec().metrics(USER)).await;
        let mut client = world.client().await;
        client.ask("SELECT site, count(*) FROM visit GROUP BY site").await;
        client.try_ask("SELECT * FROM visit").await.map(|_| ()).unwrap_err();
        client.try_ask("SELECT sitee FROM visit").await.map(|_| ()).unwrap_err();
        for password in [None, Some("wrong horse")] {
            assert_eq!(get(&world, "east", "/metrics", password).await.0, 401);
        }
        let (status, coordinator) = get(&world, "coordinator", "/metrics", Some(PASSWORD)).await;
        assert_eq!(status, 200, "{coordinator}");
        for line in [
            "hedgerow_statements_total{role=\"coordinator\",outcome=\"ok\"} 1",
            "hedgerow_statements_total{role=\"coordinator\",outcome=\"42501\"} 1",
            "hedgerow_statements_total{role=\"coordinator\",outcome=\"42703\"} 1",
            "hedgerow_plans_total{source=\"made\"} 1",
            "hedgerow_plans_total{source=\"remembered\"} 0",
            "hedgerow_node_up{organisation=\"east\"} 1",
            "hedgerow_statement_duration_seconds_count{role=\"coordinator\"} 3",
        ] {
            assert!(coordinator.contains(line), "no {line} in\n{coordinator}");
        }
        let (_, node) = get(&world, "east", "/metrics", Some(PASSWORD)).await;
        let line = "hedgerow_statements_total{role=\"node\",outcome=\"ok\"} 1";
        assert!(node.contains(line), "{node}");
        for text in [coordinator, node] {
            for word in ["visit", "site", "harbour", "quillwort"] {
                assert!(!text.contains(word), "{word} in\n{text}");
            }
        }
        world.shutdown().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_a_user_there_are_no_figures() {
    in_time(async {
        let world = World::start(spec()).await;
        assert_eq!(get(&world, "east", "/metrics", Some(PASSWORD)).await.0, 401);
        world.shutdown().await;
    })
    .await;
}
