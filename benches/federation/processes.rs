//! Processes that end with their owner, and what the system says of processes: memory and processor
//! time, from `/proc`.
//!
//! Where there is no `/proc`, figures are not numbers, and the report leaves them out.

use std::fs;
use std::process::Child;

/// A tick of the clock that processor time is counted by, the same on every Linux we know.
const TICK_MS: f64 = 10.0;

/// A process, killed when dropped.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        // What cannot be killed has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(process: u32) -> f64 {
    status_mib(process, "VmRSS:")
}

/// The most a process has had resident since it started, in MiB.
pub(crate) fn peak_mib(process: u32) -> f64 {
    status_mib(process, "VmHWM:")
}

fn status_mib(process: u32, key: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok());
    kib.map_or(f64::NAN, |kib: f64| kib / 1_024.0)
}

/// Memory that programs can still have, in MiB; not a number where the system does not tell.
pub(crate) fn available_mib() -> f64 {
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = memory.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok());
    kib.map_or(f64::NAN, |kib: f64| kib / 1_024.0)
}

/// Processor time of a process since it started, in milliseconds.
pub(crate) fn cpu_ms(process: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The second field is a name in parentheses, which may hold anything; user and system time are
    // the 14th and 15th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().skip(11);
    let ticks: Vec<f64> = fields.take(2).filter_map(|ticks| ticks.parse().ok()).collect();
    if ticks.len() == 2 { ticks.iter().sum::<f64>() * TICK_MS } else { f64::NAN }
}

/// Time all cores were busy since the system started, in milliseconds.
pub(crate) fn busy_ms() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let ticks = line.into_iter().flat_map(str::split_whitespace).enumerate();
    // The 4th and 5th are idle, from the 8th on it is the time of guests.
    let busy = ticks.filter(|(place, _)| ![3, 4].contains(place) && *place < 7);
    let busy: Vec<f64> = busy.filter_map(|(_, ticks)| ticks.parse().ok()).collect();
    if busy.is_empty() { f64::NAN } else { busy.iter().sum::<f64>() * TICK_MS }
}
