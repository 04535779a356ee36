//! The command line client without a cluster: what is refused before anything is sent, and what an unreachable cluster
//! looks like. With a cluster it is tested where a cluster is started.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]

#[expect(dead_code, reason = "the timestamp server is another test's")]
mod process;

use std::net::TcpListener;
use std::path::Path;

use process::{nokv, run};
use serde_json::Value;

/// A topology of one store at a port on which nobody listens, without a timestamp server.
fn deserted(dir: &Path) -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        r#"{{"stores":[{{"store_id":1,"addr":"127.0.0.1:{port}"}}],
            "regions":[{{"id":1,"peers":[{{"store_id":1,"peer_id":1}}]}}]}}"#
    );
    let path = dir.join("deserted.json");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let config = deserted(dir.path());
    for (args, told) in [
        (&["get", "-"][..], "a key is needed"),
        (&["get", "hex:6"], "odd number of hexadecimal digits"),
        (&["get", "a", "--raw", "--at", "5"], "cannot be used with"),
        (&["put", "a"], "<VALUE>"),
        (&["put", "a", "1"], "--tso URL"),
        (&["scan", "--limit", "0"], "--limit"),
        (&["txn", "put", "a", "1", "--", "put", "b"], "operation 2: \"put b\""),
        (&["txn"], "the transaction is empty"),
        (&["txn", "--nonsense"], "--nonsense"),
    ] {
        let mut all = vec![args[0], "--config", &config];
        all.extend(&args[1..]);
        let (code, out, err) = run(&all);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(told), "{args:?}: {err}");
    }
}

#[test]
fn a_script_on_standard_input_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "put a 1\nincrement b\n").unwrap();
    let config = deserted(dir.path());
    let stdin = std::fs::File::open(&script).unwrap();
    let output = nokv(&["txn", "--config", &config]).stdin(stdin).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(err.contains("line 2: unknown operation \"increment b\""), "{err}");
}

#[test]
fn an_unreachable_store_is_an_error_within_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let config = deserted(dir.path());
    let (code, out, err) = run(&["get", "a", "--raw", "--config", &config, "--timeout", "1", "--json"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    let error: Value = serde_json::from_str(&err).unwrap();
    assert_eq!(error["kind"], "error");
    assert!(error["error"].as_str().unwrap().contains("cannot connect"), "{err}");

    // Nothing was ever sent, so the outcome of a write is known.
    let (code, _, err) = run(&["put", "a", "1", "--raw", "--config", &config, "--timeout", "1"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("advice: nothing was written"), "{err}");
}

#[test]
fn regions_without_a_leader_are_shown_and_fail() {
    let dir = tempfile::tempdir().unwrap();
    let config = deserted(dir.path());
    let (code, out, err) = run(&["regions", "--config", &config, "--timeout", "1", "--json"]);
    assert_eq!(code, 1, "{err}");
    let regions: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(regions[0]["leader_store_id"], Value::Null);
    assert_eq!((&regions[0]["start_key"], &regions[0]["peers"][0]["state"]), (&"-".into(), &"silent".into()));
    assert!(err.contains("1 of 1 regions have no leader"), "{err}");
}
