//! A bank: workers move money between accounts all over the keyspace while a teller adds everything up, again and
//! again. Whatever happens to the cluster meanwhile, the sum never changes.
//!
//! ```sh
//! scripts/run_local_cluster.sh        # in another terminal; kill nodes as you like
//! cargo run -p nokv-client --example transfer -- --config raft_config.example.json --tso http://127.0.0.1:20159
//! ```

use std::time::Duration;

use clap::Parser;
use nokv_client::{Client, Error, Options, Result, ScanRange, Topology};
use tokio::time::Instant;

#[derive(Parser)]
struct Arguments {
    /// The topology file.
    #[arg(long)]
    config: String,
    /// Where timestamps come from.
    #[arg(long)]
    tso: String,
    /// Workers that transfer at the same time.
    #[arg(long, default_value_t = 8)]
    workers: u64,
    /// Accounts, spread over the letters of the alphabet.
    #[arg(long, default_value_t = 100)]
    accounts: u64,
    /// How long to go on.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

const BALANCE: i64 = 1_000;

/// How the transfers of one worker ended.
#[derive(Default)]
struct Tally {
    committed: u64,
    retried: u64,
    undetermined: u64,
}

fn account(number: u64) -> String {
    let letter = char::from(b'a' + u8::try_from(number % 26).unwrap_or(0));
    format!("{letter}/bank/{number:06}")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let topology = Topology::from_config_json(&std::fs::read_to_string(&arguments.config)?)?;
    let client = Client::connect(topology, &arguments.tso, Options::default())?;
    open_accounts(&client, arguments.accounts).await?;

    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let workers = (0..arguments.workers).map(|worker| {
        let (client, accounts) = (client.clone(), arguments.accounts);
        tokio::spawn(async move { work(client, worker, accounts, end).await })
    });
    let workers: Vec<_> = workers.collect();
    let mut audits = 0;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
        audit(&client, arguments.accounts).await?;
        audits += 1;
    }
    let mut total = Tally::default();
    for worker in workers {
        let tally = worker.await??;
        total.committed += tally.committed;
        total.retried += tally.retried;
        total.undetermined += tally.undetermined;
    }
    client.drain().await;
    audit(&client, arguments.accounts).await?;
    let Tally { committed, retried, undetermined } = total;
    println!("{committed} transfers committed, {retried} begun again, {undetermined} undetermined");
    println!("the sum was right in all {} audits", audits + 1);
    Ok(())
}

async fn open_accounts(client: &Client, accounts: u64) -> Result<()> {
    let mut transaction = client.begin().await?;
    for number in 0..accounts {
        transaction.put(account(number), BALANCE.to_string())?;
    }
    transaction.commit().await.map(drop)
}

async fn work(client: Client, worker: u64, accounts: u64, end: Instant) -> Result<Tally> {
    let mut tally = Tally::default();
    let mut step = worker;
    while Instant::now() < end {
        // A walk that visits all pairs; no need for randomness.
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (from, to) = ((step >> 33) % accounts, (step >> 13) % accounts);
        if from == to {
            continue;
        }
        match transfer(&client, &account(from), &account(to), 1 + i64::try_from(step % 10).unwrap_or(0)).await {
            Ok(()) => tally.committed += 1,
            // It moved the money or it did not; in no case is it moved again.
            Err(error) if error.is_undetermined() => tally.undetermined += 1,
            Err(error) if error.is_retryable() => tally.retried += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(tally)
}

async fn transfer(client: &Client, from: &str, to: &str, amount: i64) -> Result<()> {
    let mut transaction = client.begin().await?;
    let balances = transaction.batch_get([from, to]).await?;
    let balance = |key: &str| balances.get(key.as_bytes()).map_or(Ok(0), |balance| parse(balance));
    transaction.put(from, (balance(from)? - amount).to_string())?;
    transaction.put(to, (balance(to)? + amount).to_string())?;
    transaction.commit().await.map(drop)
}

/// Adds up all accounts as of one moment.
async fn audit(client: &Client, accounts: u64) -> Result<()> {
    let rows = match client.batch_get((0..accounts).map(account)).await {
        Err(error) if error.is_retryable() => return Ok(()),
        rows => rows?,
    };
    let mut sum = 0;
    for balance in rows.values() {
        sum += parse(balance)?;
    }
    let expected = BALANCE * i64::try_from(accounts).unwrap_or(i64::MAX);
    assert_eq!(sum, expected, "money was made or lost");
    // A scan sees the same accounts.
    let rows = client.scan(ScanRange::new("a/bank/", "a/bank0"), 1_000).await;
    assert!(rows.is_err() || rows.is_ok_and(|rows| rows.len() as u64 == accounts.div_ceil(26)));
    Ok(())
}

fn parse(balance: &[u8]) -> Result<i64> {
    let text = String::from_utf8_lossy(balance);
    text.parse().map_err(|_| Error::Protocol(format!("balance {text} is no number")))
}
