//! Whether the other stores live, for regions that sleep: each raft loop says a word to each other store from time to
//! time, whatever its regions do. If a store falls silent, or comes back as another process, the regions that it led
//! are woken, and look for a leader as if they had been awake all the time. If it was only late, those that have not
//! begun to go on sleeping.

use std::collections::{BTreeMap, BTreeSet};

use nokv_proto::metapb::Peer as Member;
use nokv_proto::raft_serverpb::{ExtraMessage, RaftMessage};
use nokv_transport::{RegionId, StoreId};

use super::Store;
use crate::RegionExt;
use crate::peer::{Addressed, Peer};

/// No region has this id: a message for it is one store's word to another. (Not 0, by which the network knows what is
/// malformed.)
const NO_REGION: u64 = u64::MAX;
/// How often it is looked which stores share a region with this one, in ticks.
const SURVEY_TICKS: usize = 10;
/// Raft loops that have said nothing for so many ticks are forgotten: their store may have fewer now.
const FORGOTTEN_AFTER_TICKS: usize = 1_000;

/// What is known of the other stores.
#[derive(Debug)]
pub(super) struct Liveness {
    /// Which process this is: no two of a store begin at the same time.
    life: u64,
    /// By store and raft loop.
    heard: BTreeMap<(StoreId, u64), Heard>,
    /// Those that share a region with this one.
    others: BTreeSet<StoreId>,
    ticks: usize,
}

impl Liveness {
    pub(super) fn new(life: u64) -> Self {
        Self { life, heard: BTreeMap::new(), others: BTreeSet::new(), ticks: 0 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// Which process.
    life: u64,
    silent_ticks: usize,
}

impl Store {
    /// A tick: says a word to the others if it is time, and wakes the regions of those who have fallen silent.
    pub(super) fn tick_liveness(&mut self) {
        let config = &self.context.config;
        if config.hibernate_after_ticks == 0 {
            return;
        }
        let (beat_ticks, silent_ticks_max) = (config.heartbeat_ticks, config.silent_ticks_max());
        if self.liveness.ticks.is_multiple_of(SURVEY_TICKS) {
            self.survey();
        }
        if self.liveness.ticks.is_multiple_of(beat_ticks) {
            let words: Vec<_> = self.liveness.others.iter().map(|to| (*to, self.word_to(*to))).collect();
            self.outbox.extend(words);
        }
        self.liveness.ticks += 1;
        let mut silent = BTreeSet::new();
        for ((store, _), heard) in &mut self.liveness.heard {
            heard.silent_ticks += 1;
            if heard.silent_ticks == silent_ticks_max {
                silent.insert(*store);
            }
        }
        self.liveness.heard.retain(|_, heard| heard.silent_ticks < FORGOTTEN_AFTER_TICKS);
        for store in silent {
            self.wake_followers_of(store, silent_ticks_max);
        }
    }

    /// Another store's word.
    pub(super) fn store_spoke(&mut self, message: &RaftMessage) {
        let Some(from) = message.from_peer else { return };
        let life = message.extra_msg.as_ref().map_or(0, |word| word.index);
        let heard = Heard { life, silent_ticks: 0 };
        let store = StoreId(from.store_id);
        let before = self.liveness.heard.insert((store, from.id), heard);
        let is_new = before.is_none_or(|before| before.life != life);
        if is_new {
            // Its members may lack what they had; a learner would wait for ever, since it never campaigns.
            self.wake_leaders_with(store);
        }
        let Some(before) = before else { return };
        if is_new {
            // Its leaders know nothing of that any more.
            self.wake_followers_of(store, 0);
        } else if before.silent_ticks >= self.context.config.silent_ticks_max() && self.is_heard(store) {
            self.peers.values_mut().filter(|peer| peer.leader_store() == Some(store)).for_each(Peer::doze_on);
        }
    }

    /// A word about sleep, from one peer to another. It wakes nobody.
    pub(super) fn whisper(&mut self, message: &RaftMessage, asks: bool) {
        let is_heard = message.from_peer.is_some_and(|from| self.is_heard(StoreId(from.store_id)));
        let Some(peer) = self.peers.get_mut(&RegionId(message.region_id)) else { return };
        if peer.addressed(message) != Addressed::Me {
            return;
        }
        if asks {
            self.outbox.extend(peer.asked_to_sleep(message, is_heard));
        } else {
            peer.agreed_to_sleep(message);
        }
    }

    /// Whether every raft loop of `store` has spoken lately.
    fn is_heard(&self, store: StoreId) -> bool {
        let silent_ticks_max = self.context.config.silent_ticks_max();
        let mut loops = self.liveness.heard.range((store, 0)..=(store, u64::MAX)).map(|(_, heard)| heard).peekable();
        loops.peek().is_some() && loops.all(|heard| heard.silent_ticks < silent_ticks_max)
    }

    fn wake_followers_of(&mut self, store: StoreId, silent_ticks: usize) {
        let follows = |peer: &Peer| peer.is_asleep() && peer.leader_store() == Some(store);
        for (region, peer) in self.peers.iter_mut().filter(|(_, peer)| follows(peer)) {
            peer.miss_leader(silent_ticks);
            self.dirty.insert(*region);
        }
    }

    /// Wakes the regions that are led here and have a member on `store`.
    fn wake_leaders_with(&mut self, store: StoreId) {
        let has = |peer: &Peer| peer.is_asleep() && peer.leads() && peer.region().peer_on(store).is_some();
        for (region, peer) in self.peers.iter_mut().filter(|(_, peer)| has(peer)) {
            peer.stir();
            self.dirty.insert(*region);
        }
    }

    fn survey(&mut self) {
        let me = self.context.gates.store();
        let members = self.peers.values().flat_map(|peer| &peer.region().peers);
        self.liveness.others = members.map(|member| StoreId(member.store_id)).filter(|store| *store != me).collect();
    }

    fn word_to(&self, to: StoreId) -> RaftMessage {
        let slot = self.context.slot as u64;
        RaftMessage {
            region_id: NO_REGION,
            from_peer: Some(Member { id: slot, store_id: self.context.gates.store().0, ..Member::default() }),
            to_peer: Some(Member { store_id: to.0, ..Member::default() }),
            extra_msg: Some(ExtraMessage { index: self.liveness.life, ..ExtraMessage::default() }.into()),
            ..RaftMessage::default()
        }
    }
}

/// Whether a message is one store's word to another.
pub(crate) fn is_word(message: &RaftMessage) -> bool {
    message.region_id == NO_REGION
}
