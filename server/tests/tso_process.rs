//! `nokv tso` as a process: what it answers, and that nothing that ends it makes timestamps go back.
//! Real files, real sockets, real signals; a free port each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed, as it should")]

mod process;

use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::mpsc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::stream;
use nokv_client::{NetworkOracle, TimestampOracle as _};
use nokv_proto::pdpb::TsoRequest;
use nokv_proto::pdpb::pd_client::PdClient;
use process::{Tso, run};
use tonic::Code;

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

#[test]
fn answers_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let before_ms = now_ms();
    let tso = Tso::start(dir.path(), &[]);
    let first = tso.timestamps(10);
    // The server follows the steady clock, which the wall clock's milliseconds may miss by rounding and slewing.
    assert!((before_ms - 1_000..=now_ms() + 1_000).contains(&(first >> 18)), "{first} is not now");
    assert!(tso.timestamps(1) >= first + 10);
    let biggest = tso.timestamps(65_536);
    assert_eq!(biggest >> 18, (biggest + 65_535) >> 18, "a batch lies in one millisecond");

    let (status, body) = tso.get("/tso");
    assert_eq!((status, body["count"].as_u64()), (200, Some(1)));
    assert_eq!(tso.get("/healthz").0, 200);

    for path in ["/tso?batch=0", "/tso?batch=65537", "/tso?batch=-1", "/tso?batch=x", "/tso?batch=", "/tso?bach=2"] {
        let (status, body) = tso.get(path);
        assert_eq!(status, 400, "{path}");
        assert!(body["error"].as_str().unwrap().contains("batch"), "{path}: {body}");
    }
    assert_eq!(tso.get("/nothing").0, 404);
    assert_eq!(tso.try_get("POST", "/tso").unwrap().0, 405);
}

#[tokio::test]
async fn answers_over_a_stream_of_requests() {
    let dir = tempfile::tempdir().unwrap();
    let tso = Tso::start(dir.path(), &[]);
    let url = format!("http://{}", tso.connect().peer_addr().unwrap());
    let before = tso.timestamps(1);
    let mut client = PdClient::connect(url.clone()).await.unwrap();
    let request = |count| TsoRequest { count, ..Default::default() };
    let asked = [3, 5, 1].map(request);
    let mut answers = client.tso(stream::iter(asked)).await.unwrap().into_inner();
    let mut last = before;
    for count in [3, 5, 1] {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.count, count);
        assert_ne!(answer.header.unwrap().cluster_id, 0, "clients insist on it");
        let timestamp = answer.timestamp.unwrap();
        let largest = ((timestamp.physical as u64) << 18) + timestamp.logical as u64;
        assert!(largest - u64::from(count) >= last, "the largest of the batch, which lies behind the one before");
        last = largest;
    }
    assert!(answers.message().await.unwrap().is_none());
    let mut refused = client.tso(stream::iter([request(0)])).await.unwrap().into_inner();
    assert_eq!(refused.message().await.unwrap_err().code(), Code::InvalidArgument);
    let unknown = client.get_members(nokv_proto::pdpb::GetMembersRequest::default()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);

    let oracle = NetworkOracle::new(&url).unwrap();
    let (first, second) = (oracle.timestamps(10).await.unwrap().0, oracle.timestamps(1).await.unwrap().0);
    assert!(first > last && second >= first + 10);
    assert!(tso.timestamps(1) > second, "one clock for both");
    // An open stream does not hold a stop up.
    tso.signal("TERM");
    let (status, log) = tokio::task::spawn_blocking(|| tso.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("did not finish in time"), "{log}");
}

/// Takes batches of `count` until the server is gone: the first and the last timestamp of each. Says when it has one.
fn take_until_killed(tso: &Tso, count: u64, answered: &mpsc::Sender<()>) -> Vec<(u64, u64)> {
    let mut taken = Vec::new();
    while let Some((200, body)) = tso.try_get("GET", &format!("/tso?batch={count}")) {
        let first = body["timestamp"].as_u64().unwrap();
        taken.push((first, first + count - 1));
        let _ = answered.send(());
    }
    taken
}

