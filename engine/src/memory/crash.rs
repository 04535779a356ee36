//! A simulated crash: the machine stops, and what was not synced is there or not, as the caller chooses.
//! What is kept is always a prefix of the order of writing, over all column families, raft log included.

use std::sync::Arc;

use super::engine::MemoryEngine;
use super::tables::Tables;

impl MemoryEngine {
    /// Stops this incarnation and opens the next from what the disk holds: everything synced, and the first `keep`
    /// of the [`unsynced_batches`](MemoryEngine::unsynced_batches) (a greater `keep` keeps all). `0` is a power
    /// failure at its worst; `usize::MAX` is a killed process, whose operating system lives on and writes all out.
    ///
    /// What was kept counts as synced in the new incarnation. A failure that an injected fault caused is over; the
    /// rest of the fault plan stays. Every older handle answers [`Error::Closed`](crate::Error::Closed) from now on;
    /// views taken before stay readable.
    pub fn crash(&self, keep: usize) -> MemoryEngine {
        let mut disk = self.disk.write();
        let kept = disk.unsynced.iter().take(keep);
        let durable: Tables = kept.fold(disk.durable.clone(), |tables, encoded| {
            tables.after(encoded).expect("the journal holds only batches that were decoded when they were written")
        });
        disk.visible = durable.clone();
        disk.durable = durable;
        disk.unsynced.clear();
        disk.failed = None;
        disk.incarnation += 1;
        MemoryEngine { disk: Arc::clone(&self.disk), incarnation: disk.incarnation }
    }
}
