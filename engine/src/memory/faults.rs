//! What shall go wrong with an in-memory disk, and when: counted in writes, not in time, so that a run repeats.
//! A plan belongs to the disk and outlives crashes; the failure it causes lasts until the next crash.

/// Faults to come. The default is a sound disk without a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// The how-many-th write from now fails: 1 is the next. Nothing of it reaches the disk.
    pub fail_write: Option<u64>,
    /// The how-many-th synced write from now fails in its sync: 1 is the next. No view shows it, but it was handed
    /// to the disk, as were the unsynced writes before it: a crash may keep or lose any prefix of them.
    pub fail_sync: Option<u64>,
    /// Disk full: a write fails that would bring the live keys and values beyond this many bytes. Deletions need
    /// room too, as they do on a log-structured disk.
    pub bytes_max: Option<u64>,
}

/// How one write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should.
    Sound,
    /// It fails before anything is on disk.
    WriteFails(&'static str),
    /// It is handed to the disk, then the sync fails.
    SyncFails(&'static str),
}

impl FaultPlan {
    /// Counts one write of `batch_bytes` on top of `live_bytes`, and says how it goes.
    pub(super) fn on_write(&mut self, live_bytes: u64, batch_bytes: u64, sync: bool) -> Verdict {
        let write_fails = count_down(&mut self.fail_write);
        let sync_fails = sync && count_down(&mut self.fail_sync);
        let is_full = self.bytes_max.is_some_and(|max| batch_bytes > 0 && live_bytes + batch_bytes > max);
        if write_fails {
            Verdict::WriteFails("injected: write failed")
        } else if is_full {
            Verdict::WriteFails("injected: no space left on device")
        } else if sync_fails {
            Verdict::SyncFails("injected: sync failed")
        } else {
            Verdict::Sound
        }
    }
}

/// Takes one off `left`; true when that was the last, after which it counts no more.
fn count_down(left: &mut Option<u64>) -> bool {
    match left {
        Some(0 | 1) => {
            *left = None;
            true
        }
        Some(count) => {
            *count -= 1;
            false
        }
        None => false,
    }
}
