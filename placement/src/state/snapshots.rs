//! Named snapshots of the whole keyspace: a timestamp that stays readable as long as its name stands.
//! Nothing is copied; the safe point does not pass it.

use nokv_engine::WriteBatch;

use super::records::{Records, SnapshotRecord};
use super::safe_points::check_name;
use super::{Refusal, Reply, State};

/// The most snapshots at a time.
const SNAPSHOTS_MAX: usize = 1_000;

impl State {
    pub(super) fn create_snapshot(
        &mut self,
        name: String,
        timestamp: u64,
        now_ms: u64,
        batch: &mut WriteBatch,
    ) -> Result<Reply, Refusal> {
        check_name(&name)?;
        if self.snapshots.contains_key(&name) {
            return Err(Refusal::SnapshotExists(name));
        }
        if timestamp < self.safe_point {
            return Err(Refusal::BelowSafePoint { asked: timestamp, safe_point: self.safe_point });
        }
        if self.snapshots.len() >= SNAPSHOTS_MAX {
            return Err(Refusal::Full { what: "snapshots", count: SNAPSHOTS_MAX });
        }
        let record = SnapshotRecord { timestamp, created_ms: now_ms };
        Records(batch).snapshot(&name, Some(&record));
        self.snapshots.insert(name, record);
        Ok(Reply::Done)
    }

    pub(super) fn drop_snapshot(&mut self, name: String, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        if self.snapshots.remove(&name).is_none() {
            return Err(Refusal::SnapshotNotFound(name));
        }
        Records(batch).snapshot(&name, None);
        Ok(Reply::Done)
    }
}
