//! What the rest of the node holds of replication: read views in, proposals in, status out.
//! Cheap to clone; every call is safe from any thread.

use std::future::Future;
use std::sync::Arc;

use futures_channel::oneshot;
use nokv_engine::{Engine, KeyRange};
use nokv_proto::metapb::{Region, RegionEpoch};
use nokv_transport::{RegionId, StoreId};

use crate::gate::{Gate, GateState, Gates, RegionStatus, RequestContext, Role};
use crate::mailboxes::Mailboxes;
use crate::merge::MergeRequest;
use crate::message::{
    Mailbox, MembersRequest, PeerProgress, Proposal, ReadRequest, SplitRequest, StoreMessage, Waiter,
};
use crate::metrics::RaftMetrics;
use crate::{Clock, Config, RegionError, RegionExt, RegionLoad, RegionSize};

/// How often a view is tried anew when the region changes while it is being taken.
const VIEW_ATTEMPTS_MAX: usize = 8;

/// The node's handle on its regions.
#[derive(Debug)]
pub struct Raftstore<E: Engine> {
    shared: Arc<Shared<E>>,
}

#[derive(Debug)]
struct Shared<E> {
    config: Arc<Config>,
    engine: E,
    gates: Arc<Gates>,
    mailboxes: Arc<Mailboxes>,
    clock: Arc<dyn Clock>,
    metrics: Arc<RaftMetrics>,
}

impl<E: Engine> Clone for Raftstore<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

/// A read view of one region, and under what it was taken.
#[derive(Debug)]
pub struct RegionView<V> {
    /// The region as of the view.
    pub region: Arc<Region>,
    /// The leader's term: what is decided from this view may only be proposed in it.
    pub term: u64,
    /// The data.
    pub view: V,
    pub(crate) gate: Arc<Gate>,
}

/// A region that this peer leads, for what needs no view.
#[derive(Clone, Debug)]
pub struct Led {
    /// The region now.
    pub region: Arc<Region>,
    /// Its leader's term.
    pub term: u64,
    gate: Arc<Gate>,
}

impl Led {
    /// Where requests to write are counted.
    pub fn load(&self) -> &RegionLoad {
        self.gate.load()
    }
}

impl<V> RegionView<V> {
    /// Where whoever has read from the view counts what.
    pub fn load(&self) -> &RegionLoad {
        self.gate.load()
    }

    /// The region's range of encoded keys.
    pub fn range(&self) -> KeyRange<'_> {
        self.region.range()
    }

    /// The region's epoch.
    pub fn epoch(&self) -> RegionEpoch {
        self.region.epoch()
    }

    /// Refuses a key outside of the region.
    ///
    /// # Errors
    /// [`RegionError::KeyNotInRegion`].
    pub fn check_key(&self, encoded_key: &[u8]) -> Result<(), RegionError> {
        self.region.check_key(encoded_key)
    }
}

impl<E: Engine> Raftstore<E> {
    pub(crate) fn new(
        config: Arc<Config>,
        engine: E,
        gates: Arc<Gates>,
        mailboxes: Arc<Mailboxes>,
        clock: Arc<dyn Clock>,
        metrics: Arc<RaftMetrics>,
    ) -> Self {
        Self { shared: Arc::new(Shared { config, engine, gates, mailboxes, clock, metrics }) }
    }

    /// This store.
    pub fn store_id(&self) -> StoreId {
        self.shared.gates.store()
    }

    /// A view that holds every write acknowledged before this call: at once under the lease, else after the quorum
    /// confirmed that this peer leads. It gives up by itself.
    ///
    /// # Errors
    /// Whatever `context` claims wrongly, in the wire's order; [`RegionError::ServerIsBusy`] if no quorum answers.
    pub async fn view(&self, context: &RequestContext) -> Result<RegionView<E::View>, RegionError> {
        for _ in 0..VIEW_ATTEMPTS_MAX {
            let (gate, state) = self.shared.gates.enter(context)?;
            if let Some(view) = self.leased_view(&gate, &state) {
                return Ok(RegionView { region: state.region.clone(), term: state.term, view, gate });
            }
            if self.shared.clock.now() < gate.lease_until() {
                continue;
            }
            let term = self.ask_quorum(context.region_id).await?;
            let view = self.shared.engine.view();
            if term == state.term && gate.is_still(&state) {
                self.shared.metrics.quorum_reads.inc();
                return Ok(RegionView { region: state.region.clone(), term, view, gate });
            }
        }
        let reason = format!("region {} changes faster than it can be read", context.region_id);
        Err(RegionError::ServerIsBusy { reason, backoff_ms: 20 })
    }

