//! The safe point rises: an entry tells all replicas, so that none of them answers from below it, whichever leads next.
//! It needs no epoch: it holds for every range.

use super::Peer;
use crate::apply::InFlight;
use crate::entry::raise_safe_point;
use crate::message::Waiter;

impl Peer {
    /// Takes it in, or tells its waiter at once why not. It is done when it is applied here.
    pub fn propose_safe_point(&mut self, number: u64, waiter: Waiter) {
        self.observe();
        let may = if self.leads() { self.check_not_merging() } else { Err(self.not_leader()) };
        let proposed =
            may.and_then(|()| self.raw.propose(Vec::new(), raise_safe_point(number)).map_err(|_| self.why_dropped()));
        match proposed {
            Ok(()) => {
                let index = self.raw.raft.raft_log.last_index();
                self.in_flight.push_back(InFlight { index, term: self.term(), waiters: vec![waiter] });
            }
            Err(error) => waiter.tell(Err(error)),
        }
    }
}
