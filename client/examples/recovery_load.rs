//! Loads a Debian package index in transactions that span the regions, keeps a ledger of how each of them ended, and
//! later compares what the cluster holds with that ledger. `scripts/recovery_scenarios.sh` kills nodes meanwhile.
//!
//! ```text
//! recovery_load load   --config F --stanzas F --ledger F --seconds N   each transaction once, spread over N seconds
//! recovery_load verify --config F --stanzas F --ledger F               acknowledged: whole; refused: absent; no other
//! recovery_load mend   --config F --stanzas F --ledger F               what is not acknowledged, until it is
//! ```
//! `--addr HOST:PORT` instead of `--config F` finds a cluster that has no topology file.
//! A key is `package/version`, its value the stanza. A line of the ledger: unix milliseconds, outcome, transaction.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use nokv_client::{Client, Error, Options, ScanRange, Topology};
use parking_lot::Mutex;
use tokio::time::Instant;

const KEYS_PER_TRANSACTION: usize = 50;
const WRITERS: usize = 8;
const SCAN_ROWS: usize = 2_000;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;
type Pairs = BTreeMap<Bytes, Bytes>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    Refused,
    Undetermined,
}

impl Outcome {
    const ALL: [Outcome; 3] = [Outcome::Acknowledged, Outcome::Refused, Outcome::Undetermined];

    fn name(self) -> &'static str {
        match self {
            Outcome::Acknowledged => "acknowledged",
            Outcome::Refused => "refused",
            Outcome::Undetermined => "undetermined",
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().ok_or("which command? load, verify or mend")?;
    let mut flags = BTreeMap::new();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        flags.insert(flag, value);
    }
    let flag = |name: &str| flags.get(name).ok_or_else(|| format!("{name} is missing"));

    let client = match flags.get("--addr") {
        Some(addr) => Client::connect_to_cluster(addr.split(',').map(str::to_owned), Options::default()),
        None => connect(&fs::read_to_string(flag("--config")?)?)?,
    };
    let transactions = transactions(&fs::read(flag("--stanzas")?)?);
    let ledger = flag("--ledger")?;
    match command.as_str() {
        "load" => load(client, transactions, ledger, Duration::from_secs(flag("--seconds")?.parse()?)).await,
        "verify" => verify(&client, &transactions, &read_ledger(ledger, transactions.len())?).await,
        "mend" => mend(&client, &transactions, ledger).await,
        other => Err(format!("unknown command {other}: load, verify or mend").into()),
    }
}

fn connect(config: &str) -> Fallible<Client> {
    let json: serde_json::Value = serde_json::from_str(config)?;
    let tso = json.pointer("/tso/advertise_url").and_then(|url| url.as_str()).ok_or("the config has no tso")?;
    Ok(Client::connect(Topology::from_config_json(config)?, tso, Options::default())?)
}

/// The stanzas as transactions. Each takes every n-th key, so that it spans the whole key space.
fn transactions(index: &[u8]) -> Vec<Pairs> {
    let mut all = Pairs::new();
    for stanza in stanzas(index) {
        if let (Some(package), Some(version)) = (field(stanza, b"Package: "), field(stanza, b"Version: ")) {
            let key = [package, b"/", version].concat();
            all.insert(key.into(), Bytes::copy_from_slice(stanza));
        }
    }
    let count = all.len().div_ceil(KEYS_PER_TRANSACTION);
    let mut transactions = vec![Pairs::new(); count];
    for (at, (key, stanza)) in all.into_iter().enumerate() {
        if let Some(transaction) = transactions.get_mut(at % count) {
            transaction.insert(key, stanza);
        }
    }
    transactions
}

/// The runs of lines between empty lines.
fn stanzas(index: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = index;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.windows(2).position(|pair| pair == b"\n\n").map_or(rest.len(), |at| at + 1);
        let (stanza, behind) = rest.split_at(end);
        rest = behind.trim_ascii_start();
        Some(stanza)
    })
}

fn field<'a>(stanza: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    stanza.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name))
}

async fn load(client: Client, transactions: Vec<Pairs>, ledger: &str, duration: Duration) -> Fallible<()> {
    let keys: usize = transactions.iter().map(BTreeMap::len).sum();
    println!("loading {keys} keys in {} transactions with {WRITERS} writers", transactions.len());
    let ledger = Arc::new(Mutex::new(OpenOptions::new().create(true).append(true).open(ledger)?));
    let (transactions, next) = (Arc::new(transactions), Arc::new(AtomicUsize::new(0)));
    let began = Instant::now();
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let (client, ledger) = (client.clone(), ledger.clone());
        let (transactions, next) = (transactions.clone(), next.clone());
        writers.spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(pairs) = transactions.get(at) else { return Ok::<_, Error>(()) };
                tokio::time::sleep_until(began + duration.mul_f64(at as f64 / transactions.len() as f64)).await;
                let outcome = write(&client, pairs).await?;
                // Not buffered: the ledger must hold what was acknowledged even if this process is killed.
                writeln!(ledger.lock(), "{} {} {at}", unix_ms(), outcome.name()).expect("the ledger can be written");
            }
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    client.drain().await;
    println!("loaded in {} s; {} clean-ups failed", began.elapsed().as_secs(), client.background_failures());
    Ok(())
}

