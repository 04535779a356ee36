//! One replica of one region: raft's state machine and what waits on it. No input or output happens here: each call
//! takes what arrived and the time, and `collect` and `persisted` return what is to be written, sent and applied.
//!
//! Behaviours: `step` (messages in), `propose`, `read`, `tick`, `observe` (role or leader changed), `ready` (effects
//! out), `applied`, `split`, `transfer`, `image`, `members`, `progress`, `leave`, `safe_point`, `hibernate`; `merge`
//! with `prepare_merge`, `commit_merge`, `rollback_merge` and `seal`; `vouch` for changes of members.

mod applied;
mod commit_merge;
mod hibernate;
mod image;
mod leave;
mod members;
mod merge;
mod observe;
mod prepare_merge;
mod progress;
mod propose;
mod read;
mod ready;
mod rollback_merge;
mod safe_point;
mod seal;
mod split;
mod step;
mod tick;
mod transfer;
mod vouch;

use std::collections::VecDeque;
use std::sync::Arc;

use nokv_proto::metapb;
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::RegionId;
use raft::{Config as RaftConfig, RawNode, ReadOnlyOption};

use crate::apply::InFlight;
use crate::gate::{Gate, GateState, Role};
use crate::image::ArrivedImage;
use crate::lease::Lease;
use crate::log_storage::LogStorage;
use crate::message::{Proposal, Waiter};
use crate::peer_context::PeerContext;
use crate::records::{ApplyRecord, INITIAL_TERM};
use crate::{Config, MonotonicTime, RegionExt, SafePoint, StoreError};

pub use members::farewell;
pub use ready::is_first_contact;
pub use rollback_merge::TargetSeen;
pub use step::Addressed;

/// A replica.
///
/// Invariants: the gate is open only while this peer leads, has applied an entry of its own term and holds the lease;
/// `in_flight` is ordered by index and holds only entries of this leadership not yet handed to apply.
pub struct Peer {
    config: Arc<Config>,
    region: Arc<metapb::Region>,
    me: metapb::Peer,
    raw: RawNode<LogStorage>,
    gate: Arc<Gate>,
    lease: Lease,
    /// Not yet in the log.
    proposals: Vec<(Proposal, Waiter)>,
    /// Bytes of these.
    proposals_bytes: usize,
    in_flight: VecDeque<InFlight>,
    reads: read::Reads,
    applied_index: u64,
    applied_term: u64,
    /// Last entry handed to apply.
    handed_index: u64,
    /// Bytes of entries handed to apply and not yet reported as applied.
    apply_backlog_bytes: usize,
    /// Entries that every replica has applied, to be removed with the next round.
    cut: Option<(u64, u64)>,
    /// The gate stays closed until this entry is applied: it changes the region's range.
    closed_until: u64,
    /// Followers are told of every commit at once until this entry is applied; 0 = they are not.
    announced_until: u64,
    /// Until then nobody gets a vote: see [`Config::vote_silence`].
    silent_until: MonotonicTime,
    timeouts: fastrand::Rng,
    /// The (term, role) for which the election timeout was drawn.
    timeout_drawn_for: Option<(u64, raft::StateRole)>,
    /// The timeout drawn, in ticks.
    timeout_ticks: usize,
    /// Term and vote as last handed to the disk.
    written_term_and_vote: (u64, u64),
    /// A split was applied, and what is known to be committed is not written yet.
    gave_birth: bool,
    /// The commit index as last handed to the disk.
    written_commit: u64,
    /// Where in the log changes of members may be of which the disk does not know that they are committed.
    changes: vouch::Changes,
    /// Messages that say more than is on disk, until the next round.
    held: Vec<(nokv_transport::StoreId, RaftMessage)>,
    /// Peers that are no members as far as is applied here, and wrote to this one.
    guests: Vec<metapb::Peer>,
    /// The newest epoch that a message showed.
    seen_epoch: metapb::RegionEpoch,
    /// Ticks since somebody wrote to this peer.
    quiet_ticks: usize,
    shelf: image::Shelf,
    /// An image that waits until everything before it is applied.
    arrived: Option<ArrivedImage>,
    /// The image that raft restores with its next ready.
    restoring: Option<ArrivedImage>,
    /// The index of an image in the round under way.
    restored_to: Option<u64>,
    dying: Option<leave::Dying>,
    merging: merge::Merging,
    /// Ticks for which an image has waited for others to make room.
    image_waits_ticks: usize,
    sleep: hibernate::Sleep,
    /// The store's: an image may raise it.
    safe_point: SafePoint,
    logger: slog::Logger,
}

impl Peer {
    /// Brings a replica up from what the disk holds.
    ///
    /// # Errors
    /// If the records do not fit together.
    pub fn load(
        context: &PeerContext,
        region: metapb::Region,
        apply: &ApplyRecord,
        now: MonotonicTime,
    ) -> Result<Self, StoreError> {
        let id = region.region_id();
        let me = *region
            .peer_on(context.gates.store())
            .ok_or(StoreError::Unreadable { region: id, what: "its member list (this store is not in it)" })?;
        let peer = Self::build(context, region, me, apply, now)?;
        context.gates.insert(id, peer.gate.clone());
        Ok(peer)
    }

