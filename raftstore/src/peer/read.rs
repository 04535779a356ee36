//! A read that the lease does not cover: the leader asks the quorum whether it still leads (ReadIndex, Ongaro's thesis
//! §6.4), and the read goes on once everything committed by then is applied here. The same question renews the lease.
//!
//! Every question carries a context of its own, never sent again: raft-rs may take a late answer to a repeated context
//! as a confirmation of a later read.

use std::collections::VecDeque;

use nokv_engine::is_planted;
use raft::ReadState;

use super::Peer;
use crate::message::ReadRequest;
use crate::{MonotonicTime, RegionError};

/// The reads of one region that wait.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Not asked yet.
    new: Vec<ReadRequest>,
    /// Somebody wants the lease renewed, reads or not.
    renew: bool,
    /// Asked, by context.
    asked: VecDeque<Asked>,
    /// Confirmed at an index that is not applied yet.
    confirmed: VecDeque<Confirmed>,
    counter: u64,
}

impl Reads {
    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.new.is_empty() && !self.renew && self.asked.is_empty() && self.confirmed.is_empty()
    }
}

#[derive(Debug)]
struct Asked {
    counter: u64,
    at: MonotonicTime,
    requests: Vec<ReadRequest>,
}

#[derive(Debug)]
struct Confirmed {
    index: u64,
    term: u64,
    requests: Vec<ReadRequest>,
}

impl Peer {
    /// Takes a read in, or tells it at once where the leader is.
    pub fn read(&mut self, request: ReadRequest) {
        let refused = if self.leads() { self.check_not_merging().err() } else { Some(self.not_leader()) };
        match refused {
            None => self.reads.new.push(request),
            Some(error) => {
                let _ = request.done.send(Err(error));
            }
        }
    }

    /// Asks for the lease to be renewed with the next round.
    pub fn renew_lease(&mut self) {
        self.reads.renew = self.leads();
    }

    /// Questions to the quorum so far.
    pub(super) fn questions(&self) -> u64 {
        self.reads.counter
    }

    /// Asks the quorum on behalf of all reads that wait. Before this leadership's first entry is applied, they wait on.
    pub(super) fn ask_quorum(&mut self, now: MonotonicTime) {
        let wanted = !self.reads.new.is_empty() || self.reads.renew;
        if !wanted || !self.leads() || !self.caught_up_with_term() {
            return;
        }
        self.reads.renew = false;
        self.reads.counter += u64::from(!is_planted("reuse a read context"));
        let counter = self.reads.counter;
        let requests = std::mem::take(&mut self.reads.new);
        self.reads.asked.push_back(Asked { counter, at: now, requests });
        self.raw.read_index(context(self.me.id, self.term(), counter));
    }

    /// raft confirmed questions: the lease runs from when each was asked, and its reads wait for their index only.
    pub(super) fn confirm_reads(&mut self, states: Vec<ReadState>) {
        for state in states {
            let confirmed = |asked: &Asked| context(self.me.id, self.term(), asked.counter) == state.request_ctx;
            let Some(position) = self.reads.asked.iter().position(confirmed) else { continue };
            let Some(asked) = self.reads.asked.remove(position) else { continue };
            self.lease.renew(asked.at, self.config.lease());
            let confirmed = Confirmed { index: state.index, term: self.term(), requests: asked.requests };
            self.reads.confirmed.push_back(confirmed);
        }
        self.release_reads();
    }

    /// Lets those reads go whose index is applied.
    pub(super) fn release_reads(&mut self) {
        while self.reads.confirmed.front().is_some_and(|front| front.index <= self.applied_index) {
            let Some(ready) = self.reads.confirmed.pop_front() else { return };
            for request in ready.requests {
                let _ = request.done.send(Ok(ready.term));
            }
        }
    }

    /// Asks again what got no answer for an election timeout, and gives up on what waited past its deadline.
    pub(super) fn tick_reads(&mut self, now: MonotonicTime) {
        let patience = self.config.lease();
        while self.reads.asked.front().is_some_and(|front| now.since(front.at) > patience) {
            let Some(lost) = self.reads.asked.pop_front() else { break };
            self.reads.new.extend(lost.requests);
        }
        let mut waiting = std::mem::take(&mut self.reads.new);
        for late in waiting.extract_if(.., |request| request.deadline <= now) {
            let reason = format!("region {} got no answer from a quorum", self.region.id);
            let _ = late.done.send(Err(RegionError::ServerIsBusy { reason, backoff_ms: 100 }));
        }
        self.reads.new = waiting;
    }

    /// This peer leads no longer: whoever is not confirmed must ask the new leader.
    pub(super) fn refuse_reads(&mut self) {
        let asked = std::mem::take(&mut self.reads.asked).into_iter().flat_map(|asked| asked.requests);
        let waiting: Vec<_> = std::mem::take(&mut self.reads.new).into_iter().chain(asked).collect();
        for request in waiting {
            let _ = request.done.send(Err(self.not_leader()));
        }
        self.reads.renew = false;
    }
}

/// Unique by peer, term and number of the question.
fn context(peer: u64, term: u64, counter: u64) -> Vec<u8> {
    [peer, term, counter].iter().flat_map(|part| part.to_le_bytes()).collect()
}
