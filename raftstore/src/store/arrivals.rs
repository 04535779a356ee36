//! Messages from other stores, looked at by their envelope: for a peer that is here, for one that was removed, or for
//! one that this store does not have yet and may be given.

use nokv_proto::metapb::{Peer as Member, RegionEpoch};
use nokv_proto::raft_serverpb::{ExtraMessageType, RaftMessage};
use nokv_transport::{PeerId, RegionId, StoreId};
use protobuf::Message as _;
use raft::eraftpb::Message;

use super::{EARLY_MESSAGES_MAX, Store, is_word};
use crate::peer::{Addressed, Peer, farewell, is_first_contact};
use crate::{MonotonicTime, StoreError};

impl Store {
    pub(super) fn raft_message(&mut self, message: RaftMessage, now: MonotonicTime) -> Result<(), StoreError> {
        if is_word(&message) {
            self.store_spoke(&message);
            return Ok(());
        }
        let kind = message.extra_msg.as_ref().map(|word| word.r#type());
        if let Some(kind @ (ExtraMessageType::MsgHibernateRequest | ExtraMessageType::MsgHibernateResponse)) = kind {
            self.whisper(&message, kind == ExtraMessageType::MsgHibernateRequest);
            return Ok(());
        }
        let region = RegionId(message.region_id);
        if self.extra(&message) {
            return Ok(());
        }
        let Some(peer) = self.look_at(region) else {
            return self.message_to_nobody(region, message, now);
        };
        if message.is_tombstone {
            if peer.believes_farewell(&message) {
                peer.die(peer.region_as_of(&message), false);
            }
            return Ok(());
        }
        match peer.addressed(&message) {
            Addressed::Me => peer.step(&message, now)?,
            Addressed::MySuccessor => peer.die(peer.region_as_of(&message), false),
            Addressed::FromTheDead => {
                let farewell = message.from_peer.map(|from| peer.farewell(from));
                self.outbox.extend(farewell);
            }
            Addressed::Nobody => {}
        }
        Ok(())
    }

    /// A message for a region that is not here: its peer was removed, or may be created, or will be born by a split.
    fn message_to_nobody(
        &mut self,
        region: RegionId,
        message: RaftMessage,
        now: MonotonicTime,
    ) -> Result<(), StoreError> {
        let Some(to) = message.to_peer.filter(|to| to.store_id == self.context.gates.store().0) else { return Ok(()) };
        if message.is_tombstone {
            return Ok(());
        }
        if let Some(buried) = self.context.gates.buried(region)
            && to.id <= buried.peer.0
        {
            let shown = message.region_epoch.unwrap_or_default();
            if let Some(from) = message.from_peer
                && let Some(fate) = self.context.gates.fate(region, StoreId(from.store_id))
            {
                let (store, mut answer) = farewell(region.0, to, from, shown);
                fate.put(&mut answer);
                self.outbox.push((store, answer));
                return Ok(());
            }
            // It may not know how its group went on, and be as dead as the peer that it wrote to. If it is only behind,
            // it must not be told so.
            if let Some(from) = message.from_peer.filter(|from| buried.outlives(PeerId(from.id), shown.conf_ver)) {
                let epoch = RegionEpoch { conf_ver: buried.conf_ver, ..shown };
                self.outbox.push(farewell(region.0, to, from, epoch));
            }
            return Ok(());
        }
        if message.message.is_empty() {
            // It only asks whether the peer is here.
            return Ok(());
        }
        let contact = Message::parse_from_carllerche_bytes(&message.message).is_ok_and(|raft| is_first_contact(&raft));
        if !contact || !self.context.gates.admit(region, &message.start_key, &message.end_key) {
            if contact {
                self.claim_for_contact(region, &message);
            }
            self.keep_early(region, message);
            return Ok(());
        }
        if self.context.log.bounds(region.0)?.is_some() {
            // A log without data: what gave birth to the peer was lost with a crash, and will be applied again. A peer
            // without data that took this log for its own would count on entries that are not there.
            self.keep_early(region, message);
            return Ok(());
        }
        let peer = self.create(region, to, now)?;
        if peer.addressed(&message) == Addressed::Me { peer.step(&message, now) } else { Ok(()) }
    }

    /// A peer without data comes into being. Its range is admitted.
    pub(super) fn create(&mut self, region: RegionId, me: Member, now: MonotonicTime) -> Result<&mut Peer, StoreError> {
        let peer = Peer::create(&self.context, region, me, now)?;
        self.early.remove(&region);
        self.dirty.insert(region);
        Ok(self.peers.entry(region).or_insert(peer))
    }

    /// Peers without data that nobody writes to any more make room.
    pub(super) fn drop_forgotten(&mut self) {
        let gates = &self.context.gates;
        self.peers.retain(|region, peer| {
            let forgotten = peer.is_forgotten();
            if forgotten {
                gates.end_coming(*region);
            }
            !forgotten
        });
    }

    /// Whether a peer of this id was removed from here.
    pub(super) fn is_buried(&self, region: RegionId, peer: PeerId) -> bool {
        self.context.gates.buried(region).is_some_and(|buried| peer <= buried.peer)
    }

    fn keep_early(&mut self, region: RegionId, message: RaftMessage) {
        self.early.insert(region, message);
        if self.early.len() > EARLY_MESSAGES_MAX {
            self.early.pop_first();
        }
    }
}
