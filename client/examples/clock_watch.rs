//! Draws timestamps from a cluster's placement with several clients at once, as fast as they come, and holds them to
//! the law: none repeats, and each is larger than all that anybody had got before it was asked for.
//!
//! ```text
//! clock_watch --addr HOST:PORT[,…] --seconds N [--clients N] [--batch N]
//! ```
//! Ends with status 0 only if the law held; prints how many there were, and the longest time without any.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nokv_client::{PlacementLink, PlacementOracle, TimestampOracle as _};
use tokio::time::Instant;

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What one client got.
#[derive(Default)]
struct Drawn {
    /// First and how many, in the order in which they came.
    ranges: Vec<(u64, u64)>,
    /// When each came, in milliseconds since the beginning.
    at_ms: Vec<u64>,
    failures: u64,
}

#[tokio::main]
async fn main() -> Fallible<()> {
    let mut flags = BTreeMap::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        flags.insert(flag, value);
    }
    let number = |name: &str, default: u64| flags.get(name).map_or(Ok(default), |text| text.parse::<u64>());
    let addresses = flags.get("--addr").ok_or("--addr is missing")?;
    let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
    let (seconds, clients, batch) = (number("--seconds", 10)?, number("--clients", 4)?, number("--batch", 100)?);
    let (began, highest) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let until = began + Duration::from_secs(seconds);
    let watches: Vec<_> =
        (0..clients).map(|_| tokio::spawn(watch(addresses.clone(), batch, began, until, highest.clone()))).collect();
    let mut all = Vec::new();
    for watch in watches {
        all.push(watch.await??);
    }
    report(&all)
}

async fn watch(
    addresses: Vec<String>,
    batch: u64,
    began: Instant,
    until: Instant,
    highest: Arc<AtomicU64>,
) -> Fallible<Drawn> {
    let oracle = PlacementOracle::new(PlacementLink::new(addresses));
    let mut drawn = Drawn::default();
    while Instant::now() < until {
        let before = highest.load(Ordering::SeqCst);
        match oracle.timestamps(u32::try_from(batch)?).await {
            Ok(first) if first.0 <= before => {
                return Err(format!("time went back: {} after {before}", first.0).into());
            }
            Ok(first) => {
                highest.fetch_max(first.0 + batch - 1, Ordering::SeqCst);
                drawn.ranges.push((first.0, batch));
                drawn.at_ms.push(u64::try_from(began.elapsed().as_millis())?);
            }
            Err(_) => drawn.failures += 1,
        }
    }
    Ok(drawn)
}

fn report(all: &[Drawn]) -> Fallible<()> {
    let mut ranges: Vec<(u64, u64)> = all.iter().flat_map(|drawn| drawn.ranges.iter().copied()).collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        if let [(first, count), (next, _)] = pair
            && first + count > *next
        {
            return Err(format!("a timestamp was given twice: {next}").into());
        }
    }
    let mut at_ms: Vec<u64> = all.iter().flat_map(|drawn| drawn.at_ms.iter().copied()).collect();
    at_ms.sort_unstable();
    let mut gaps: Vec<u64> = at_ms.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)).collect();
    gaps.sort_unstable_by(|one, other| other.cmp(one));
    gaps.truncate(8);
    let count: u64 = ranges.iter().map(|(_, count)| count).sum();
    let failures: u64 = all.iter().map(|drawn| drawn.failures).sum();
    println!("{count} timestamps in {} requests of {} clients: none repeats, none goes back", ranges.len(), all.len());
    println!("longest times without a timestamp, in ms: {gaps:?}; requests that failed for good: {failures}");
    Ok(())
}
