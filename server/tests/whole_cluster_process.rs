//! A cluster that runs itself, as its users see it: nodes join by one flag, commands need one address, stores leave,
//! and who does not belong is told so and changes nothing.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[allow(dead_code, reason = "each test program uses another part of it")]
mod process;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nokv_client::{Client, Options, PlacementLink};
use serde_json::Value;
use tempfile::TempDir;

/// Far beyond anything that should happen.
const PATIENCE: Duration = Duration::from_secs(120);
const ANY_PORT: &str = "127.0.0.1:0";

/// A node that serves, killed when it is dropped.
struct Node {
    child: Child,
    address: String,
}

fn command(address: &str, workdir: &Path, flags: &[&str]) -> std::process::Command {
    let workdir = workdir.to_str().unwrap();
    process::nokv(&[&["serve", "--workdir", workdir, "--addr", address, "--status-addr", "off"], flags].concat())
}

impl Node {
    fn start(workdir: &Path, flags: &[&str]) -> Node {
        Node::start_at(ANY_PORT, workdir, flags)
    }

    fn start_at(address: &str, workdir: &Path, flags: &[&str]) -> Node {
        let mut child = command(address, workdir, flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(ready) = lines.find_map(|line| line.ok().filter(|line| line.starts_with("ready:"))) else {
            let mut log = String::new();
            child.stderr.as_mut().unwrap().read_to_string(&mut log).unwrap();
            panic!("no ready line; log:\n{log}");
        };
        let address = ready.split("gRPC on ").nth(1).unwrap().split(',').next().unwrap().to_owned();
        Node { child, address }
    }

    fn json(&self, words: &[&str]) -> Value {
        let (code, out, err) = process::run(&[words, &["--addr", &self.address, "--json"]].concat());
        assert!(!out.is_empty(), "{words:?}: {code} {err}");
        serde_json::from_str(&out).unwrap()
    }

    /// A command that must do what it is asked.
    fn does(&self, words: &[&str]) -> String {
        let (code, out, err) = self.run(words);
        assert_eq!(code, 0, "{words:?}: {out} {err}");
        out
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let (command, operation) = words.split_at(words.iter().position(|it| *it == "put").unwrap_or(words.len()));
        let (command, operation) = if command.is_empty() { (operation, command) } else { (command, operation) };
        process::run(&[command, &["--addr", &self.address], operation].concat())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A start that must be refused: exit code and what was said.
fn refused(workdir: &Path, flags: &[&str]) -> (i32, String) {
    let output = command(ANY_PORT, workdir, flags).output().unwrap();
    assert!(output.stdout.is_empty(), "nothing is served");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn until(what: &str, mut look: impl FnMut() -> Result<(), Value>) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(()) => return,
            Err(seen) if Instant::now() >= deadline => panic!("{what}: {seen}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

/// However full this machine's disk is.
const ANY_DISK: [&str; 2] = ["--min-free-percent", "0"];

#[test]
fn one_address_is_enough_for_every_command() {
    let folder = TempDir::new().unwrap();
    let node = Node::start(folder.path(), &["--gc-life", "1"]);
    node.does(&["txn", "put", "apple", "1", "--", "put", "zebra", "2"]);
    assert_eq!(node.does(&["get", "zebra"]), "2\n");
    let taken = node.json(&["snapshot", "create", "before"])["timestamp"].as_u64().unwrap().to_string();
    node.does(&["txn", "put", "apple", "3"]);
    // The safe point advances by itself, but not beyond the snapshot.
    until("a safe point", || {
        let status = node.json(&["cluster", "status"]);
        let safe_point = status["safe_point"].as_u64().unwrap();
        assert!(safe_point <= taken.parse().unwrap());
        if safe_point > 0 { Ok(()) } else { Err(status) }
    });
    assert_eq!(node.does(&["get", "apple", "--at", &taken]), "1\n");
    assert_eq!(node.json(&["snapshot", "list"])[0]["name"], "before");
    node.does(&["snapshot", "drop", "before"]);
    assert_eq!(node.run(&["snapshot", "drop", "before"]).0, 1);

    // Regions are cut with ids from placement, and the map shows it at once.
    let region = node.json(&["regions"])[0]["id"].as_u64().unwrap().to_string();
    node.does(&["region", "split", &region, "m"]);
    until("two regions in the map", || {
        let status = node.json(&["cluster", "status"]);
        if status["regions"] == 2 { Ok(()) } else { Err(status) }
    });
    assert_eq!(node.json(&["regions"]).as_array().unwrap().len(), 2);
    assert_eq!(node.json(&["operator", "list"])["under_way"].as_array().unwrap().len(), 0);
    // The only store there is cannot leave.
    let (code, _, said) = node.run(&["store", "remove", "1"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("add a store first"), "{said}");
    assert_eq!(node.json(&["store", "show", "1"])["state"], "well");
}

#[test]
fn stores_come_get_data_and_leave_again() {
    let folders: Vec<TempDir> = (0..4).map(|_| TempDir::new().unwrap()).collect();
    let first = Node::start(folders[0].path(), &[&ANY_DISK[..], &["--move-pause", "0"]].concat());
    first.does(&["txn", "put", "apple", "1"]);
    let join = ["--join", first.address.as_str()];
    let others: Vec<Node> = folders[1..].iter().map(|folder| Node::start(folder.path(), &join)).collect();
    let ids: Vec<u64> = first.json(&["store", "list"]).as_array().unwrap().iter().map(id).collect();
    assert_eq!(ids.len(), 4, "each was given an id of its own: {ids:?}");
    until("three replicas", || {
        let status = first.json(&["cluster", "status"]);
        let whole = status["regions_lacking_replicas"] == 0 && status["operators"].as_array().unwrap().is_empty();
        if whole { Ok(()) } else { Err(status) }
    });
    // Placement itself is hosted by three of them by now, or soon, and each knows the cluster.
    until("three hosts of placement", || {
        let status = others[2].json(&["cluster", "status"]);
        let members = status["placement"]["member_store_ids"].as_array().unwrap().len();
        if members == 3 { Ok(()) } else { Err(status) }
    });
    // One that holds a replica leaves; the one that had none takes its part.
    let stores = first.json(&["store", "list"]);
    let leaves = stores.as_array().unwrap().iter().find(|it| id(it) != 1 && it["peers"] == 1).map(id).unwrap();
    first.does(&["store", "remove", &leaves.to_string(), "--wait", "--timeout", "60"]);
    let status = first.json(&["cluster", "status"]);
    let gone = status["stores"].as_array().unwrap().iter().find(|it| id(it) == leaves).unwrap();
    assert_eq!((gone["state"].as_str(), gone["peers"].as_u64()), (Some("gone"), Some(0)));
    assert_eq!(first.does(&["get", "apple"]), "1\n");
    // With three left and three replicas, the next may not.
    let (code, _, said) = first.run(&["store", "remove", &id(&stores[1]).to_string()]);
    assert_eq!(code, 1, "{said}");
    // And the id of the one that left is never used again.
    let at = ids.iter().position(|id| *id == leaves).unwrap();
    drop(others);
    let (code, said) = refused(folders[at].path(), &join);
    assert_eq!(code, 1);
    assert!(said.contains("left the cluster for good"), "{said}");
}

#[test]
fn placement_outlives_the_node_with_which_it_began() {
    let folders: Vec<TempDir> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let first = Node::start(folders[0].path(), &ANY_DISK);
    // A client that came when there was one node, and one address to be told of.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let link = PlacementLink::new([first.address.clone()]);
    let client = runtime.block_on(async { Client::connect_to_placement(link.clone(), Options::default()) });
    runtime.block_on(put(&client, "1")).unwrap();
    let address = first.address.clone();
    let join = ["--join", address.as_str()];
    let mut others: Vec<Node> = folders[1..].iter().map(|folder| Node::start(folder.path(), &join)).collect();
    until("three hosts of placement and three replicas", || {
        let status = first.json(&["cluster", "status"]);
        let members = status["placement"]["member_store_ids"].as_array().unwrap().len();
        assert_ne!(members, 2, "of two hosts neither could be spared");
        if members == 3 && status["regions_lacking_replicas"] == 0 { Ok(()) } else { Err(status) }
    });
    until("the client to be told of the others", || {
        let known = link.addresses();
        let told = others.iter().all(|node| known.contains(&node.address));
        if told { Ok(()) } else { Err(Value::String(format!("{known:?}"))) }
    });
    drop(first);
    let two_well = |node: &Node| {
        until("the others to be heard of by another leader", || {
            let (_, out, said) = node.run(&["cluster", "status", "--json"]);
            let status: Value = serde_json::from_str(&out).map_err(|_| Value::String(said))?;
            let stores = status["stores"].as_array().unwrap().iter();
            let well = stores.filter(|store| store["state"] == "well" && id(store) != 1).count();
            if well == 2 { Ok(()) } else { Err(status) }
        });
    };
    two_well(&others[0]);
    until("the client to go on", || runtime.block_on(put(&client, "2")).map_err(|error| error.to_string().into()));
    assert_eq!(others[0].does(&["get", "apple"]), "2\n");
    // One starts again, though the only node that it is told to join is gone for good.
    let again = others.pop().unwrap();
    let again_at = again.address.clone();
    drop(again);
    let again = Node::start_at(&again_at, folders[2].path(), &join);
    two_well(&again);
    others[0].does(&["txn", "put", "apple", "3"]);
    assert_eq!(again.does(&["get", "apple"]), "3\n");
}

async fn put(client: &Client, value: &str) -> Result<(), nokv_client::Error> {
    let mut transaction = client.begin().await?;
    transaction.put(b"apple", value.to_owned())?;
    transaction.commit().await.map(drop)
}

fn id(store: &Value) -> u64 {
    store["store_id"].as_u64().unwrap()
}

#[test]
fn who_does_not_belong_is_told_so_and_nothing_changes() {
    let folders: Vec<TempDir> = (0..4).map(|_| TempDir::new().unwrap()).collect();
    let one = Node::start(folders[0].path(), &ANY_DISK);
    one.does(&["txn", "put", "a", "1"]);
    let join = ["--join", one.address.as_str()];
    let second = Node::start(folders[1].path(), &[&join[..], &["--store-id", "2"]].concat());
    let says = |(code, said): (i32, String), words: &str| {
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(words), "{said}");
    };
    // The id of a store, from another directory.
    says(refused(folders[2].path(), &[&join[..], &["--store-id", "2"]].concat()), "another directory");
    // The same directory may then be started as what it should be: the refusal left nothing in it.
    let third = Node::start(folders[2].path(), &[&join[..], &["--store-id", "3"]].concat());
    // A node of another cluster.
    let other = Node::start(folders[3].path(), &["--store-id", "9"]);
    drop(other);
    says(refused(folders[3].path(), &[&join[..], &["--store-id", "9"]].concat()), "the directory belongs to");
    // A cluster that nobody answers for.
    let empty = TempDir::new().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    says(refused(empty.path(), &["--join", &nobody]), "nothing was changed");
    let stores: Vec<u64> = one.json(&["store", "list"]).as_array().unwrap().iter().map(id).collect();
    assert_eq!(stores, [1, 2, 3]);
    drop((second, third));
}
