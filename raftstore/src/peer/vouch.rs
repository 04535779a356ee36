//! A peer acts on a change of members when its own disk says that it is committed. Who is removed by it goes at once,
//! and may have been half of the quorum that committed it: those who stay must not need its vote to learn that.

use nokv_engine::is_planted;
use raft::eraftpb::{Entry, EntryType, Message, MessageType};

use super::Peer;
use crate::round::Round;

/// The part of a log in which changes of members may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Changes {
    first: u64,
    last: u64,
}

impl Changes {
    /// Of a peer that starts: what its log holds beyond what is known to be committed was not looked at.
    pub(super) fn of_start(commit: u64, last_index: u64) -> Self {
        Self { first: commit + 1, last: last_index }
    }

    /// Whether entries that come to the log change members. Those up to `vouched` need no vouching any more.
    pub(super) fn note(&mut self, entries: &[Entry], vouched: u64) -> bool {
        let mut changes = entries.iter().filter(|entry| entry.get_entry_type() != EntryType::EntryNormal);
        let Some(first) = changes.next() else { return false };
        if vouched >= self.last {
            self.first = first.index;
        }
        self.last = changes.next_back().unwrap_or(first).index;
        true
    }

    /// Whether one of them may be committed, and not known to be by a disk that knows of `vouched`.
    fn owe(self, committed: u64, vouched: u64) -> bool {
        committed >= self.first && committed.min(self.last) > vouched
    }
}

impl Peer {
    /// Whether this peer knows that a change of members is committed, and its disk does not.
    pub(super) fn owes_commit(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        self.changes.owe(log.committed.min(log.persisted), self.written_commit)
            && !is_planted("tell of a change of members before it is surely known")
    }

    /// Writes that commit index with this round's sync, and lets what was held back leave behind it. Returns whether
    /// this round's other messages have to wait for that, too.
    pub(super) fn pay_commit(&mut self, round: &mut Round) -> bool {
        let owes = self.owes_commit();
        if owes {
            self.write_commit(round);
            round.sync = true;
        }
        round.last_messages.append(&mut self.held);
        owes
    }

    /// Keeps messages for the next round, which syncs what they tell. An image tells nothing that is not applied.
    pub(super) fn hold(&mut self, messages: Vec<Message>, round: &mut Round) {
        for message in messages {
            if message.get_msg_type() == MessageType::MsgSnapshot {
                self.order_image(&message, round);
                continue;
            }
            let sealed = self.seal(&message);
            self.held.extend(sealed);
        }
    }
}