    /// The region and its leader's term, if this peer leads and all that `context` claims holds; the lease is not
    /// looked at. For refusing early, and for writes that read nothing: proposing with this term and epoch checks both
    /// again.
    ///
    /// # Errors
    /// Whatever `context` claims wrongly, in the wire's order.
    pub fn enter(&self, context: &RequestContext) -> Result<Led, RegionError> {
        let (gate, state) = self.shared.gates.enter(context)?;
        Ok(Led { region: state.region.clone(), term: state.term, gate })
    }

    /// A view under the lease; `None` if there is no lease, or if the region changed meanwhile.
    fn leased_view(&self, gate: &Gate, state: &Arc<GateState>) -> Option<E::View> {
        let until = gate.lease_until();
        let now = self.shared.clock.now();
        if now >= until {
            return None;
        }
        let view = self.shared.engine.view();
        if !gate.is_still(state) {
            return None;
        }
        if until.since(now) < self.shared.config.lease() / 3 && gate.ask_renewal() {
            let region = state.region.region_id();
            // If it is refused, the read after the lease's end asks the quorum.
            let _ = self.mailbox(region).offer(StoreMessage::RenewLease(region));
        }
        self.shared.metrics.lease_reads.inc();
        Some(view)
    }

    async fn ask_quorum(&self, region_id: RegionId) -> Result<u64, RegionError> {
        let (done, told) = oneshot::channel();
        let deadline = self.shared.clock.now() + self.shared.config.read_wait_max();
        let request = ReadRequest { region_id, deadline, done };
        self.mailbox(region_id).offer(StoreMessage::Read(request))?;
        told.await.unwrap_or_else(|_| Err(RegionError::stopping()))
    }