#[test]
fn kill_9_and_restart_never_goes_back() {
    let dir = tempfile::tempdir().unwrap();
    // An hour ahead of the clock, so that only the record can keep a restart from going back.
    let ahead_ms = (now_ms() + 3_600_000).to_string();
    let mut flags = vec!["--recover-bound-ms", &ahead_ms];
    let mut highest = 0;
    for round in 0..5 {
        let tso = Tso::start(dir.path(), &flags);
        flags.clear();
        let tso = &tso;
        let mut taken = std::thread::scope(|scope| {
            let (answered, answers) = mpsc::channel();
            let readers: Vec<_> = [1, 7, 60_000]
                .map(|count| {
                    let answered = answered.clone();
                    scope.spawn(move || take_until_killed(tso, count, &answered))
                })
                .into();
            drop(answered);
            // The readers run into the kill: what they got up to then counts.
            answers.iter().take(60).for_each(drop);
            tso.signal("KILL");
            readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
        });
        taken.sort_unstable();
        for (first, last) in taken {
            assert!(first > highest, "round {round}: {first} although {highest} was handed out");
            highest = last;
        }
    }
}

#[test]
fn a_damaged_record_is_refused_until_somebody_says_where_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let mut tso = Tso::start(path, &[]);
    let before = tso.timestamps(1);
    tso.kill();
    let record = path.join("tso.bound");
    let whole = fs::read(&record).unwrap();
    let args = ["tso", "--listen", "127.0.0.1:0", "--workdir", path.to_str().unwrap()];
    let mut flipped = whole.clone();
    flipped[12] ^= 1;
    for damaged in [&whole[..20], &[][..], &flipped] {
        fs::write(&record, damaged).unwrap();
        let (code, out, err) = run(&args);
        assert_eq!((code, out.as_str()), (1, ""));
        for told in ["tso.bound is damaged", "nothing was changed", "--recover-bound-ms"] {
            assert!(err.contains(told), "{err}");
        }
        assert_eq!(fs::read(&record).unwrap(), damaged, "the file is as it was");
    }

    let bound_ms = now_ms() + 3_600_000;
    let tso = Tso::start(path, &["--recover-bound-ms", &bound_ms.to_string()]);
    let after = tso.timestamps(1);
    assert!(after > before && after >> 18 >= bound_ms, "{after}");
    assert_eq!(fs::read(path.join("tso.bound.damaged")).unwrap(), flipped);
    // An hour ahead of the clock: that is told, and a normal start goes on there.
    tso.signal("TERM");
    let (_, log) = tso.wait();
    assert!(log.contains("the machine's clock is behind the timestamps"), "{log}");
    assert!(Tso::start(path, &[]).timestamps(1) > after);
}

#[test]
fn one_directory_one_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let first = Tso::start(dir.path(), &[]);
    let (code, out, err) = run(&["tso", "--listen", "127.0.0.1:0", "--workdir", path]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("is in use by another timestamp server (process "), "{err}");
    first.timestamps(1);
}

#[test]
fn one_port_one_server() {
    let dirs = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = Tso::start(dirs.0.path(), &[]);
    let address = first.connect().peer_addr().unwrap().to_string();
    let (code, _, err) = run(&["tso", "--listen", &address, "--workdir", dirs.1.path().to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(err.contains(&format!("cannot listen on {address}")), "{err}");
}

#[test]
fn signals_stop_it_in_order() {
    for name in ["INT", "TERM"] {
        let dir = tempfile::tempdir().unwrap();
        let tso = Tso::start(dir.path(), &["--log-format", "json"]);
        // An idle connection that has been used once must not hold it up.
        let mut idle = tso.connect();
        write!(idle, "GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let mut head = [0; 15];
        idle.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        tso.signal(name);
        let (status, log) = tso.wait();
        assert_eq!(status.code(), Some(0), "SIG{name}: {log}");
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["msg"], "the timestamp server has stopped", "the log is complete");
        assert!(log.contains(&format!("SIG{name}")), "{log}");
    }
}
