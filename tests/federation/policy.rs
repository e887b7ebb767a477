//! `hedgerow policy` on the folder of a demo: rules in plain words, statements judged and not run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::processes::demo_answer;
use crate::program::Program;
use crate::world::in_time;

const ALLOWED: &str = "SELECT priority, count(*), avg(weeks_waited) FROM referral_pathway \
                       GROUP BY priority";
const REFUSED: &str = "SELECT weeks_waited, count(*) FROM referral_pathway GROUP BY weeks_waited";

/// A demo's folder that is not served any more, and the configuration of a node in it.
async fn demo_folder(home: &Path) -> PathBuf {
    let folder = home.join("demo");
    demo_answer(home, &["--directory", folder.to_str().unwrap()]).await;
    folder.join("northmoor").join("serve.toml")
}

/// Exit code, standard output, standard error.
async fn policy(home: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut program = Program::start(&[&["policy"], arguments].concat(), home);
    let status = program.end(Duration::from_secs(20)).await;
    (status.code(), program.out(), program.err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_nodes_rules_are_told_in_plain_words() {
    let home = tempfile::tempdir().unwrap();
    let config = in_time(demo_folder(home.path())).await;
    let file = config.to_str().unwrap();
    let (code, out, err) = policy(home.path(), &["check", file]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for part in [
        "Disclosure rules of the node of `northmoor`",
        "primary_only: ",
        "Table `referral_pathway`, version 1",
        "  group keys in bands   weeks_waited",
        "  only joins            pathway_number, person_number",
        "weeks_waited (estimated from 10 bins)",
        "S4.literal",
    ] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }

    let text = fs::read_to_string(&config).unwrap();
    let wrong = home.path().join("demo").join("northmoor").join("wrong.toml");
    let text = text.trim_end();
    let lines = text.lines().count();
    fs::write(&wrong, format!("{text}\n[policy.tables.referral_pathway]\nk = 3\n")).unwrap();
    let (code, out, err) = policy(home.path(), &["check", wrong.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains(&format!("`wrong.toml` line {}", lines + 2)), "{err}");
    assert!(err.contains("k = 3 is outside 5 to 1000"), "{err}");

    let coordinator = home.path().join("demo").join("coordinator").join("serve.toml");
    let (code, _, err) = policy(home.path(), &["check", coordinator.to_str().unwrap()]).await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("makes no node"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_statement_is_judged_without_being_run() {
    let home = tempfile::tempdir().unwrap();
    let config = in_time(demo_folder(home.path())).await;
    let file = config.to_str().unwrap();
    let ledger = || fs::read(config.with_file_name("ledger.ndjson")).unwrap_or_default();
    let before = ledger();

    let (code, out, err) = policy(home.path(), &["explain", "--config", file, ALLOWED]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for part in ["fragment 0", "GROUP BY", "allowed", "people: ", "contributors: ", "(G2)"] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }

    let (code, out, err) = policy(home.path(), &["explain", "--config", file, REFUSED]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    for part in ["by rule S2.key", "the rule", "reason", "write instead"] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }

    let twice = "SELECT count(*) FROM person UNION ALL SELECT count(*) FROM person WHERE age > 70";
    let (code, out, err) = policy(home.path(), &["explain", "--config", file, twice]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    for part in ["the statement as a whole", "by rule G7.family"] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }

    let misspelt = "SELECT count(*) FORM person";
    let (code, out, err) = policy(home.path(), &["explain", "--config", file, misspelt]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(!err.contains("EXPLAIN"), "{err}");

    let analyze = format!("ANALYZE {ALLOWED}");
    let (code, out, err) = policy(home.path(), &["explain", "--config", file, &analyze]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("without ANALYZE"), "{err}");
    assert_eq!(ledger(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn presets_are_listed_with_what_they_are() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = policy(home.path(), &["presets"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    for part in [
        "\nprimary_only\n",
        "\nhes\n",
        "\nopensafely\n",
        "\nons_10_5\n",
        "\nsacro\n",
        "  dominance             { n = 2, share = 0.90 }\n",
        "ptable_10_5",
    ] {
        assert!(out.contains(part), "no {part} in:\n{out}");
    }
    let config = in_time(demo_folder(home.path())).await;
    let text = fs::read_to_string(&config).unwrap();
    let own = text.replace("[ledger]", "[policy]\npreset = \"hes\"\nk = 7\n\n[ledger]");
    fs::write(&config, own).unwrap();
    let (code, out, err) = policy(home.path(), &["check", config.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    assert!(err.contains("k = 7 is looser than preset `hes`, which says 8"), "{err}");
}