    /// Replicates a proposal's batch. Resolves when it is applied on this store, or its fate is out of this store's
    /// hands. Dropping the future changes nothing: the proposal goes on and holds its latches until then.
    ///
    /// # Errors
    /// [`RegionError::StaleCommand`] = it may or may not take effect; every other = it did not.
    pub fn propose(
        &self,
        mut proposal: Proposal,
    ) -> impl Future<Output = Result<(), RegionError>> + Send + use<E> + 'static {
        let held = std::mem::replace(&mut proposal.held, Box::new(()));
        let (waiter, told) = Waiter::new(held);
        let region = proposal.region_id;
        let taken = self.shared.mailboxes.offer_proposal(region, StoreMessage::Propose(proposal, waiter));
        async move {
            taken?;
            told.await.unwrap_or(Err(RegionError::StaleCommand))
        }
    }

    /// Begins to give the leadership of `region` to `to`, or to the follower that is furthest.
    ///
    /// # Errors
    /// If this peer does not lead, or nobody can take over.
    pub async fn transfer_leader(&self, region: RegionId, to: Option<StoreId>) -> Result<(), RegionError> {
        let (done, told) = oneshot::channel();
        self.mailbox(region).offer(StoreMessage::TransferLeader { region, to, done })?;
        told.await.unwrap_or_else(|_| Err(RegionError::stopping()))
    }

    /// Splits a region. Resolves when this store has split it; the new regions' first leaders are on this store.
    ///
    /// # Errors
    /// [`RegionError::KeyNotInRegion`] for a key that is not strictly inside or not above the one before;
    /// [`RegionError::StaleCommand`] = it may or may not happen; every other = it did not.
    pub async fn split(&self, request: SplitRequest) -> Result<(), RegionError> {
        let (waiter, told) = Waiter::new(Box::new(()));
        self.mailbox(request.region_id).offer(StoreMessage::Split(request, waiter))?;
        told.await.unwrap_or(Err(RegionError::StaleCommand))
    }

    /// Changes a region's members. Resolves when this store has applied it; a joint change is left by itself
    /// afterwards.
    ///
    /// # Errors
    /// [`RegionError::MembersRefused`] with a reason; [`RegionError::StaleCommand`] = it may or may not happen; every
    /// other = it did not.
    pub async fn change_members(&self, request: MembersRequest) -> Result<(), RegionError> {
        let (waiter, told) = Waiter::new(Box::new(()));
        self.mailbox(request.region_id).offer(StoreMessage::ChangeMembers(request, waiter))?;
        told.await.unwrap_or(Err(RegionError::StaleCommand))
    }

    /// How far the peers of a region are that this store leads.
    ///
    /// # Errors
    /// [`RegionError::NotLeader`], [`RegionError::RegionNotFound`], or the loop is too busy.
    pub async fn progress(&self, region: RegionId) -> Result<Vec<PeerProgress>, RegionError> {
        let (done, told) = oneshot::channel();
        self.mailbox(region).offer(StoreMessage::Progress { region, done })?;
        told.await.unwrap_or_else(|_| Err(RegionError::stopping()))
    }

    /// One region of this store.
    pub fn region(&self, region: RegionId) -> Option<RegionStatus> {
        let now = self.shared.clock.now();
        self.shared.gates.get(region).ok().map(|gate| gate.status(now))
    }

    /// The region of this store whose range holds `key`, encoded as region bounds are.
    pub fn region_at(&self, key: &[u8]) -> Option<RegionStatus> {
        let now = self.shared.clock.now();
        self.shared.gates.holding(key).map(|gate| gate.status(now))
    }

    /// Merges a region into its neighbour; this store leads the source and has a replica of the target. Resolves when
    /// both are one on this store. Until then, and while that is undecided, the source serves nobody.
    ///
    /// # Errors
    /// [`RegionError::MergeRefused`] with a reason, also if it was rolled back; [`RegionError::StaleCommand`] = it may
    /// or may not happen; every other = it did not.
    pub async fn merge(&self, request: MergeRequest) -> Result<(), RegionError> {
        let (waiter, told) = Waiter::new(Box::new(()));
        self.mailbox(request.source).offer(StoreMessage::Merge(request, waiter))?;
        told.await.unwrap_or(Err(RegionError::StaleCommand))
    }

    /// Corrects what is believed of a region's size, by somebody who has looked while it had `epoch`.
    pub fn correct_size(&self, region: RegionId, epoch: RegionEpoch, size: RegionSize) {
        if let Ok(gate) = self.shared.gates.get(region)
            && gate.state().region.epoch().version == epoch.version
        {
            gate.size().set(size);
        }
    }

    /// What a region is asked for here, and where in it, for whoever decides where it should be cut.
    pub fn with_load<T>(&self, region: RegionId, look: impl FnOnce(&RegionLoad) -> T) -> Option<T> {
        self.shared.gates.get(region).ok().map(|gate| look(gate.load()))
    }

    /// Raises the safe point in the log of a region. Resolves when this store has applied it: then a quorum of the
    /// region's replicas has it on disk, and no later leader of the region is without it.
    ///
    /// # Errors
    /// [`RegionError::StaleCommand`] = it may or may not happen; every other = it did not.
    pub async fn raise_safe_point(&self, region: RegionId, number: u64) -> Result<(), RegionError> {
        let (waiter, told) = Waiter::new(Box::new(()));
        self.mailbox(region).offer(StoreMessage::RaiseSafePoint(region, number, waiter))?;
        told.await.unwrap_or(Err(RegionError::StaleCommand))
    }

    /// The store's safe point. To be looked at after a view was taken: what is missing from the view lies below it.
    pub fn safe_point(&self) -> u64 {
        self.shared.gates.safe_point().get()
    }

    /// All regions of this store, by id.
    pub fn regions(&self) -> Vec<RegionStatus> {
        let now = self.shared.clock.now();
        self.shared.gates.all().iter().map(|gate| gate.status(now)).collect()
    }

    /// The regions that this store leads.
    pub fn led_regions(&self) -> Vec<RegionId> {
        let leads = |status: &RegionStatus| status.state.role == Role::Leader;
        self.regions().iter().filter(|status| leads(status)).map(|status| status.state.region.region_id()).collect()
    }

    /// Settings.
    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    /// The engine under the regions.
    pub fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// What replication counts.
    pub fn metrics(&self) -> &Arc<RaftMetrics> {
        &self.shared.metrics
    }

    /// Tells every raft loop to end. What waits is answered `ServerIsBusy` or `StaleCommand`.
    pub fn stop(&self) {
        for mailbox in self.shared.mailboxes.all() {
            // A loop that has ended already needs no telling.
            let _ = mailbox.push(StoreMessage::Stop);
        }
    }

    pub(crate) fn gates(&self) -> &Gates {
        &self.shared.gates
    }

    pub(crate) fn mailbox(&self, region: RegionId) -> &Mailbox {
        self.shared.mailboxes.of(region)
    }
}
