//! `nokv serve` as a process: what it prints, how it stops, and what it refuses. Nothing here outlives its test.
//! Ports are given by the system, and every wait is for a line, an answer or an exit.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use nokv_proto::kvrpcpb::{Context, RawGetRequest, RawPutRequest};
use nokv_proto::tinykvpb::tiny_kv_client::TinyKvClient;
use tempfile::TempDir;
use tonic::transport::Channel;

/// Far beyond anything that should happen; only keeps a defect from hanging the tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store of its own, until dropped.
struct Serving {
    child: Child,
    /// Everything up to and with the ready line.
    said: String,
}

impl Serving {
    fn start(flags: &[&str]) -> Serving {
        Serving::run(serve(flags))
    }

    fn run(mut command: Command) -> Serving {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.as_mut().unwrap());
        while !said.lines().any(|line| line.starts_with("ready:")) {
            if out.read_line(&mut said).unwrap() == 0 {
                let mut log = String::new();
                child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
                panic!("no ready line but {said:?}; log:\n{log}");
            }
        }
        Serving { child, said }
    }

    /// A client of its gRPC port.
    async fn client(&self) -> TinyKvClient<Channel> {
        let address = self.said.split("gRPC on ").nth(1).unwrap().split(',').next().unwrap();
        TinyKvClient::connect(format!("http://{address}")).await.unwrap()
    }

    /// Waits for its end; returns exit code and log.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }

    /// One GET on the status port: the status and the body.
    fn get(&self, path: &str) -> (u16, String) {
        let address = self.said.split("status on http://").nth(1).unwrap().split('/').next().unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Sends a signal by name; returns the exit code and the log.
    fn end_by(self, signal: &str) -> (Option<i32>, String) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        self.ended()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The same on a disk that takes no file larger than `kib`: writing beyond is an error, as on a full disk.
fn serve_on_small_disk(kib: u32, flags: &[&str]) -> Command {
    let mut command = Command::new("bash");
    // The shell counts in KiB; the signal that would end the process is ignored, and that is inherited.
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" serve \"$@\"");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_nokv")]).args(flags).stdin(Stdio::null());
    command
}

fn serve(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nokv"));
    command.arg("serve").args(flags).stdin(Stdio::null());
    command
}

/// Runs to the end, which must be a refusal; returns exit code and standard error.
fn refused(flags: &[&str]) -> (i32, String) {
    let output = serve(flags).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "nothing is served");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn says(refusal: (i32, String), code: i32, words: &[&str]) {
    assert_eq!(refusal.0, code, "{}", refusal.1);
    for words in words {
        assert!(refusal.1.contains(words), "{:?} does not say {words:?}", refusal.1);
    }
}

fn dir(folder: &TempDir) -> &str {
    folder.path().to_str().unwrap()
}

const ANY_PORT: &str = "127.0.0.1:0";

/// A topology of one store with two regions; returns the file.
fn topology(folder: &Path, store_id: u64, split: &str) -> PathBuf {
    let region = |id: u64, start: &str, end: &str| {
        serde_json::json!({
            "id": id, "start_key": start, "end_key": end, "epoch": {"version": 1, "conf_version": 1},
            "peers": [{"store_id": store_id, "peer_id": 100 + id}], "leader_store_id": store_id
        })
    };
    let file = folder.join(format!("topology-{store_id}-{split}.json"));
    let topology = serde_json::json!({
        "stores": [{"store_id": store_id, "addr": "127.0.0.1:1"}],
        "regions": [region(1, "-", split), region(2, split, "-")]
    });
    std::fs::write(&file, topology.to_string()).unwrap();
    file
}

/// Flags of a store of a topology file, on a port of its own.
fn configured(workdir: &str, store: &str, file: &Path) -> [String; 8] {
    let file = file.to_str().unwrap();
    ["--workdir", workdir, "--store-id", store, "--addr", ANY_PORT, "--config", file].map(str::to_owned)
}

