//! `nokv config …` as a process: exit codes, and what goes to which output.
//! What each mistake looks like is tested beside the checks themselves.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]

#[expect(dead_code, reason = "the timestamp server is another test's")]
mod process;

use std::path::{Path, PathBuf};

use process::run;
use serde_json::Value;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../raft_config.example.json")
}

/// The example with two mistakes: a gap from m to n, and an unknown field.
fn wrong(dir: &Path) -> String {
    let text = std::fs::read_to_string(example()).unwrap();
    let text = text.replacen("\"start_key\": \"m\"", "\"start_key\": \"n\"", 1);
    let text = text.replacen("\"max_retries\"", "\"max_retrys\"", 1);
    let path = dir.join("wrong.json");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn the_example_is_shown_and_passes() {
    let example = example();
    let file = example.to_str().unwrap();
    let (code, out, err) = run(&["config", "check", "--config", file]);
    assert_eq!((code, out.as_str(), err.as_str()), (0, &*format!("{file}: ok (3 stores, 2 regions)\n"), ""));

    let (code, out, _) = run(&["config", "regions", "--config", file]);
    assert_eq!(code, 0);
    assert_eq!(
        out,
        "REGION  START  END  EPOCH  PEERS (STORE:PEER)  LEADER STORE\n\
         1       -      m    1.1    1:101 2:201 3:301   1\n\
         2       m      -    1.1    1:102 2:202 3:302   2\n"
    );

    let (code, out, _) = run(&["config", "stores", "--json", "--config", file]);
    let stores: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &stores[1]["addr"]), (0, &Value::from("127.0.0.1:20171")));
    let (code, out, _) = run(&["config", "regions", "--json", "--config", file]);
    let regions: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &regions[1]["start_key"], &regions[1]["end_key"]), (0, &Value::from("m"), &Value::from("-")));
    let (code, out, _) = run(&["config", "tso", "--config", file]);
    assert_eq!((code, out.contains("http://127.0.0.1:20159")), (0, true));
}

#[test]
fn check_lists_every_mistake_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let file = wrong(dir.path());
    let (code, out, err) = run(&["config", "check", "--config", &file]);
    assert_eq!((code, err.as_str()), (1, ""));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            format!(
                "{file}:2: max_retrys: unknown field \"max_retrys\"; known here: max_retries, tso, stores, regions"
            ),
            format!("{file}:43: regions[1].start_key: a gap before this region: no region holds m up to n"),
        ]
    );

    let (code, out, _) = run(&["config", "check", "--json", "--config", &file]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["ok"], report["findings"].as_array().unwrap().len()), (1, &Value::Bool(false), 2));
    assert_eq!(report["findings"][1]["line"], 43);
    assert_eq!(report["findings"][1]["field"], "regions[1].start_key");
}

#[test]
fn other_commands_refuse_a_wrong_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = wrong(dir.path());
    let (code, out, err) = run(&["config", "stores", "--config", &file]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.starts_with(&format!("error: 2 mistakes in {file}:\n")), "{err}");
    let (code, _, err) = run(&["config", "stores", "--json", "--config", &file]);
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, &error["kind"]), (1, &Value::from("error")));

    let workdir = dir.path().join("tso");
    let (code, out, err) = run(&["tso", "--config", &file, "--workdir", workdir.to_str().unwrap()]);
    assert_eq!((code, out.as_str(), workdir.exists()), (1, "", false));
    assert!(err.contains("unknown field"), "{err}");
}

#[test]
fn mistakes_on_the_command_line_have_their_own_exit_code() {
    for (args, told) in [
        (&["config", "check", "--confg", "x"][..], "--confg"),
        (&["config", "check"], "--config <FILE>"),
        (&["config", "nonsense"], "nonsense"),
        (&["nonsense"], "nonsense"),
        (&["tso", "--workdir", "d"], "--listen"),
        (&["tso", "--listen", "h:1", "--workdir", "d", "--log-level", "loud"], "loud"),
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}");
        assert!(err.contains(told), "{args:?}: {err}");
    }
    let (code, _, err) = run(&["config", "check", "--config", "/nonexistent/f.json"]);
    assert_eq!(code, 1);
    assert!(err.contains("/nonexistent/f.json"), "{err}");
}

#[test]
fn help_and_version() {
    let (code, out, _) = run(&["--version"]);
    assert_eq!((code, out), (0, format!("nokv {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, 0);
    assert!(out.contains("3  undetermined"), "{out}");
}