    /// A replica that knows nothing but its own name, and waits for its first image. Request threads do not see it.
    ///
    /// # Errors
    /// If a record of an earlier life cannot be read.
    pub fn create(
        context: &PeerContext,
        region: RegionId,
        me: metapb::Peer,
        now: MonotonicTime,
    ) -> Result<Self, StoreError> {
        let region = metapb::Region { id: region.0, ..metapb::Region::default() };
        Self::build(context, region, me, &ApplyRecord::default(), now)
    }

    fn build(
        context: &PeerContext,
        region: metapb::Region,
        me: metapb::Peer,
        apply: &ApplyRecord,
        now: MonotonicTime,
    ) -> Result<Self, StoreError> {
        let config = context.config.clone();
        let id = region.region_id();
        let storage = LogStorage::load(context.log.clone(), &region, apply)?;
        let fault = |error: raft::Error| StoreError::Raft { region: id, reason: error.to_string() };
        let logger = context.logger.new(slog::o!("region" => id.0, "peer" => me.id));
        let raw = RawNode::new(&raft_config(&config, me.id, apply.applied_index), storage, &logger).map_err(fault)?;
        let hard_state = raw.raft.hard_state();
        let region = Arc::new(region);
        let gate = Arc::new(Gate::new(
            context.slot,
            GateState { region: region.clone(), peer: me, role: Role::Follower, term: hard_state.term, leader: None },
        ));
        gate.set_progress(apply.applied_index, hard_state.commit, raw.raft.raft_log.last_index());
        let changes = vouch::Changes::of_start(hard_state.commit, raw.raft.raft_log.last_index());
        let never_voted = hard_state.term <= INITIAL_TERM || nokv_engine::is_planted("vote right after a restart");
        let silent_until = if never_voted { now } else { now + config.vote_silence() };
        Ok(Self {
            timeout_ticks: config.election_ticks_max,
            timeouts: fastrand::Rng::with_seed(config.seed ^ me.id.rotate_left(32) ^ hard_state.term),
            config,
            region,
            me,
            raw,
            gate,
            lease: Lease::default(),
            proposals: Vec::new(),
            proposals_bytes: 0,
            in_flight: VecDeque::new(),
            reads: read::Reads::default(),
            applied_index: apply.applied_index,
            applied_term: apply.applied_term,
            handed_index: apply.applied_index,
            apply_backlog_bytes: 0,
            cut: None,
            closed_until: 0,
            announced_until: 0,
            silent_until,
            timeout_drawn_for: None,
            written_term_and_vote: (hard_state.term, hard_state.vote),
            gave_birth: false,
            written_commit: hard_state.commit,
            changes,
            held: Vec::new(),
            guests: Vec::new(),
            seen_epoch: metapb::RegionEpoch::default(),
            quiet_ticks: 0,
            shelf: image::Shelf::default(),
            arrived: None,
            restoring: None,
            restored_to: None,
            dying: None,
            merging: merge::Merging::default(),
            image_waits_ticks: 0,
            sleep: hibernate::Sleep::default(),
            safe_point: context.gates.safe_point().clone(),
            logger,
        })
    }

    /// The region's id.
    pub fn region_id(&self) -> RegionId {
        self.region.region_id()
    }

    /// The region as applied.
    pub fn region(&self) -> &Arc<metapb::Region> {
        &self.region
    }

    /// This store's peer.
    pub fn me(&self) -> &metapb::Peer {
        &self.me
    }

    /// The gate that request threads look at.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Whether raft believes that it leads. A peer on its way out leads nobody.
    pub fn leads(&self) -> bool {
        self.raw.raft.state == raft::StateRole::Leader && self.dying.is_none()
    }

    /// The newest epoch that this peer has applied or, as long as it waits for its first image, heard of.
    fn newest_epoch(&self) -> metapb::RegionEpoch {
        if self.has_data() { self.region.epoch() } else { self.seen_epoch }
    }

    /// raft's term.
    pub fn term(&self) -> u64 {
        self.raw.raft.term
    }

    /// Whether everything committed before this leadership is applied here.
    fn caught_up_with_term(&self) -> bool {
        self.applied_term == self.term()
    }

    /// The leader as far as raft knows.
    fn leader(&self) -> Option<metapb::Peer> {
        self.region.peer(nokv_transport::PeerId(self.raw.raft.leader_id)).copied()
    }

    fn not_leader(&self) -> crate::RegionError {
        let leader = self.leader().filter(|leader| leader.id != self.me.id);
        crate::RegionError::NotLeader { region: self.region_id(), leader }
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("region", &self.region.id)
            .field("peer", &self.me.id)
            .field("term", &self.term())
            .field("applied", &self.applied_index)
            .finish_non_exhaustive()
    }
}

fn raft_config(config: &Config, id: u64, applied: u64) -> RaftConfig {
    RaftConfig {
        id,
        applied,
        election_tick: config.election_ticks_min,
        min_election_tick: config.election_ticks_min,
        max_election_tick: config.election_ticks_max,
        heartbeat_tick: config.heartbeat_ticks,
        pre_vote: true,
        check_quorum: true,
        batch_append: true,
        // Followers learn of a commit with the next append or heart-beat; see `Peer::announce_commits_until`.
        skip_bcast_commit: true,
        read_only_option: ReadOnlyOption::Safe,
        max_size_per_msg: config.message_bytes_max,
        max_inflight_msgs: config.inflight_messages_max,
        max_uncommitted_size: config.uncommitted_bytes_max,
        max_committed_size_per_ready: config.committed_bytes_max,
        priority: 0,
    }
}