#[test]
fn a_store_alone_serves_says_so_and_stops_on_a_signal() {
    for signal in ["TERM", "INT"] {
        let folder = TempDir::new().unwrap();
        let flags = ["--workdir", dir(&folder), "--store-id", "7", "--addr", ANY_PORT];
        let store = Serving::start(&flags);
        assert!(store.said.contains("region 1: keys - .. -; peers 7 on store 7; here 7"), "{}", store.said);
        assert!(store.said.contains("ready: store 7 serves 1 region, gRPC on 127.0.0.1:"), "{}", store.said);
        let status = store.json("/status");
        assert_eq!((status["store_id"].as_u64(), status["regions"][0]["id"].as_u64()), (Some(7), Some(1)));
        let (code, log) = store.end_by(signal);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("the store has stopped"), "{log}");
        drop(Serving::start(&flags));
    }
}

#[test]
fn the_status_port_shows_regions_metrics_health_and_digests() {
    let folder = TempDir::new().unwrap();
    let file = topology(folder.path(), 1, "m");
    let workdir = folder.path().join("store");
    let flags = configured(workdir.to_str().unwrap(), "1", &file);
    let store = Serving::start(&flags.each_ref().map(String::as_str));
    let leads_both = |status: &serde_json::Value| {
        status["regions"].as_array().unwrap().iter().all(|region| region["role"] == "leader")
    };
    let mut status = store.json("/status");
    while !leads_both(&status) {
        status = store.json("/status");
    }
    let second = &status["regions"][1];
    assert_eq!((&second["start_key"], &second["end_key"]), (&"m".into(), &"-".into()));
    assert_eq!(second["epoch"], serde_json::json!({"version": 1, "conf_version": 1}));
    assert_eq!(second["peers"], serde_json::json!([{"store_id": 1, "peer_id": 102}]));
    assert_eq!(second["leader"], serde_json::json!({"store_id": 1, "peer_id": 102}));
    assert!(second["term"].as_u64().unwrap() > 5);

    assert_eq!(store.json("/health")["status"], "ok");
    let digest = store.json("/digest?region=2");
    assert_eq!((digest["region"].as_u64(), digest["records"].as_u64()), (Some(2), Some(0)));
    assert_eq!(digest["digest"].as_str().unwrap().len(), 16);
    assert_eq!(store.get("/digest?region=9").0, 404);
    assert_eq!(store.get("/nothing").0, 404);
    let (code, metrics) = store.get("/metrics");
    assert_eq!(code, 200);
    for name in [
        "nokv_requests_total{call=\"KvGet\",outcome=\"ok\"} 0",
        "nokv_request_seconds_bucket{call=\"RawScan\"",
        "nokv_raft_log_write_synced_seconds_count",
        "nokv_region_leader{region=\"2\"} 1",
        "nokv_rocksdb_keys_estimate{cf=\"write\"}",
        "nokv_transport_received_messages_total 0",
    ] {
        assert!(metrics.contains(name), "{name} is not in:\n{metrics}");
    }
}

