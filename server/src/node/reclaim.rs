//! What was deleted still takes space, and time to step over, until RocksDB rewrites its tables. A table with many
//! deletions is rewritten by itself; but they have to be in a table, and a write buffer may take days to fill. So once
//! many deletions wait in one, and no more come, it is written out. Each store looks at its own: followers delete, too.

use std::time::Duration;

use nokv_engine::{Cf, RocksEngine};
use slog::{Logger, warn};
use tokio::time::sleep;

/// How often write buffers are looked at.
const POLL: Duration = Duration::from_secs(5);
/// Fewer deletions are left to the next flush.
const DELETIONS_MIN: u64 = 10_000;

/// Looks at write buffers until the task is given up.
pub(super) async fn reclaim(engine: RocksEngine, log: Logger) {
    let mut last = [0; Cf::DATA.len()];
    loop {
        sleep(POLL).await;
        for (cf, last) in Cf::DATA.into_iter().zip(&mut last) {
            let deletions = engine.deletions_in_write_buffer(cf).unwrap_or_default();
            let is_over = deletions >= DELETIONS_MIN && deletions == *last;
            *last = deletions;
            if !is_over {
                continue;
            }
            let engine = engine.clone();
            let flushed = tokio::task::spawn_blocking(move || engine.flush_cf(cf)).await;
            if let Ok(Err(error)) = flushed {
                // Whoever writes next meets the same, and stops the node.
                warn!(log, "a write buffer could not be written out"; "cf" => cf.name(), "error" => %error);
            }
        }
    }
}
