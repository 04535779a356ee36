//! Readers that keep a snapshot for seconds and read all of it again and again, while others write, regions change and
//! garbage is collected. A snapshot never changes: it is refused, or shows what it showed before.

use std::collections::BTreeMap;
use std::time::Duration;

use nokv_client::{Client, Error, ScanRange, Transaction};

use super::{LETTERS, Workloads};
use crate::checkers::snapshot::difference;
use crate::random::Random;

/// Most pairs that one scan asks for.
const PAIRS_MAX: usize = 10_000;

/// One reader at work; there is no history, since each judges itself.
pub(super) async fn operate(workloads: &Workloads, client: &Client, random: &mut Random) {
    if let Err(error) = read_again_and_again(workloads, client, random).await {
        workloads.ended("long read", &error);
    }
}

async fn read_again_and_again(workloads: &Workloads, client: &Client, random: &mut Random) -> Result<(), Error> {
    let world = &workloads.world;
    let snapshot = client.begin().await?;
    let first = read(&snapshot).await?;
    for _ in 0..random.between(1, 3) {
        tokio::time::sleep(random.millis(50, 6_000).max(Duration::from_millis(1))).await;
        let again = read(&snapshot).await?;
        world.note(format_args!("the snapshot at {} shows {} pairs again", snapshot.start_ts(), again.len()));
        let held = difference(&first, &again).map_or(Ok(()), |what| Err(format!("at {}: {what}", snapshot.start_ts())));
        world.expect("a snapshot never changes", held);
    }
    Ok(())
}

/// All that transactions wrote: everything but plain keys.
async fn read(snapshot: &Transaction) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
    let mut all = BTreeMap::new();
    for letter in LETTERS {
        let range = ScanRange::new(letter, format!("{letter}\u{7f}"));
        let pairs = snapshot.scan(range, PAIRS_MAX).await?;
        all.extend(pairs.iter().map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    Ok(all)
}
