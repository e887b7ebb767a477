//! Very many nodes, each a process of its own: what each adds to a small question, and how long they
//! take to start. Main entry: [`measure`].
//!
//! A node takes memory of its own, so there are as many as the machine has room for, and it is said
//! how many. All are killed when the measurement ends, however it ends.

use std::fs;
use std::path::Path;

use crate::Failure;
use crate::crowd::cheap_hash;
use crate::federation::{
    COORDINATOR, Server, ask, client, coordinator_config, node_config, prepare,
};
use crate::measure::{median, quantile};
use crate::processes::{available_mib, resident_mib};
use crate::questions::SMALL;
use crate::report::Report;
use crate::tables::{NATION_PART, NODES};

/// Numbers of nodes, the last the most there are.
const SIZES: [usize; 5] = [1, 4, 16, 64, 240];
/// How often each number of nodes is asked, the first times unmeasured.
const WARM_UPS: usize = 3;
const QUESTIONS: usize = 21;
/// Memory that is left to others.
const SPARE_MIB: f64 = 2_048.0;

/// Starts nodes step by step, and asks each number of them; at most `most`.
pub(crate) async fn measure(data: &Path, most: usize, report: &mut Report) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path();
    let names: Vec<String> = (0..most).map(|node| format!("node_{node}")).collect();
    prepare(path, data, &names, &cheap_hash()?)?;
    let mut nodes: Vec<Server> = vec![];
    let mut asked: Vec<(usize, f64)> = vec![];
    for size in SIZES {
        let room = add(&mut nodes, size, data, path, &names).await?;
        let ms = question(&nodes, path, &names).await?;
        let (key, title) =
            (format!("processes_{}_ms", nodes.len()), "small question, node processes");
        report.noted(&key, &format!("{title}: {}", nodes.len()), ms, "ms");
        asked.push((nodes.len(), ms));
        if !room {
            break;
        }
    }
    report.noted("processes", "node processes there was room for", nodes.len() as f64, "");
    let starts: Vec<f64> = nodes.iter().map(|node| node.started.as_secs_f64() * 1e3).collect();
    report.noted("processes_start_ms", "start of one to its first login", median(&starts), "ms");
    report.noted("processes_start_max_ms", "the slowest of them", quantile(&starts, 1.0), "ms");
    let memory: Vec<f64> = nodes.iter().map(|node| resident_mib(node.process())).collect();
    report.noted("processes_mib", "resident memory of one, asked", median(&memory), "MiB");
    if let [first, .., last] = asked.as_slice()
        && last.0 > first.0
    {
        let each = (last.1 - first.1) / (last.0 - first.0) as f64;
        report.noted("processes_ms_per_node", "time by which a process adds to it", each, "ms");
    }
    Ok(())
}

/// Starts nodes up to `size`; `false` where there is no room for as many.
async fn add(
    nodes: &mut Vec<Server>,
    size: usize,
    data: &Path,
    folder: &Path,
    names: &[String],
) -> Result<bool, Failure> {
    while nodes.len() < size {
        let node = nodes.len();
        let Some(name) = names.get(node) else { return Ok(false) };
        if available_mib() < SPARE_MIB {
            return Ok(false);
        }
        let config = node_config(data, node % NODES, name, "", &[NATION_PART]);
        fs::write(folder.join(name).join("serve.toml"), config)?;
        nodes.push(Server::start(folder, name).await?);
    }
    Ok(true)
}

/// Milliseconds of a small question to a coordinator of these nodes, at the median.
async fn question(nodes: &[Server], folder: &Path, names: &[String]) -> Result<f64, Failure> {
    let urls = nodes.iter().map(|node| node.url.as_str());
    let config = coordinator_config(names.iter().map(String::as_str).zip(urls));
    fs::write(folder.join(COORDINATOR).join("serve.toml"), config)?;
    let coordinator = Server::start(folder, COORDINATOR).await?;
    let mut client = client(&coordinator.url, folder).await?;
    let mut ms = vec![];
    for question in 0..WARM_UPS + QUESTIONS {
        let answer = ask(&mut client, SMALL).await?;
        if question >= WARM_UPS {
            ms.push(answer.ms);
        }
    }
    Ok(median(&ms))
}
