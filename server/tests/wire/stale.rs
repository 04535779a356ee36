//! Reads in the past, on three real nodes with a timestamp server: once a timestamp is settled, one replica serves them
//! alone, though no other store is there.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nokv_client::{Client, Options, ReadFrom, Timestamp};
use nokv_proto::kvrpcpb::{Context, GetRequest};

use crate::cluster::{Cluster, STORES, context};
use crate::rig::{connect, key, text};

/// The binary's timestamp server, ended with the test.
struct Tso {
    process: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Tso {
    fn start() -> Tso {
        let directory = tempfile::TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_nokv"));
        command.args(["tso", "--listen", "127.0.0.1:0", "--workdir"]).arg(directory.path());
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().strip_prefix("ready: tso listening on ").unwrap().to_owned();
        Tso { process, url, _directory: directory }
    }
}

impl Drop for Tso {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The value of the key `a` as of `version`, read at one store; `None` = the store cannot tell.
async fn read(cluster: &Cluster, store: u64, version: Timestamp) -> Option<String> {
    let mut client = connect(cluster.node(store).address()).await;
    let context = Some(Context { stale_read: true, ..context(1, store) });
    let get = GetRequest { context, key: key("a"), version: version.0, ..Default::default() };
    let answer = client.kv_get(get).await.unwrap().into_inner();
    if answer.region_error.is_some() {
        return None;
    }
    assert_eq!(answer.error, None);
    Some(text(&answer.value))
}

fn settled_reads(cluster: &Cluster, store: u64) -> u64 {
    cluster.node(store).raftstore().metrics().settled_reads.get()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_settled_is_read_at_one_store_though_no_other_is_there() {
    let tso = Tso::start();
    let mut cluster = Cluster::start_with_tso(&tso.url).await;
    let options = Options { read_from: ReadFrom::Settled, ..Options::default() };
    let client = Client::connect_to(cluster.addresses(), &tso.url, options).unwrap();
    let then = client.put("a", "1").await.unwrap();
    client.put("a", "2").await.unwrap();
    let remains = loop {
        if let Some(leader) = cluster.leader_of(1) {
            break STORES.into_iter().find(|store| *store != leader).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    // The leader is asked until it has settled what is wanted.
    while settled_reads(&cluster, remains) == 0 {
        if let Some(value) = read(&cluster, remains, then).await {
            assert_eq!(value, "1");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The client does the same, and what it reads now is new all the same.
    assert_eq!(client.get_at("a", then).await.unwrap().as_deref(), Some(&b"1"[..]));
    assert_eq!(client.get("a").await.unwrap().as_deref(), Some(&b"2"[..]));
    let now = client.timestamp().await.unwrap();
    for store in STORES.into_iter().filter(|store| *store != remains) {
        cluster.stop_node(store).await;
    }
    assert_eq!(read(&cluster, remains, then).await.as_deref(), Some("1"));
    // Of what came after that, nobody can say that it is all.
    let later = Timestamp::compose(now.physical_ms() + 60_000, 0);
    assert_eq!(read(&cluster, remains, later).await, None);
    drop(client);
    cluster.stop().await;
}
