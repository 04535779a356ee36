//! Ids for regions, peers and stores, each given once. They are taken from the record in batches, so that most of them
//! cost no log entry; what a leader had not given away when it ended is skipped.

use nokv_engine::WriteBatch;

use super::records::Records;
use super::{Refusal, Reply, State};

/// The most ids that one command takes.
pub const IDS_MAX: u32 = 1 << 20;
/// How many ids the record runs ahead.
const AHEAD: u64 = 1_000;

/// See the file's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    next: u64,
    /// Ids below this are written down as taken.
    bound: u64,
}

impl Default for Ids {
    fn default() -> Self {
        Self::from_bound(1)
    }
}

impl Ids {
    pub(super) fn from_bound(bound: u64) -> Self {
        Self { next: bound, bound }
    }

    pub(super) fn bound(&self) -> u64 {
        self.bound
    }

    /// Takes `count` ids; the caller writes the bound down if it was raised.
    fn take(&mut self, count: u64) -> Option<(u64, bool)> {
        let first = self.next;
        let next = first.checked_add(count)?;
        let raised = next > self.bound;
        if raised {
            self.bound = next.checked_add(AHEAD)?;
        }
        self.next = next;
        Some((first, raised))
    }
}

impl State {
    pub(super) fn allocate_ids(&mut self, count: u32, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        if count == 0 || count > IDS_MAX {
            return Err(Refusal::Wrong("ids are taken one to 1048576 at a time"));
        }
        let first = self.take_ids(u64::from(count), batch)?;
        Ok(Reply::Ids { first, count })
    }

    /// The lowest id that nobody has yet.
    pub fn next_id(&self) -> u64 {
        self.ids.next
    }

    pub(super) fn take_ids(&mut self, count: u64, batch: &mut WriteBatch) -> Result<u64, Refusal> {
        let (first, raised) = self.ids.take(count).ok_or(Refusal::Wrong("there are no ids left"))?;
        if raised {
            Records(batch).id_bound(self.ids.bound);
        }
        Ok(first)
    }

    /// An id that came from elsewhere (a topology file, flags) is never given to anybody else.
    pub(super) fn reserve_id(&mut self, id: u64, batch: &mut WriteBatch) -> Result<(), Refusal> {
        if id >= self.ids.next {
            let beyond = id.checked_add(1).ok_or(Refusal::Wrong("there are no ids left above this one"))?;
            self.take_ids(beyond - self.ids.next, batch)?;
        }
        Ok(())
    }
}
