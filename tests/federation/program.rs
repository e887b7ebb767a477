//! The `hedgerow` program as a process of its own. Main type: [`Program`].

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::world::{Layout, PASSWORD, USER};

/// A running program, killed when dropped. What it writes is kept in files.
pub(crate) struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    /// Starts the program with these arguments, at home in `home`: caches, state and temporary files
    /// go there.
    pub(crate) fn start(arguments: &[&str], home: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str| File::create(folder.path().join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_hedgerow"))
            .args(arguments)
            .env("XDG_CACHE_HOME", home.join("cache"))
            .env("XDG_STATE_HOME", home.join("state"))
            .env("TMPDIR", home)
            .env_remove("HEDGEROW_LOG")
            .stdin(Stdio::piped())
            .stdout(written("out"))
            .stderr(written("err"))
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// Starts a server of a federation on disk and waits until it serves.
    pub(crate) async fn serve(layout: &Layout, name: &str) -> Self {
        let config = layout.folder.path().join(name).join("serve.toml");
        let config = config.to_str().unwrap();
        let arguments = ["serve", "--config", config, "--log-format", "json"];
        let mut program = Self::start(&arguments, layout.folder.path());
        program.wait_for("\"serving\"").await;
        program
    }

    /// Asks a server in the shell.
    pub(crate) fn shell(url: &str, authority: &Path, home: &Path, more: &[&str]) -> Self {
        let password = home.join("password");
        fs::write(&password, PASSWORD).unwrap();
        let authority = authority.to_str().unwrap();
        let own = ["sql", url, "--user", USER, "--authority", authority, "--password-file"];
        let arguments = [&own[..], &[password.to_str().unwrap()], more].concat();
        Self::start(&arguments, home)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard output so far.
    pub(crate) fn out(&self) -> String {
        self.read("out")
    }

    /// What it has written to standard error so far.
    pub(crate) fn err(&self) -> String {
        self.read("err")
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join(name)).unwrap()).into_owned()
    }

    /// Types something.
    pub(crate) fn type_in(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Waits until `words` are on standard error.
    pub(crate) async fn wait_for(&mut self, words: &str) {
        let started = Instant::now();
        while !self.err().contains(words) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended ({ended:?}) without {words}:\n{}", self.err());
            let waited = started.elapsed();
            assert!(waited < Duration::from_secs(20), "no {words} in:\n{}", self.err());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
        assert!(sent.success(), "kill -{name} {id}");
    }

    /// Waits for its end; fails when that takes longer than `within`.
    pub(crate) async fn end(&mut self, within: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(!self.err().contains("panicked"), "{}", self.err());
                return status;
            }
            let (out, err) = (self.out(), self.err());
            assert!(started.elapsed() < within, "it does not end:\n{out}\n{err}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends it without a warning.
    pub(crate) async fn kill(&mut self) {
        self.signal("KILL");
        self.end(Duration::from_secs(5)).await;
    }

    /// Memory it holds now, in bytes, where the system tells.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Command lines of running programs that hold `words`, where the system tells.
pub(crate) fn running_with(words: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(words)).collect()
}

/// All files and folders below one, without the files of the data themselves.
pub(crate) fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found
}
