//! The timestamp oracle's HTTP edge against real sockets, and against answers that must not be believed.
//! A timestamp that is believed wrongly breaks snapshots, so every doubtful answer must be an error.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::{Error, HttpOracle, InvalidInput, NetworkOracle, OracleError, TimestampOracle};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// A server that answers one request for each permit it is given, as `answer` says.
#[derive(Clone)]
struct Tso {
    url: String,
    /// The batch sizes asked for, one row a connection.
    asked: Arc<Mutex<Vec<Vec<u32>>>>,
    permits: Arc<Semaphore>,
}

/// An oracle that may take its time: nothing here is about how fast the machine is.
fn oracle_at(url: &str) -> HttpOracle {
    HttpOracle::new(url).unwrap().with_timeouts(Duration::from_secs(60), Duration::from_secs(60))
}

type Answer = fn(asked_before: u32, count: u32) -> String;

fn next(asked_before: u32, count: u32) -> String {
    ok(&format!(r#"{{"timestamp":{},"count":{count}}}"#, 1_000 + asked_before))
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

impl Tso {
    async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let tso = Tso { url, asked: Arc::default(), permits: Arc::new(Semaphore::new(0)) };
        let served = tso.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                served.asked.lock().push(Vec::new());
                let (served, row) = (served.clone(), served.asked.lock().len() - 1);
                tokio::spawn(async move { served.serve(stream, row, answer).await });
            }
        });
        tso
    }

    /// Serves one connection until it ends, or a permit is the last: then it is cut.
    async fn serve(self, mut stream: TcpStream, row: usize, answer: Answer) {
        while let Some(count) = read_request(&mut stream).await {
            let before = {
                let mut asked = self.asked.lock();
                let before = asked.iter().flatten().sum();
                asked[row].push(count);
                before
            };
            match self.permits.acquire().await {
                Ok(permit) => permit.forget(),
                Err(_) => return,
            }
            stream.write_all(answer(before, count).as_bytes()).await.unwrap();
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<u32> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let count = head.strip_prefix("GET /tso?batch=")?.split(' ').next()?;
    assert!(head.contains("host: 127.0.0.1:"), "{head}");
    Some(count.parse().unwrap())
}

#[tokio::test]
async fn callers_share_requests_and_never_a_timestamp() {
    let tso = Tso::start(next).await;
    let oracle = Arc::new(oracle_at(&tso.url));
    let ask = |count| {
        let oracle = oracle.clone();
        tokio::spawn(async move { (oracle.timestamps(count).await.unwrap().0, count) })
    };
    let first = ask(1);
    while tso.asked.lock().is_empty() || tso.asked.lock()[0].is_empty() {
        tokio::task::yield_now().await;
    }
    // While the first request is held back, fifty more come.
    let others: Vec<_> = (0..50).map(|n| ask(1 + n % 3)).collect();
    // One turn of the runtime's single thread lets each of them join the queue.
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    tso.permits.add_permits(1_000);
    let mut all = BTreeSet::new();
    let mut drawn = 0;
    for asked in [first].into_iter().chain(others) {
        let (timestamp, count) = asked.await.unwrap();
        drawn += count as usize;
        all.extend(timestamp..timestamp + u64::from(count));
    }
    assert_eq!(all.len(), drawn, "each timestamp went to one caller");
    assert_eq!(*tso.asked.lock(), [vec![1, drawn as u32 - 1]], "one connection, two requests");
}

#[tokio::test]
async fn a_kept_connection_that_was_cut_is_replaced_at_once() {
    let tso = Tso::start(|before, count| {
        let answer = next(before, count);
        answer.replacen("content-type", "connection: close\r\ncontent-type", 1)
    })
    .await;
    tso.permits.add_permits(1_000);
    let oracle = oracle_at(&tso.url);
    let mut last = 0;
    for _ in 0..5 {
        let timestamp = oracle.timestamps(2).await.unwrap().0;
        assert!(timestamp > last);
        last = timestamp + 1;
    }
    assert_eq!(*tso.asked.lock(), vec![vec![2]; 5]);
}

#[tokio::test]
async fn a_server_without_streams_is_asked_over_http() {
    let tso = Tso::start(next).await;
    tso.permits.add_permits(1_000);
    let patience = Duration::from_secs(60);
    let oracle = NetworkOracle::new(&tso.url).unwrap().with_timeouts(patience, patience);
    let mut last = 0;
    for _ in 0..3 {
        let timestamp = oracle.timestamps(2).await.unwrap().0;
        assert!(timestamp > last);
        last = timestamp + 1;
    }
    let asked = tso.asked.lock().clone();
    assert_eq!(asked.last(), Some(&vec![2, 2, 2]), "one connection, once that is known: {asked:?}");
}

#[tokio::test]
async fn answers_that_cannot_be_are_not_believed() {
    let broken: [(Answer, &str); 5] = [
        (|_, count| ok(&format!(r#"{{"timestamp":{},"count":{}}}"#, 5, count + 1)), "asked for 1 timestamps, got 2"),
        (|before, count| next(10 - before, count), "went back"),
        (|_, _| ok(&format!(r#"{{"timestamp":{},"count":1}}"#, u64::MAX)), "went back"),
        (|_, _| ok("hello"), "expected"),
        (|_, _| ok(r#"{"timestamp":1}"#), "missing field"),
    ];
    for (answer, what) in broken {
        let tso = Tso::start(answer).await;
        tso.permits.add_permits(2);
        let oracle = oracle_at(&tso.url);
        let first = oracle.timestamps(1).await;
        let second = oracle.timestamps(1).await;
        let error = first.err().or(second.err()).unwrap();
        assert!(matches!(&error, OracleError::Protocol(text) if text.contains(what)), "{error}");
    }
}

#[tokio::test]
async fn an_oracle_that_cannot_serve_is_unavailable() {
    let tso = Tso::start(|_, _| "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nlate".to_owned()).await;
    tso.permits.add_permits(2);
    let oracle = oracle_at(&tso.url);
    let error = oracle.timestamps(1).await.unwrap_err();
    assert!(
        matches!(&error, OracleError::Unavailable(text) if text.contains("503") && text.contains("late")),
        "{error}"
    );
    let cut = Tso::start(next).await;
    cut.permits.close();
    let oracle = oracle_at(&cut.url);
    assert!(matches!(oracle.timestamps(1).await, Err(OracleError::Unavailable(_))));
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let oracle = oracle_at(&format!("http://{nobody}"));
    let error = oracle.timestamps(1).await.unwrap_err();
    assert!(matches!(&error, OracleError::Unavailable(text) if text.contains("refused")), "{error}");
    assert!(matches!(oracle.timestamps(0).await, Err(OracleError::Protocol(_))));
}

#[test]
fn urls_are_checked_before_they_are_used() {
    for url in ["127.0.0.1:1", "https://127.0.0.1:1", "/tso", "http://", "http://a b"] {
        let error = HttpOracle::new(url).unwrap_err();
        assert!(
            matches!(&error, Error::InvalidInput(InvalidInput::Address { address, .. }) if address == url),
            "{url}"
        );
    }
}