/// One transaction, tried once.
///
/// # Errors
/// Those that no failure of a node may cause.
async fn write(client: &Client, pairs: &Pairs) -> Result<Outcome, Error> {
    let committed = async {
        let mut transaction = client.begin().await?;
        for (key, stanza) in pairs {
            transaction.put(key, stanza.clone())?;
        }
        transaction.commit().await
    };
    match committed.await {
        Ok(_) => Ok(Outcome::Acknowledged),
        Err(error) if error.is_undetermined() => Ok(Outcome::Undetermined),
        Err(error) if error.is_retryable() => Ok(Outcome::Refused),
        Err(error) => Err(error),
    }
}

async fn mend(client: &Client, transactions: &[Pairs], path: &str) -> Fallible<()> {
    let mut ledger = OpenOptions::new().append(true).open(path)?;
    let mut mended = 0;
    for (at, (pairs, outcome)) in transactions.iter().zip(read_ledger(path, transactions.len())?).enumerate() {
        if outcome == Outcome::Acknowledged {
            continue;
        }
        while write(client, pairs).await? != Outcome::Acknowledged {}
        writeln!(ledger, "{} {} {at}", unix_ms(), Outcome::Acknowledged.name())?;
        mended += 1;
    }
    client.drain().await;
    println!("{mended} transactions written again");
    Ok(())
}

/// How each transaction ended; of several lines the last counts.
fn read_ledger(path: &str, count: usize) -> Fallible<Vec<Outcome>> {
    let mut outcomes = vec![None; count];
    for line in fs::read_to_string(path)?.lines() {
        let bad = || format!("ledger: not a line of ours: {line}");
        let mut words = line.split(' ').skip(1);
        let (name, at) = (words.next().ok_or_else(bad)?, words.next().ok_or_else(bad)?);
        let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.name() == name).ok_or_else(bad)?;
        *outcomes.get_mut(at.parse::<usize>()?).ok_or_else(bad)? = Some(outcome);
    }
    outcomes.into_iter().map(|outcome| outcome.ok_or_else(|| "the ledger is not complete".into())).collect()
}

async fn verify(client: &Client, transactions: &[Pairs], outcomes: &[Outcome]) -> Fallible<()> {
    let mut stored = scan_everything(client).await?;
    let digest_stored = digest(&stored);
    let (mut expected, mut complaints) = (Pairs::new(), Vec::new());
    for (at, (pairs, outcome)) in transactions.iter().zip(outcomes).enumerate() {
        let there = pairs.iter().filter(|(key, value)| stored.get(*key) == Some(value)).count();
        let sound = match outcome {
            Outcome::Acknowledged => there == pairs.len(),
            Outcome::Refused => there == 0,
            Outcome::Undetermined => there == 0 || there == pairs.len(),
        };
        if !sound {
            let (name, all) = (outcome.name(), pairs.len());
            complaints.push(format!("transaction {at} is {name}, but {there} of its {all} keys are there"));
        }
        for (key, value) in pairs.iter().filter(|_| there > 0) {
            stored.remove(key);
            expected.insert(key.clone(), value.clone());
        }
    }
    for key in stored.keys() {
        complaints.push(format!("key {} belongs to no transaction that is there", key.escape_ascii()));
    }
    if digest_stored != digest(&expected) {
        complaints.push("the digest of the scan is not that of the loaded set".into());
    }
    println!("scanned {} keys, digest {digest_stored:016x}, expected {:016x}", expected.len(), digest(&expected));
    complaints.iter().take(20).for_each(|complaint| println!("WRONG: {complaint}"));
    if complaints.is_empty() { Ok(()) } else { Err(format!("{} complaints", complaints.len()).into()) }
}

/// All pairs, at one moment.
async fn scan_everything(client: &Client) -> Result<Pairs, Error> {
    let version = client.timestamp().await?;
    let (mut pairs, mut start) = (Pairs::new(), Vec::new());
    loop {
        let rows = client.scan_at(ScanRange::new(&start, b""), SCAN_ROWS, version).await?;
        let is_last = rows.len() < SCAN_ROWS;
        if let Some((last, _)) = rows.last() {
            start = [last, &b"\0"[..]].concat();
        }
        for (key, value) in rows {
            // A scan that gives a key twice, or out of order, is wrong whatever the values say.
            if pairs.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(Error::Protocol(format!("scan gave {} out of order", key.escape_ascii())));
            }
            pairs.insert(key, value);
        }
        if is_last {
            return Ok(pairs);
        }
    }
}

/// FNV-1a over every key and value with its length.
fn digest(pairs: &Pairs) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut feed = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for (key, value) in pairs {
        for part in [key, value] {
            feed(&(part.len() as u64).to_le_bytes());
            feed(part);
        }
    }
    hash
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}
