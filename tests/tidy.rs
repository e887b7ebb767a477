//! The style laws that a machine can check: files, crate dependencies, documents.
//!
//! Reads the source tree only; nothing is built or run. What a law is for stands in
//! `CONTRIBUTING.md`.

#![expect(clippy::unwrap_used, reason = "test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Longest source file, in lines.
const LINES_MAX: usize = 800;

/// Which of our crates each of our crates may use, lowest first.
const LAYERS: [(&str, &str, &[&str]); 6] = [
    ("policies/Cargo.toml", "hedgerow-policies", &[]),
    ("catalog/Cargo.toml", "hedgerow-catalog", &["hedgerow-policies"]),
    ("engine/Cargo.toml", "hedgerow-engine", &["hedgerow-policies", "hedgerow-catalog"]),
    (
        "flight/Cargo.toml",
        "hedgerow-flight",
        &["hedgerow-policies", "hedgerow-catalog", "hedgerow-engine"],
    ),
    (
        "Cargo.toml",
        "hedgerow",
        &["hedgerow-policies", "hedgerow-catalog", "hedgerow-engine", "hedgerow-flight"],
    ),
    (
        "tests/fuzz/Cargo.toml",
        "hedgerow-fuzz",
        &["hedgerow", "hedgerow-catalog", "hedgerow-engine", "hedgerow-flight"],
    ),
];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: [&str; 8] =
    ["/home/", "/root/", "/work/", "/tmp/", "/Users/", "/mnt/", "/var/", "C:\\"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Every file of the project by its path from the root, in order. Skips `target` and hidden names.
fn files() -> Vec<PathBuf> {
    let mut found = vec![];
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "target" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn files_ending(extension: &str) -> Vec<PathBuf> {
    let mut found = files();
    found.retain(|path| path.extension().is_some_and(|own| own == extension));
    assert!(!found.is_empty(), "no .{extension} file was found");
    found
}

/// The documents: those at the root and those in `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut found = files_ending("md");
    found
        .retain(|path| path.parent().is_some_and(|p| p == Path::new("") || p == Path::new("docs")));
    found
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Every line of every Rust file, with the place to name when it is at fault.
fn rust_lines() -> Vec<(PathBuf, usize, String)> {
    let lines = |path: PathBuf| {
        let text = read(&path);
        let numbered = text.lines().enumerate();
        numbered.map(|(at, line)| (path.clone(), at + 1, line.to_owned())).collect::<Vec<_>>()
    };
    files_ending("rs").into_iter().flat_map(lines).collect()
}

fn assert_none(law: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{law}:\n  {}", faults.join("\n  "));
}

#[test]
fn every_source_file_says_what_it_is_for() {
    let silent = files_ending("rs").into_iter().filter(|path| !read(path).starts_with("//!"));
    let faults: Vec<String> = silent.map(|path| path.display().to_string()).collect();
    assert_none("a source file opens with `//!`", &faults);
}

#[test]
fn source_files_stay_short() {
    let mut faults = vec![];
    for path in files_ending("rs") {
        let lines = read(&path).lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert_none("a source file has at most 800 lines", &faults);
}

#[test]
fn crate_roots_name_what_they_export() {
    let mut faults = vec![];
    for (path, line, text) in rust_lines() {
        let text = text.trim();
        let root = ["lib.rs", "mod.rs"].contains(&name(&path).as_str());
        if root && text.starts_with("pub") && text.contains(" use ") && text.contains("::*") {
            faults.push(format!("{}:{line}: {text}", path.display()));
        }
    }
    assert_none("`lib.rs` and `mod.rs` re-export by name, never by `*`", &faults);
}

#[test]
fn no_test_is_ignored_without_a_reason() {
    let mut faults = vec![];
    for (path, line, text) in rust_lines() {
        let text = text.trim();
        if text.starts_with("#[ignore") && !text.contains("= \"") {
            faults.push(format!("{}:{line}", path.display()));
        }
    }
    assert_none("an ignored test says why: `#[ignore = \"…\"]`", &faults);
}

#[test]
fn crate_dependencies_point_one_way() {
    let mut faults = vec![];
    for (path, crate_name, allowed) in LAYERS {
        let manifest: toml::Table = toml::from_str(&read(path)).unwrap();
        let package = manifest.get("package").and_then(|package| package.get("name"));
        assert_eq!(package.and_then(toml::Value::as_str), Some(crate_name), "{path}");
        for used in own_crates_used(&manifest) {
            if !allowed.contains(&used.as_str()) {
                faults.push(format!("{path}: `{crate_name}` uses `{used}`"));
            }
        }
    }
    assert_none("crates depend one way: policies, catalog, engine, flight, hedgerow", &faults);
}

/// Our own crates among a manifest's dependencies of every kind, renamed ones included.
fn own_crates_used(manifest: &toml::Table) -> Vec<String> {
    let mut used = vec![];
    let mut tables = vec![manifest];
    if let Some(targets) = manifest.get("target").and_then(toml::Value::as_table) {
        tables.extend(targets.values().filter_map(toml::Value::as_table));
    }
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(entries) = table.get(kind).and_then(toml::Value::as_table) else {
                continue;
            };
            for (key, entry) in entries {
                let renamed = entry.get("package").and_then(toml::Value::as_str);
                let used_name = renamed.unwrap_or(key);
                if used_name.starts_with("hedgerow") {
                    used.push(used_name.to_owned());
                }
            }
        }
    }
    used
}

#[test]
fn every_layer_is_listed() {
    let mut manifests = files_ending("toml");
    manifests.retain(|path| name(path) == "Cargo.toml");
    let unlisted =
        manifests.iter().filter(|path| !LAYERS.iter().any(|(known, ..)| *path == Path::new(known)));
    let faults: Vec<String> = unlisted.map(|path| path.display().to_string()).collect();
    assert_none("a crate of the workspace has its place in `LAYERS`", &faults);
}

/// Cargo compiles `tests/federation/main.rs` alone: a file that nobody declares never runs.
#[test]
fn no_test_module_is_forgotten() {
    let folder = Path::new("tests/federation");
    let mut faults = vec![];
    for path in files_ending("rs") {
        let Ok(inside) = path.strip_prefix(folder) else {
            continue;
        };
        if inside == Path::new("main.rs") {
            continue;
        }
        let own = if name(&path) == "mod.rs" { path.parent().unwrap() } else { &path };
        let module = own.file_stem().unwrap().to_string_lossy().into_owned();
        let above = own.parent().unwrap();
        let parents = match above == folder {
            true => vec![folder.join("main.rs")],
            false => vec![above.join("mod.rs"), above.with_extension("rs")],
        };
        let declared = parents
            .iter()
            .filter_map(|parent| fs::read_to_string(root().join(parent)).ok())
            .any(|text| text.lines().any(|line| declares(line, &module)));
        if !declared {
            faults.push(path.display().to_string());
        }
    }
    assert_none("every file under `tests/federation` is declared by the file above it", &faults);
}

fn declares(line: &str, module: &str) -> bool {
    let line = line.trim();
    let rest = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub ")).unwrap_or(line);
    rest.strip_prefix("mod ").is_some_and(|rest| rest.trim_end_matches(';').trim() == module)
}

#[test]
fn documents_speak_of_this_repository_only() {
    let mut faults = vec![];
    for path in documents() {
        for (at, line) in read(&path).lines().enumerate() {
            let outside = line.contains("../shared");
            let machine = MACHINE_PATHS.iter().any(|start| begins_a_path(line, start));
            if outside || machine {
                faults.push(format!("{}:{}: {line}", path.display(), at + 1));
            }
        }
    }
    assert_none("documents name no folder outside the repository and no machine's paths", &faults);
}

/// Whether `start` stands in `line` as the beginning of a path, not in the middle of one.
fn begins_a_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~}/".contains(c))
    })
}

