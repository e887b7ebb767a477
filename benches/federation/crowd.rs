//! Very many nodes in one process: what each adds to a small question, and the memory it takes.
//! Main entry: [`measure`].
//!
//! The process is this executable with [`ARGUMENT`]. It starts nodes, a coordinator and a client,
//! all over TLS, and writes a line of JSON for each number of nodes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use argon2::password_hash::{PasswordHasher, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use hedgerow::server::run_from_config;
use hedgerow_catalog::ServerConfig;
use hedgerow_flight::RunningServer;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::Failure;
use crate::federation::{
    COORDINATOR, PASSWORD, ask, client, coordinator_config, node_config, prepare,
};
use crate::measure::median;
use crate::processes::{Process, resident_mib};
use crate::questions::SMALL;
use crate::report::{Aim, Report};
use crate::tables::{NATION_PART, NODES};

/// Makes this executable the process with all nodes. The folder of the data follows.
pub(crate) const ARGUMENT: &str = "--crowd";

/// Numbers of nodes.
const SIZES: [usize; 5] = [1, 4, 16, 64, 240];
/// How often each number of nodes is asked, the first times unmeasured.
const WARM_UPS: usize = 3;
const QUESTIONS: usize = 21;

const NODE_MS: Aim = Aim::AtMost(1.0);
const NODE_MIB: Aim = Aim::AtMost(2.0);

/// What was measured with so many nodes.
struct Size {
    nodes: f64,
    /// Of one answer, at the median.
    ms: f64,
    /// Memory before the first question, and after the last.
    idle_mib: f64,
    used_mib: f64,
}

/// Starts the process and notes what it measures.
pub(crate) async fn measure(data: &Path, report: &mut Report) -> Result<(), Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(ARGUMENT)
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let lines = child.stdout.take();
    let _process = Process(child);
    let lines = BufReader::new(lines.ok_or("a process without its output")?).lines();
    let (found, mut waiting) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // Nobody waits any more once the benchmark has given up.
            let _ = found.send(line);
        }
    });
    let mut sizes = vec![];
    while let Some(line) = waiting.recv().await {
        let line: Value = serde_json::from_str(&line)?;
        let figure = |key: &str| line.get(key).and_then(Value::as_f64).unwrap_or(f64::NAN);
        sizes.push(Size {
            nodes: figure("nodes"),
            ms: figure("ms"),
            idle_mib: figure("idle_mib"),
            used_mib: figure("used_mib"),
        });
    }
    for Size { nodes, ms, .. } in &sizes {
        let title = format!("small question, {nodes} nodes");
        report.noted(&format!("nodes_{nodes}_ms"), &title, *ms, "ms");
    }
    let [first, .., before, last] = sizes.as_slice() else {
        return Err("the process with all nodes has ended".into());
    };
    if sizes.len() < SIZES.len() {
        return Err(format!("more than {} nodes are too many", last.nodes).into());
    }
    let ms = (last.ms - first.ms) / (last.nodes - first.nodes);
    report.aimed("nodes_ms_per_node", "time by which a node adds to it", ms, "ms", NODE_MS);
    let mib = (last.idle_mib - before.used_mib) / (last.nodes - before.nodes);
    report.aimed("nodes_mib_per_node", "memory of one more idle node", mib, "MiB", NODE_MIB);
    Ok(())
}

/// The process itself.
pub(crate) fn serve(folders: &[String]) -> Result<(), Failure> {
    let [data] = folders else {
        return Err("the process with all nodes needs one folder".into());
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(grow(Path::new(data)))
}

/// Adds nodes step by step, each time with a coordinator of its own.
async fn grow(data: &Path) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let most = SIZES.iter().copied().max().unwrap_or_default();
    let names: Vec<String> = (0..most).map(|node| format!("node_{node}")).collect();
    prepare(path, data, &names, &cheap_hash()?)?;
    let own = std::process::id();
    let mut nodes: Vec<RunningServer> = vec![];
    for size in SIZES {
        for (node, name) in names.iter().enumerate().take(size).skip(nodes.len()) {
            let config = node_config(data, node % NODES, name, "", &[NATION_PART]);
            nodes.push(start(path, name, &config).await?);
        }
        let urls: Vec<String> = nodes.iter().map(url).collect();
        let known = names.iter().zip(&urls).map(|(name, url)| (name.as_str(), url.as_str()));
        let coordinator = start(path, COORDINATOR, &coordinator_config(known)).await?;
        let mut client = client(&url(&coordinator), path).await?;
        let idle_mib = resident_mib(own);
        let mut ms = vec![];
        for question in 0..WARM_UPS + QUESTIONS {
            let answer = ask(&mut client, SMALL).await?;
            if question >= WARM_UPS {
                ms.push(answer.ms);
            }
        }
        let used_mib = resident_mib(own);
        let line = json!({
            "nodes": size, "ms": median(&ms), "idle_mib": idle_mib, "used_mib": used_mib
        });
        writeln!(std::io::stdout(), "{line}")?;
        drop(client);
        coordinator.shutdown().await?;
    }
    Ok(())
}

async fn start(folder: &Path, name: &str, config: &str) -> Result<RunningServer, Failure> {
    let file = folder.join(name).join("serve.toml");
    fs::write(&file, config)?;
    Ok(run_from_config(&ServerConfig::load(&file)?).await?)
}

fn url(server: &RunningServer) -> String {
    format!("https://{}", server.local_addr())
}

/// A hash that costs little: the checks of many nodes at once would take gigabytes.
pub(crate) fn cheap_hash() -> Result<String, Failure> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None)?);
    let salt = SaltString::encode_b64(b"federation bench")?;
    Ok(argon2.hash_password(PASSWORD.as_bytes(), &salt)?.to_string())
}
