//! One key with very many versions: `scripts/gc_scenario.sh` has them collected, and looks what that does to readers.
//!
//! ```text
//! gc_load update --config F --key K --count N --bytes B    N updates; prints number and timestamp of the first, the
//!                                                          one in the middle and the last
//! gc_load read   --config F --key K --count N              how long N reads of the newest version take
//! gc_load hold   --config F --key K --at T --number M --while FILE
//!                                                          reads as of T as long as FILE is there: always version M
//! ```
//! A version's value is its number, a colon, and bytes that do not compress.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use nokv_client::{Client, Options, Timestamp, Topology};

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Fallible<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().ok_or("which command? update, read or hold")?;
    let mut flags = BTreeMap::new();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        flags.insert(flag, value);
    }
    let flag = |name: &str| flags.get(name).map(String::as_str).ok_or_else(|| format!("{name} is missing"));

    let client = connect(&std::fs::read_to_string(flag("--config")?)?)?;
    let key = flag("--key")?;
    match command.as_str() {
        "update" => update(&client, key, flag("--count")?.parse()?, flag("--bytes")?.parse()?).await,
        "read" => read(&client, key, flag("--count")?.parse()?).await,
        "hold" => {
            let at = Timestamp(flag("--at")?.parse()?);
            hold(&client, key, at, flag("--number")?.parse()?, Path::new(flag("--while")?)).await
        }
        other => Err(format!("unknown command {other}: update, read or hold").into()),
    }
}

fn connect(config: &str) -> Fallible<Client> {
    let json: serde_json::Value = serde_json::from_str(config)?;
    let tso = json.pointer("/tso/advertise_url").and_then(|url| url.as_str()).ok_or("the config has no tso")?;
    Ok(Client::connect(Topology::from_config_json(config)?, tso, Options::default())?)
}

/// As many bytes as asked for, different for each number.
fn value_of(number: u64, bytes: usize) -> Bytes {
    let mut value = format!("{number}:").into_bytes();
    // Marsaglia's xorshift: only to be incompressible.
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while value.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.extend_from_slice(&state.to_le_bytes());
    }
    value.truncate(bytes.max(1));
    value.into()
}

fn number_of(value: Option<&Bytes>) -> Fallible<u64> {
    let value = value.ok_or("the key is gone")?;
    let digits = value.split(|byte| *byte == b':').next().unwrap_or_default();
    Ok(std::str::from_utf8(digits)?.parse()?)
}

async fn update(client: &Client, key: &str, count: u64, bytes: usize) -> Fallible<()> {
    for number in 1..=count {
        let committed = client.put(key, value_of(number, bytes)).await?;
        if number == 1 || number == count / 2 || number == count {
            println!("{number} {}", committed.0);
        }
    }
    client.drain().await;
    Ok(())
}

async fn read(client: &Client, key: &str, count: usize) -> Fallible<()> {
    let mut took = Vec::with_capacity(count);
    let mut number = 0;
    for _ in 0..count.max(1) {
        let began = Instant::now();
        let found = client.get(key).await?;
        took.push(began.elapsed());
        number = number_of(found.as_ref())?;
    }
    took.sort_unstable();
    let at = |permille: usize| took.get(took.len() * permille / 1_000).or(took.last()).map_or(0.0, ms);
    println!("version {number}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", at(500), at(990), at(1_000));
    Ok(())
}

fn ms(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

async fn hold(client: &Client, key: &str, at: Timestamp, number: u64, flag: &Path) -> Fallible<()> {
    let mut reads = 0_u64;
    while flag.exists() {
        let found = client.get_at(key, at).await?;
        let seen = number_of(found.as_ref())?;
        if seen != number {
            return Err(format!("as of {at} it was version {number}, and now it is {seen}").into());
        }
        reads += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("the long reader saw version {number} in each of its {reads} reads");
    Ok(())
}
