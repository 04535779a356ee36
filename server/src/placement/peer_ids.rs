//! Ids that are durably taken, for new peers. A store tells its later peer of a region from an earlier one by the
//! larger id: so what was taken before others were given away (for splits, or to regions from elsewhere) is of no use
//! any more.

use std::ops::Range;

use nokv_raftstore::PeerId;

/// See the file's head.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerIdPool {
    ids: Range<u64>,
}

impl PeerIdPool {
    /// What is left; nothing if somebody else was given an id since. `next_id` is the lowest that nobody has.
    pub(super) fn left(&self, next_id: u64) -> u64 {
        if self.ids.end == next_id { self.ids.end - self.ids.start } else { 0 }
    }

    /// The next, if there is one.
    pub(super) fn take(&mut self, next_id: u64) -> Option<PeerId> {
        if self.left(next_id) == 0 {
            return None;
        }
        self.ids.next().map(PeerId)
    }

    /// These were taken, and are durable.
    pub(super) fn fill(&mut self, first: u64, count: u32) {
        self.ids = first..first + u64::from(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_were_taken_before_others_were_given_away_are_never_used() {
        let mut pool = PeerIdPool::default();
        assert_eq!(pool.take(1), None);
        pool.fill(100, 3);
        assert_eq!((pool.take(103), pool.take(103)), (Some(PeerId(100)), Some(PeerId(101))));
        // A split was given 103 to 106: a store that has peer 104 would take peer 102 for an earlier one.
        assert_eq!((pool.left(107), pool.take(107)), (0, None));
        pool.fill(107, 2);
        assert_eq!((pool.left(109), pool.take(109)), (2, Some(PeerId(107))));
    }
}
