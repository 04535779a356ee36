//! [`MemoryEngine`]: a handle on an in-memory disk, as one incarnation of the node sees it.
//! A crash begins a new incarnation; handles of the old one are dead, as the process that held them is.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::faults::FaultPlan;
use super::import::MemoryImporter;
use super::tables::Tables;
use super::view::MemoryView;
use crate::{Cf, Cursor as _, Engine, Error, Importer, KeyRange, RangeEstimate, ReadView as _, Result, WriteBatch};

/// An [`Engine`] in memory. Clones share the disk and the incarnation.
#[derive(Clone, Debug)]
pub struct MemoryEngine {
    pub(super) disk: Arc<RwLock<Disk>>,
    /// Which incarnation this handle belongs to; dead unless the disk's.
    pub(super) incarnation: u64,
}

/// Everything that clones share.
///
/// Invariant: `visible` is `durable` with every batch of `unsynced` applied in order, unless a sync failed: then
/// the last batch of `unsynced` is not in `visible`, and `failed` is set.
#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) incarnation: u64,
    /// What reads see.
    pub(super) visible: Tables,
    /// What a crash cannot take.
    pub(super) durable: Tables,
    /// Encoded batches written since `durable`, oldest first.
    pub(super) unsynced: Vec<Bytes>,
    /// Finished imports: on disk, apart from the order of writing. Each is one batch of puts.
    pub(super) imports: BTreeMap<String, WriteBatch>,
    pub(super) faults: FaultPlan,
    /// The first failure; every later write gets it too, until a crash.
    pub(super) failed: Option<Error>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryEngine {
    /// An empty engine on a sound disk without a limit.
    pub fn new() -> Self {
        Self { disk: Arc::default(), incarnation: 0 }
    }

    /// Sets what shall go wrong from now on, replacing an earlier plan.
    pub fn set_faults(&self, plan: FaultPlan) {
        self.disk.write().faults = plan;
    }

    /// How many batches a crash now could lose: the upper end of a useful `keep` of [`MemoryEngine::crash`].
    pub fn unsynced_batches(&self) -> usize {
        self.disk.read().unsynced.len()
    }

    /// What a crash now would leave at its worst: all that was synced and nothing else.
    pub fn durable_view(&self) -> MemoryView {
        MemoryView::new(Some(self.disk.read().durable.clone()))
    }

    /// Sum of the lengths of all live keys and values, in bytes; what [`FaultPlan::bytes_max`] is compared with.
    pub fn live_bytes(&self) -> u64 {
        self.disk.read().visible.live_bytes()
    }
}

impl Engine for MemoryEngine {
    type View = MemoryView;

    fn view(&self) -> MemoryView {
        let disk = self.disk.read();
        MemoryView::new((disk.incarnation == self.incarnation).then(|| disk.visible.clone()))
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let disk = self.disk.read();
        disk.check_alive(self.incarnation)?;
        Ok(disk.visible.table(cf).get(key).cloned())
    }

    fn write(&self, batch: &WriteBatch, sync: bool) -> Result<()> {
        let mut disk = self.disk.write();
        disk.check_alive(self.incarnation)?;
        disk.write(batch, sync)
    }

    fn importer(&self, name: &str) -> Result<Box<dyn Importer>> {
        self.discard_import(name)?;
        Ok(Box::new(MemoryImporter::new(self.clone(), name)))
    }

    fn ingest(&self, name: &str, clear: &[KeyRange<'_>]) -> Result<()> {
        let mut disk = self.disk.write();
        disk.check_alive(self.incarnation)?;
        disk.ingest(name, clear)
    }

    fn discard_import(&self, name: &str) -> Result<()> {
        let mut disk = self.disk.write();
        disk.check_alive(self.incarnation)?;
        disk.imports.remove(name);
        Ok(())
    }

    fn imports(&self) -> Result<Vec<String>> {
        let disk = self.disk.read();
        disk.check_alive(self.incarnation)?;
        Ok(disk.imports.keys().cloned().collect())
    }

    fn clear_range(&self, range: KeyRange<'_>) -> Result<()> {
        let mut disk = self.disk.write();
        disk.check_alive(self.incarnation)?;
        disk.clear(range)
    }

    fn estimate(&self, range: KeyRange<'_>) -> Result<RangeEstimate> {
        let view = self.view();
        let mut estimate = RangeEstimate::default();
        for cf in Cf::DATA {
            let mut cursor = view.cursor(cf, range)?;
            cursor.seek_to_first()?;
            while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
                estimate.bytes += (key.len() + value.len()) as u64;
                estimate.records += 1;
                cursor.next()?;
            }
        }
        Ok(estimate)
    }
}

impl Disk {
    /// Fails for a handle of an incarnation that has crashed.
    pub(super) fn check_alive(&self, incarnation: u64) -> Result<()> {
        if self.incarnation == incarnation { Ok(()) } else { Err(Error::Closed) }
    }
}