#[test]
fn every_rule_is_explained() {
    let source = read("policies/src/refusal.rs");
    let rules: Vec<&str> = source.split('"').filter(|text| is_rule_id(text)).collect();
    assert!(rules.len() > 10, "the rules of `policies/src/refusal.rs` were not found");
    let explained = read("docs/disclosure.md");
    let missing = rules.iter().filter(|rule| !explained.contains(&format!("`{rule}`")));
    let faults: Vec<String> = missing.map(|rule| (*rule).to_owned()).collect();
    assert_none("every rule id stands in `docs/disclosure.md`", &faults);
}

/// `S4.literal`, `G7.family`.
fn is_rule_id(text: &str) -> bool {
    let Some((letter, rest)) = text.split_at_checked(1) else {
        return false;
    };
    let Some((number, word)) = rest.split_once('.') else {
        return false;
    };
    ["S", "G"].contains(&letter)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
        && !word.is_empty()
        && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[test]
fn every_document_can_be_found() {
    let readme = read("README.md");
    let architecture = read("docs/architecture.md");
    let mut faults = vec![];
    for path in documents() {
        let linked = match path.strip_prefix("docs") {
            Ok(_) => {
                readme.contains(&format!("](docs/{}", name(&path)))
                    || architecture.contains(&format!("]({}", name(&path)))
            }
            Err(_) => {
                path == Path::new("README.md") || readme.contains(&format!("]({}", name(&path)))
            }
        };
        if !linked {
            faults.push(path.display().to_string());
        }
    }
    assert_none("every document is linked from README.md or docs/architecture.md", &faults);
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut faults = vec![];
    for path in documents() {
        let text = read(&path);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            let elsewhere = file.is_empty() || file.contains("://") || file.starts_with("mailto:");
            if !elsewhere && !root().join(&path).parent().unwrap().join(file).exists() {
                faults.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_none("every relative link names a file that exists", &faults);
}