#[test]
fn flags_that_cannot_be_are_mistakes_of_usage() {
    let folder = TempDir::new().unwrap();
    let workdir = dir(&folder);
    let with = |more: &[&'static str]| refused(&[&["--workdir", workdir, "--store-id", "1"], more].concat());
    says(with(&["--addr", ANY_PORT, "--no-such-flag"]), 2, &["--no-such-flag"]);
    says(with(&["--addr", ANY_PORT, "--peer", "2"]), 2, &["ID=HOST:PORT"]);
    says(with(&["--addr", "127.0.0.1:65000"]), 2, &["--status-addr"]);
    says(refused(&["--workdir", workdir, "--store-id", "0", "--addr", ANY_PORT]), 2, &["--store-id"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was begun");
}

#[test]
fn a_directory_of_another_store_is_refused() {
    let folder = TempDir::new().unwrap();
    Serving::start(&["--workdir", dir(&folder), "--store-id", "1", "--addr", ANY_PORT]).end_by("TERM");
    let refusal = refused(&["--workdir", dir(&folder), "--store-id", "2", "--addr", ANY_PORT]);
    says(refusal, 1, &["belongs to store 1", "--store-id 1"]);
}

#[test]
fn a_second_server_on_one_directory_is_refused() {
    let folder = TempDir::new().unwrap();
    let flags = ["--workdir", dir(&folder), "--store-id", "1", "--addr", ANY_PORT];
    let first = Serving::start(&flags);
    says(refused(&flags), 1, &["in use by another process", dir(&folder)]);
    assert_eq!(first.json("/health")["status"], "ok", "the first one goes on");
}

#[test]
fn a_topology_that_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let workdir = folder.path().join("store");
    let workdir = workdir.to_str().unwrap();
    let made_with = topology(folder.path(), 1, "m");
    let start = |file: &Path| Serving::start(&configured(workdir, "1", file).each_ref().map(String::as_str));
    let run = |file: &Path, store: &str| refused(&configured(workdir, store, file).each_ref().map(String::as_str));
    start(&made_with).end_by("TERM");
    let other_split = topology(folder.path(), 1, "p");
    says(run(&other_split, "1"), 1, &["does not fit", "region 1"]);
    says(run(&made_with, "3"), 1, &["has no store 3", "it has 1"]);
    says(run(Path::new("/no/such/file"), "1"), 1, &["/no/such/file"]);
    drop(start(&made_with));
}

#[test]
fn what_is_no_directory_of_ours_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "theirs").unwrap();
    let refusal = refused(&["--workdir", file.to_str().unwrap(), "--store-id", "1", "--addr", ANY_PORT]);
    says(refusal, 1, &["not a directory"]);
    says(refused(&["--workdir", dir(&folder), "--store-id", "1", "--addr", ANY_PORT]), 1, &["not empty"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "theirs");
}

#[test]
fn an_address_in_use_is_named() {
    let (folder, taken) = (TempDir::new().unwrap(), TcpListener::bind(ANY_PORT).unwrap());
    let taken = taken.local_addr().unwrap().to_string();
    let refusal = refused(&["--workdir", dir(&folder), "--store-id", "1", "--addr", &taken, "--status-addr", "off"]);
    says(refusal, 1, &["cannot listen on", &taken, "in use"]);
}

#[test]
fn a_peer_that_nobody_knows_is_refused() {
    let folder = TempDir::new().unwrap();
    let file = topology(folder.path(), 1, "m");
    let workdir = folder.path().join("store");
    let flags = configured(workdir.to_str().unwrap(), "1", &file);
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["--peer", "55=127.0.0.1:5"]);
    says(refused(&flags), 2, &["--peer 55=127.0.0.1:5"]);
    Serving::start(&["--workdir", workdir.to_str().unwrap(), "--store-id", "2", "--addr", ANY_PORT]);
}

fn only_region() -> Option<Context> {
    Some(Context { region_id: 1, ..Default::default() })
}

/// Five of them are more than the small disk lets a file have.
const LARGE_BYTES: usize = 4_000_000;

/// Writes values until the store gives no answer any more; returns how many were acknowledged.
async fn write_until_it_breaks(client: &mut TinyKvClient<Channel>) -> u32 {
    let mut acknowledged = 0;
    loop {
        let (key, value) = (Bytes::from(format!("key-{acknowledged:06}")), Bytes::from(vec![7; LARGE_BYTES]));
        let put = RawPutRequest { context: only_region(), key, value, ..Default::default() };
        match client.raw_put(put).await {
            Ok(answer) if answer.get_ref().region_error.is_none() => acknowledged += 1,
            // Before the election.
            Ok(answer) if answer.get_ref().region_error.as_ref().unwrap().not_leader.is_some() => {}
            // No answer, or in its last moment one that says that the outcome is unknown.
            _ => return acknowledged,
        }
    }
}

#[tokio::test]
async fn a_full_disk_ends_the_store_at_once_and_costs_nothing_that_was_acknowledged() {
    let folder = TempDir::new().unwrap();
    let flags = ["--workdir", dir(&folder), "--store-id", "1", "--addr", ANY_PORT];
    let store = Serving::run(serve_on_small_disk(16_384, &flags));
    let acknowledged = write_until_it_breaks(&mut store.client().await).await;
    let (code, log) = store.ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("fatal: store 1 cannot go on"), "{log}");
    assert!(log.contains("disk failed"), "{log}");
    assert!(acknowledged > 0);

    let store = Serving::start(&flags);
    let mut client = store.client().await;
    let mut next = 0;
    while next < acknowledged {
        let key = Bytes::from(format!("key-{next:06}"));
        let get = RawGetRequest { context: only_region(), key, ..Default::default() };
        let answer = client.raw_get(get).await.unwrap().into_inner();
        if answer.region_error.is_none() {
            assert_eq!((answer.not_found, answer.value.len()), (false, LARGE_BYTES), "key {next} of {acknowledged}");
            next += 1;
        }
    }
}
