//! A replica that is no member any more: it takes part in nothing, waits until what was committed is applied, and goes.
//! Its tombstone keeps late messages from raising it again.

use nokv_engine::{Cf, is_planted, raft_keys};
use nokv_proto::metapb::Region;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::PeerId;

use super::Peer;
use crate::RegionExt;
use crate::apply::{ApplyTask, leaving};
use crate::gate::{GateState, Role};
use crate::merge::Successor;
use crate::records::{Liveness, RegionRecord};
use crate::round::Round;

/// A replica's end.
#[derive(Debug)]
pub(super) struct Dying {
    /// The region as of its removal, as far as is known.
    region: Region,
    end: End,
}

/// When it goes, and what of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// At once: the entry that removed it is applied, and what is behind that does not count.
    Removed,
    /// Once everything that was handed to apply is applied.
    RemovedWhenDrained,
    /// Not yet: its target is about to take its place.
    Sealed,
    /// At once; its data is another region's.
    Merged(Successor),
}

impl Peer {
    /// From now on it takes part in nothing. `at_once` if an applied entry removed it.
    pub fn die(&mut self, region: Region, at_once: bool) {
        slog::info!(self.logger, "this replica was removed"; "conf_ver" => region.epoch().conf_ver);
        let end = if at_once { End::Removed } else { End::RemovedWhenDrained };
        self.dying = Some(Dying { region, end });
        self.step_aside();
    }

    /// Whether nothing is left to apply of what is known to be committed. Until then nobody's word ends this peer: it
    /// may yet give birth to a region that has its log on this store already.
    pub fn has_applied_all(&self) -> bool {
        self.applied_index >= self.raw.raft.raft_log.committed || is_planted("go before all is applied")
    }

    /// A message says that this peer is no member any more: true if it knows more than this peer does, and the peer may
    /// go. If not, it is told again: it asks as long as nobody writes to it.
    pub fn believes_farewell(&self, message: &RaftMessage) -> bool {
        let known = self.newest_epoch().conf_ver;
        message.to_peer.is_some_and(|to| to.id == self.me.id)
            && self.has_applied_all()
            && message.region_epoch.is_some_and(|epoch| epoch.conf_ver > known)
    }

    /// The region as a message shows it that was told to a later peer on this store, or to this one as its last. Its
    /// members then are not known.
    pub fn region_as_of(&self, message: &RaftMessage) -> Region {
        let (region_epoch, peers) = (message.region_epoch, Vec::new());
        Region { region_epoch, peers, ..Region::clone(&self.region) }
    }

    /// Whether it is dying, and nothing is left to apply.
    pub fn may_leave(&self) -> bool {
        self.dying.as_ref().is_some_and(|dying| match dying.end {
            End::Removed | End::Merged(_) => true,
            End::RemovedWhenDrained => self.handed_index == self.applied_index,
            End::Sealed => false,
        })
    }

    /// From now on it takes part in nothing, and stays until its target has its place.
    pub(super) fn set_sealed(&mut self) {
        if self.dying.is_none() {
            self.dying = Some(Dying { region: self.region.as_ref().clone(), end: End::Sealed });
            self.step_aside();
        }
    }

    /// Its target does not need its place: it takes part again.
    pub fn unseal(&mut self) {
        if self.dying.take_if(|dying| dying.end == End::Sealed).is_some() {
            self.merging.claim = None;
        }
    }

    pub(super) fn end_merged(&mut self, successor: Successor) {
        self.dying = Some(Dying { region: self.region.as_ref().clone(), end: End::Merged(successor) });
        self.step_aside();
    }

    /// Adds to the round what is left to do for a dying peer: its log goes with the round's synced write, its data
    /// after it. Returns its record. It must not be used any more.
    pub fn leave(mut self, round: &mut Round) -> RegionRecord {
        self.step_aside();
        let (region, end) = match self.dying.take() {
            Some(dying) => (dying.region, dying.end),
            None => (Region::clone(&self.region), End::Removed),
        };
        let record = if let End::Merged(successor) = end {
            RegionRecord { liveness: Liveness::Merged(successor), region }
        } else if self.has_data() {
            // The range is this replica's own, whatever the others did to theirs since.
            let (start_key, end_key) = (self.region.start_key.clone(), self.region.end_key.clone());
            leaving(&Region { start_key, end_key, ..region }, Some(self.me))
        } else {
            RegionRecord { liveness: Liveness::Tombstone, ..leaving(&region, Some(self.me)) }
        };
        self.raw.store().remove(&mut round.log);
        record.put(&mut round.log.data);
        round.log.data.delete(Cf::Raft, &raft_keys::image_epoch_key(self.region.id));
        round.sync = true;
        if let Some(import) = self.take_unused_import() {
            round.apply.push(ApplyTask::Discard(import));
        }
        round.apply.push(ApplyTask::Remove(record.clone()));
        record
    }

    /// This store's peer id.
    pub fn id(&self) -> PeerId {
        PeerId(self.me.id)
    }

    fn step_aside(&mut self) {
        let (region, peer, term) = (self.region.clone(), self.me, self.term());
        self.gate.set_state(GateState { region, peer, role: Role::Follower, term, leader: None });
        self.abandon_leadership();
    }
}
