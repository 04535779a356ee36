//! The leader's promise to itself: until when surely no other peer can have been elected.
//! Followers that heard from the leader refuse votes for an election timeout; the lease is shorter than that.

use std::collections::VecDeque;
use std::time::Duration;

use crate::MonotonicTime;

/// A leader's lease in one term.
///
/// Invariants: it never ends later than `lease` after a moment before which a quorum's promise was asked for; once
/// given up in a term it is not taken again in that term, since a delayed order to campaign at once may still arrive.
#[derive(Debug, Default)]
pub struct Lease {
    until: MonotonicTime,
    given_up: bool,
    /// (last index appended, when): once that index commits, a quorum heard from us after that moment.
    appended: VecDeque<(u64, MonotonicTime)>,
}

impl Lease {
    /// Begins anew, without a lease: for every new term.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Notes that entries up to `index` are about to be sent.
    pub fn appended(&mut self, index: u64, now: MonotonicTime) {
        self.appended.push_back((index, now));
    }

    /// A quorum holds everything up to `committed`: the lease runs from the last append that this covers.
    pub fn committed(&mut self, committed: u64, length: Duration) {
        while let Some(&(index, when)) = self.appended.front() {
            if index > committed {
                break;
            }
            self.appended.pop_front();
            self.renew(when, length);
        }
    }

    /// A quorum answered a heart-beat that was sent after `when`.
    pub fn renew(&mut self, when: MonotonicTime, length: Duration) {
        if !self.given_up {
            self.until = self.until.max(when + length);
        }
    }

    /// Ends it for the rest of the term, before another peer is asked to take over.
    pub fn give_up(&mut self) {
        self.given_up = true;
        self.until = MonotonicTime::default();
    }

    /// When it ends; 0 if there is none.
    pub fn until(&self) -> MonotonicTime {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_nanos(100);

    #[test]
    fn it_runs_from_before_the_append_that_committed() {
        let mut lease = Lease::default();
        lease.appended(5, MonotonicTime(10));
        lease.appended(9, MonotonicTime(20));
        lease.committed(8, LENGTH);
        assert_eq!(lease.until(), MonotonicTime(110));
        lease.committed(9, LENGTH);
        assert_eq!(lease.until(), MonotonicTime(120));
        lease.renew(MonotonicTime(5), LENGTH);
        assert_eq!(lease.until(), MonotonicTime(120), "an older promise never shortens it");
    }

    #[test]
    fn once_given_up_it_stays_so_in_the_term() {
        let mut lease = Lease::default();
        lease.renew(MonotonicTime(5), LENGTH);
        lease.give_up();
        lease.renew(MonotonicTime(6), LENGTH);
        assert_eq!(lease.until(), MonotonicTime(0));
        lease.reset();
        lease.renew(MonotonicTime(7), LENGTH);
        assert_eq!(lease.until(), MonotonicTime(107));
    }
}
