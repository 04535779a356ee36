//! A leader says that a change of members is committed only when its own disk says so. Who is removed by it goes at
//! once, and may have been half of the quorum that committed it: those who stay must not need its vote to learn that.

use nokv_engine::is_planted;
use raft::eraftpb::{EntryType, Message, MessageType};
use raft::{GetEntriesContext, StateRole};

use super::Peer;
use crate::round::Round;
use crate::{RegionExt, StoreError};

impl Peer {
    /// This peer proposed a change of members at the end of its log.
    pub(super) fn vouch_for_last(&mut self) {
        self.change_index = self.raw.raft.raft_log.last_index();
    }

    /// A peer that came to lead may have a change of members in its log that it is about to commit.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(super) fn vouch_for_inherited(&mut self) -> Result<(), StoreError> {
        if self.raw.raft.state != StateRole::Leader || self.vouching_in == self.term() {
            return Ok(());
        }
        self.vouching_in = self.term();
        let log = &self.raw.raft.raft_log;
        let fault =
            |error: raft::Error| StoreError::Raft { region: self.region.region_id(), reason: error.to_string() };
        // An image that is being taken in stands for entries that the log does not have any more.
        let (first, end) = ((self.applied_index + 1).max(log.first_index()), log.last_index() + 1);
        if first >= end {
            self.change_index = 0;
            return Ok(());
        }
        let entries = log.slice(first, end, None, GetEntriesContext::empty(false));
        let changes = entries.map_err(fault)?;
        let last = changes.iter().rev().find(|entry| entry.get_entry_type() != EntryType::EntryNormal);
        self.change_index = last.map_or(0, |entry| entry.index);
        Ok(())
    }

    /// Whether this peer knows that a change of members is committed, its disk does not, and it is about to say so.
    pub(super) fn owes_commit(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        self.change_index > self.written_commit
            && self.change_index <= log.committed.min(log.persisted)
            && (self.raw.raft.state == StateRole::Leader || !self.held.is_empty())
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
