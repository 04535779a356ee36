//! raft-rs alone: three members of one group in this thread, messages handed over in memory, nothing encoded or kept
//! on disk. The bound of everything that goes through one group's log, but for what is around it.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::Message;
use raft::storage::MemStorage;
use raft::{Config, RawNode};
use slog::Logger;

use super::Clock;
use crate::args::LimitsArgs;
use crate::error::{BenchError, Result};

/// Proposals that are under way together.
const BATCHES: [u64; 3] = [1, 8, 32];
const MEMBERS: u64 = 3;
/// So many applied entries stay in the logs when the others are cut off.
const KEPT_ENTRIES: u64 = 4_096;

/// Measures proposals, from the call until all members have applied them.
pub fn run(args: &LimitsArgs, clock: &mut Clock<'_>) -> Result<()> {
    let failed = |error: raft::Error| BenchError::Setting(format!("raft in memory: {error}"));
    for batch_append in [true, false] {
        for proposals in BATCHES {
            let mut group = Group::new(batch_append).map_err(failed)?;
            let data = Bytes::from(vec![0x5a; args.value_bytes]);
            let how = if batch_append { "messages of many entries" } else { "a message for each entry" };
            let name = format!("raft-rs, 3 members, {proposals} proposals at once, {how}");
            clock.steps(name, || group.commit(proposals, &data)).map_err(failed)?;
        }
    }
    Ok(())
}

struct Group {
    members: Vec<Member>,
    messages: VecDeque<Message>,
}

struct Member {
    node: RawNode<MemStorage>,
    storage: MemStorage,
    applied: u64,
    cut: u64,
}

impl Group {
    /// A group whose first member leads.
    fn new(batch_append: bool) -> raft::Result<Self> {
        let voters: Vec<u64> = (1..=MEMBERS).collect();
        let mut members = Vec::new();
        for id in &voters {
            let storage = MemStorage::new_with_conf_state((voters.clone(), vec![]));
            let config = Config {
                id: *id,
                election_tick: 10,
                heartbeat_tick: 2,
                batch_append,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 256,
                ..Config::default()
            };
            let node = RawNode::new(&config, storage.clone(), &Logger::root(slog::Discard, slog::o!()))?;
            members.push(Member { node, storage, applied: 0, cut: 0 });
        }
        let mut group = Self { members, messages: VecDeque::new() };
        if let Some(first) = group.members.first_mut() {
            first.node.campaign()?;
        }
        group.settle()?;
        Ok(group)
    }

    /// Proposes, and drives all members until each has applied.
    fn commit(&mut self, proposals: u64, data: &Bytes) -> raft::Result<u64> {
        let before = self.members.iter().map(|member| member.applied).min().unwrap_or(0);
        if let Some(leader) = self.members.first_mut() {
            for _ in 0..proposals {
                leader.node.propose(Vec::new(), data.to_vec())?;
            }
        }
        self.settle()?;
        let after = self.members.iter().map(|member| member.applied).min().unwrap_or(0);
        Ok(after - before)
    }

    /// Until no member has anything to say.
    fn settle(&mut self) -> raft::Result<()> {
        loop {
            let mut quiet = true;
            for member in &mut self.members {
                quiet &= !member.act(&mut self.messages)?;
            }
            while let Some(message) = self.messages.pop_front() {
                quiet = false;
                let index = usize::try_from(message.to).unwrap_or(0).wrapping_sub(1);
                if let Some(member) = self.members.get_mut(index) {
                    member.node.step(message)?;
                }
            }
            if quiet {
                return Ok(());
            }
        }
    }
}

impl Member {
    /// Does what its node asks for; `false` if it asked for nothing.
    fn act(&mut self, messages: &mut VecDeque<Message>) -> raft::Result<bool> {
        if !self.node.has_ready() {
            return Ok(false);
        }
        let mut ready = self.node.ready();
        messages.extend(ready.take_messages());
        let mut committed = ready.take_committed_entries();
        {
            let mut store = self.storage.wl();
            store.append(ready.entries())?;
            if let Some(hard_state) = ready.hs() {
                store.set_hardstate(hard_state.clone());
            }
        }
        messages.extend(ready.take_persisted_messages());
        let mut light = self.node.advance(ready);
        if let Some(commit) = light.commit_index() {
            self.storage.wl().mut_hard_state().commit = commit;
        }
        messages.extend(light.take_messages());
        committed.extend(light.take_committed_entries());
        if let Some(last) = committed.last() {
            self.applied = last.index;
            if self.applied - self.cut > 2 * KEPT_ENTRIES {
                self.cut = self.applied - KEPT_ENTRIES;
                self.storage.wl().compact(self.cut)?;
            }
        }
        self.node.advance_apply();
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_is_applied_by_all_before_it_counts() {
        let mut group = Group::new(true).unwrap();
        let before = group.members[0].applied;
        assert_eq!(group.commit(8, &Bytes::from_static(b"value")).unwrap(), 8);
        assert!(group.members.iter().all(|member| member.applied == before + 8));
    }

    #[test]
    fn logs_do_not_grow_for_ever() {
        let mut group = Group::new(true).unwrap();
        for _ in 0..1_000 {
            group.commit(32, &Bytes::new()).unwrap();
        }
        let storage = &group.members[0].storage;
        let first = raft::Storage::first_index(storage).unwrap();
        assert!(group.members[0].applied - first <= 2 * KEPT_ENTRIES + 32, "{first}");
    }
}
