//! A store's place in the world: its clock, its disk, and the node that runs on them while it is up. The data and the
//! raft log are on one drive or, as production nodes have it, each on its own: then a crash takes from each what it
//! will of what was not synced.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nokv_engine::{ApartRaftLog, FaultPlan, MemoryEngine, RaftLog, SharedRaftLog};
use nokv_transport::StoreId;
use parking_lot::Mutex;

use super::{Disk, DiskSpeed, DurablePart, Loss, Node, SimClock};
use crate::random::Random;

/// A store's place: its disk and clock outlive its nodes.
#[derive(Debug)]
pub struct Slot {
    /// The store.
    pub store: StoreId,
    /// Its clock.
    pub clock: Arc<SimClock>,
    /// Its disk's speed.
    pub disk: Disk,
    /// What is on its disk.
    drives: Mutex<Drives>,
    standing: Mutex<Standing>,
    /// The node, while it is up.
    pub(super) node: Mutex<Option<Arc<Node>>>,
    pub(super) lives: AtomicU64,
}

/// Whether a place has a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not yet.
    Spare,
    /// It has, up or down.
    Used,
    /// It had: the machine is gone for good, and its disk with it.
    Lost,
}

#[derive(Clone, Debug)]
struct Drives {
    data: MemoryEngine,
    /// `None`: the raft log is on the drive of the data.
    log: Option<MemoryEngine>,
}

impl Slot {
    /// A place with an empty disk.
    pub(super) fn new(store: StoreId, clock: Arc<SimClock>, apart: bool, standing: Standing) -> Self {
        let drives = Drives { data: MemoryEngine::new(), log: apart.then(MemoryEngine::new) };
        Slot {
            store,
            clock,
            disk: Disk::new(DiskSpeed::INSTANT),
            drives: Mutex::new(drives),
            standing: Mutex::new(standing),
            node: Mutex::default(),
            lives: AtomicU64::new(0),
        }
    }

    /// Whether there is a store here.
    pub fn standing(&self) -> Standing {
        *self.standing.lock()
    }

    pub(super) fn set_standing(&self, standing: Standing) {
        *self.standing.lock() = standing;
    }

    /// The node, if it is up.
    pub fn node(&self) -> Option<Arc<Node>> {
        self.node.lock().clone()
    }

    /// The drive of the data as it is now.
    pub fn engine(&self) -> MemoryEngine {
        self.drives.lock().data.clone()
    }

    /// The raft log as it is now.
    pub fn raft_log(&self) -> Arc<dyn RaftLog> {
        let drives = self.drives.lock().clone();
        match drives.log {
            None => Arc::new(SharedRaftLog::new(drives.data)),
            Some(log) => Arc::new(ApartRaftLog::new(log, drives.data)),
        }
    }

    /// What a power failure now would leave of the data at its worst.
    pub fn durable_data(&self) -> DurablePart {
        DurablePart(self.engine())
    }

    /// What a power failure now would leave of the raft log at its worst.
    pub fn durable_log(&self) -> SharedRaftLog<DurablePart> {
        let drives = self.drives.lock().clone();
        SharedRaftLog::new(DurablePart(drives.log.unwrap_or(drives.data)))
    }

    /// Has one of the drives fail as `plan` says, or all of them work.
    pub fn set_faults(&self, plan: FaultPlan, random: Option<&mut Random>) {
        let drives = self.drives.lock();
        let Some(random) = random else {
            drives.data.set_faults(plan);
            drives.log.iter().for_each(|log| log.set_faults(plan));
            return;
        };
        match &drives.log {
            Some(log) if random.chance(500) => log.set_faults(plan),
            _ => drives.data.set_faults(plan),
        }
    }

    /// The machine stops: takes `loss` of what was not synced. Says what was kept.
    pub(super) fn crash(&self, loss: Loss, random: &mut Random) -> String {
        let mut drives = self.drives.lock();
        let kept = crash_drive(&mut drives.data, loss);
        let Some(log) = &mut drives.log else { return format!("keeps {kept} writes") };
        // The one drive knows nothing of the other.
        let log_loss = if loss == Loss::Nothing { loss } else { Loss::AllBut(random.below(1_001)) };
        format!("keeps {kept} writes, and {} of its log", crash_drive(log, log_loss))
    }
}

fn crash_drive(drive: &mut MemoryEngine, loss: Loss) -> String {
    let unsynced = drive.unsynced_batches();
    let keep = match loss {
        Loss::Nothing => usize::MAX,
        Loss::Everything => 0,
        Loss::AllBut(permille) => usize::try_from(unsynced as u64 * permille.min(1_000) / 1_000).unwrap_or(usize::MAX),
    };
    *drive = drive.crash(keep);
    format!("{} of {unsynced}", keep.min(unsynced))
}
