//! One store of the test cluster, driven by hand: the same steps as the two threads take, in the same order.
//! A test may stop between any two of them.

use std::sync::Arc;

use futures_channel::oneshot::Receiver;
use nokv_engine::{Cf, Engine, MemoryEngine, RaftLog, SharedRaftLog, WriteBatch};
use nokv_proto::metapb::Region;
use nokv_raftstore::apply::{ApplyRound, ApplyTask};
use nokv_raftstore::gate::GateState;
use nokv_raftstore::handle::RegionView;
use nokv_raftstore::message::{ReadRequest, StoreMessage, Waiter};
use nokv_raftstore::round::Round;
use nokv_raftstore::{
    Config, LoopParts, MemberChange, MembersRequest, MergeRequest, MonotonicTime, NewRegion, Proposal, Raftstore,
    RegionDigest, RegionError, RegionExt, RequestContext, Role, SplitRequest, StoreError, TellHere, bootstrap, digest,
    open,
};
use nokv_transport::memory::{MemoryEndpoint, MemoryNetwork};
use nokv_transport::{ImageSource, Network, PeerId, RegionId, StoreId};

use super::VirtualClock;

/// A store that is up.
pub struct Node {
    pub store: StoreId,
    /// Stopped, as by a signal: it does nothing until it is let go on.
    pub held: bool,
    /// Every image that it sends has a bit flipped in its first chunk.
    pub flips_images: bool,
    /// That images were sent is told late: when this is `None` again.
    pub late_reports: Option<Vec<StoreMessage>>,
    /// Images that it began to send.
    pub images_begun: usize,
    pub handle: Raftstore<MemoryEngine>,
    pub parts: LoopParts,
    pub engine: MemoryEngine,
    pub log: Arc<dyn RaftLog>,
    endpoint: Arc<MemoryEndpoint>,
    clock: Arc<VirtualClock>,
}

impl Node {
    pub fn start(
        store: StoreId,
        engine: MemoryEngine,
        network: &MemoryNetwork,
        clock: Arc<VirtualClock>,
        config: Config,
        regions: &[Region],
    ) -> Result<Self, StoreError> {
        let log: Arc<dyn RaftLog> = Arc::new(SharedRaftLog::new(engine.clone()));
        bootstrap(&engine, log.as_ref(), store, regions)?;
        let config = Config { seed: config.seed ^ store.0, ..config };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let opened = open(engine.clone(), log.clone(), store, config, clock.clone(), &logger)?;
        let endpoint = network.endpoint(store);
        network.attach(store, Arc::new(opened.inbox));
        let parts = opened.loops.into_iter().next().expect("one raft loop");
        Ok(Self {
            store,
            held: false,
            flips_images: false,
            late_reports: None,
            images_begun: 0,
            handle: opened.handle,
            parts,
            engine,
            log,
            endpoint,
            clock,
        })
    }

    /// Takes in what arrived and carries out rounds until there is nothing left to do.
    pub fn work(&mut self) -> Result<(), StoreError> {
        loop {
            self.take_in()?;
            if !self.parts.store.has_work() {
                return Ok(());
            }
            let mut round = self.collect()?;
            let first = std::mem::take(&mut round.apply_first);
            let reports = self.apply(first)?;
            self.write(&round)?;
            let tasks = self.finish(&mut round);
            self.report(reports)?;
            let reports = self.apply(tasks)?;
            self.report(reports)?;
        }
    }

    /// Messages and time, into the store.
    pub fn take_in(&mut self) -> Result<(), StoreError> {
        let now = self.now();
        self.parts.store.tick(now);
        while let Some(message) = self.parts.receiver.try_next() {
            if let (StoreMessage::ImageSent { .. }, Some(late)) = (&message, &mut self.late_reports) {
                late.push(message);
                continue;
            }
            self.parts.store.handle(message, now)?;
        }
        Ok(())
    }

    /// The round's effects; its first messages leave.
    pub fn collect(&mut self) -> Result<Round, StoreError> {
        let mut round = Round::default();
        self.parts.store.collect(self.now(), &mut round)?;
        for (to, message) in round.first_messages.drain(..) {
            let _ = self.endpoint.send(to, message);
        }
        Ok(round)
    }

    /// The round's log goes to disk.
    pub fn write(&mut self, round: &Round) -> Result<(), StoreError> {
        if !round.log.is_empty() {
            self.log.write(&round.log, round.sync)?;
        }
        Ok(())
    }

    /// What had to wait for the disk leaves.
    pub fn finish(&mut self, round: &mut Round) -> Vec<ApplyTask> {
        self.parts.store.persisted(round);
        for (to, message) in round.last_messages.drain(..) {
            let _ = self.endpoint.send(to, message);
        }
        for mut image in round.images.drain(..) {
            self.images_begun += 1;
            if self.flips_images {
                image.source = Box::new(Flipping(Some(image.source)));
            }
            image.send(self.endpoint.as_ref(), &self.parts.mailbox);
        }
        std::mem::take(&mut round.apply)
    }

    /// Committed entries take effect, and whatever else the apply loop is told, as its thread does it. What it reports
    /// must wait until the round is finished.
    pub fn apply(&mut self, tasks: Vec<ApplyTask>) -> Result<Vec<StoreMessage>, StoreError> {
        let mut round = ApplyRound::default();
        let mut reports = Vec::new();
        for task in tasks {
            self.parts.applier.apply(task, &mut round)?;
            if round.action.is_some() {
                reports.extend(std::mem::take(&mut round).carry_out(&self.engine, &TellHere)?);
            }
        }
        reports.extend(round.carry_out(&self.engine, &TellHere)?);
        Ok(reports)
    }

    /// The raft loop takes reports in.
    pub fn report(&mut self, reports: Vec<StoreMessage>) -> Result<(), StoreError> {
        let now = self.now();
        reports.into_iter().try_for_each(|report| self.parts.store.handle(report, now))
    }

    /// Proposes to write `key` under the term and epoch that the gate shows.
    pub fn put(&mut self, region: u64, key: &[u8], value: &[u8]) -> Receiver<Result<(), RegionError>> {
        let state = self.state(region);
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, key, value);
        self.propose(region, state.term, state.region.epoch(), batch)
    }

    pub fn propose(
        &mut self,
        region: u64,
        term: u64,
        epoch: nokv_proto::metapb::RegionEpoch,
        batch: WriteBatch,
    ) -> Receiver<Result<(), RegionError>> {
        let (waiter, told) = Waiter::new(Box::new(()));
        let proposal = Proposal { region_id: RegionId(region), term, epoch, batch, held: Box::new(()) };
        self.send(StoreMessage::Propose(proposal, waiter));
        told
    }

    /// Proposes to split `region` at `key`; the new region's peers have ids made of its own and the store's.
    pub fn split(&mut self, region: u64, new: u64, key: &[u8]) -> Receiver<Result<(), RegionError>> {
        let (waiter, told) = Waiter::new(Box::new(()));
        let state = self.state(region);
        let peer_ids = state.region.peers.iter().map(|peer| PeerId(new * 10 + peer.store_id)).collect();
        let new = NewRegion { id: RegionId(new), start_key: key.to_vec().into(), peer_ids };
        let request = SplitRequest { region_id: RegionId(region), epoch: state.region.epoch(), new: vec![new] };
        self.send(StoreMessage::Split(request, waiter));
        told
    }

    /// Proposes to merge `source` into `target`, under the epochs that the gates show.
    pub fn merge(&mut self, source: u64, target: u64) -> Receiver<Result<(), RegionError>> {
        let (waiter, told) = Waiter::new(Box::new(()));
        let epoch = |region| self.find(region).map(|status| status.state.region.epoch()).unwrap_or_default();
        let request = MergeRequest {
            source: RegionId(source),
            source_epoch: epoch(source),
            target: RegionId(target),
            target_epoch: epoch(target),
        };
        self.send(StoreMessage::Merge(request, waiter));
        told
    }

    /// Asks for a quorum's word, as a read without a lease does.
    pub fn quorum_read(&mut self, region: u64, deadline: MonotonicTime) -> Receiver<Result<u64, RegionError>> {
        let (done, told) = futures_channel::oneshot::channel();
        self.send(StoreMessage::Read(ReadRequest { region_id: RegionId(region), deadline, done }));
        told
    }

    /// A view, if it can be had without asking anybody.
    pub fn lease_view(&self, region: u64) -> Option<Result<RegionView<nokv_engine::MemoryView>, RegionError>> {
        let context = RequestContext { region_id: RegionId(region), ..Default::default() };
        at_once(self.handle.view(&context))
    }

    /// How far a replica has to have applied to show what was written before now.
    ///
    /// # Errors
    /// The leader would have to ask its quorum.
    pub fn read_index(&self, region: u64) -> Result<Result<u64, RegionError>, &'static str> {
        let context = RequestContext { region_id: RegionId(region), ..Default::default() };
        at_once(self.handle.read_index(&context)).ok_or("the leader holds no lease")
    }

    pub fn send(&self, message: StoreMessage) {
        self.parts.mailbox.push(message).expect("the mailbox is open");
    }

    pub fn state(&self, region: u64) -> Arc<GateState> {
        self.status(region).state
    }

    pub fn status(&self, region: u64) -> nokv_raftstore::RegionStatus {
        self.find(region).expect("the region is here")
    }

    /// The region's status, if it is here.
    pub fn find(&self, region: u64) -> Option<nokv_raftstore::RegionStatus> {
        self.handle.regions().into_iter().find(|status| status.state.region.id == region)
    }

    /// The term that this node leads `region` in, if it does.
    pub fn led_term(&self, region: u64) -> Option<u64> {
        let state = self.find(region)?.state;
        (state.role == Role::Leader).then_some(state.term)
    }

    /// Proposes to change the members of `region`.
    pub fn change_members(
        &mut self,
        region: u64,
        changes: Vec<MemberChange>,
        forced: bool,
    ) -> Receiver<Result<(), RegionError>> {
        let (waiter, told) = Waiter::new(Box::new(()));
        let epoch = self.state(region).region.epoch();
        let request = MembersRequest { region_id: RegionId(region), epoch, changes, forced };
        self.send(StoreMessage::ChangeMembers(request, waiter));
        told
    }

    /// Proposes to raise the safe point.
    pub fn raise_safe_point(&mut self, region: u64, number: u64) -> Receiver<Result<(), RegionError>> {
        let (waiter, told) = Waiter::new(Box::new(()));
        self.send(StoreMessage::RaiseSafePoint(RegionId(region), number, waiter));
        told
    }

    /// What the store holds of `region`.
    pub fn digest(&self, region: u64) -> Option<RegionDigest> {
        let region = self.find(region)?.state.region.clone();
        Some(digest(&self.engine.view(), &region).expect("a sound disk"))
    }

    /// Whether the leader's first own entry is applied.
    pub fn applied_own_term(&self, region: u64) -> bool {
        let status = self.status(region);
        status.state.role == Role::Leader && status.applied_index == status.last_index
    }

    pub fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.engine.get(Cf::Raw, key).expect("a sound disk").map(|value| value.to_vec())
    }

    fn now(&self) -> MonotonicTime {
        nokv_raftstore::Clock::now(self.clock.as_ref())
    }
}

/// What a future is, if it waits for nothing.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = Box::pin(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(outcome) => Some(outcome),
        std::task::Poll::Pending => None,
    }
}

/// Flips a bit of the first chunk.
#[derive(Debug)]
struct Flipping(Option<Box<dyn ImageSource>>);

impl ImageSource for Flipping {
    fn next_chunk(&mut self) -> Result<Option<bytes::Bytes>, String> {
        let Some(mut source) = self.0.take() else { return Ok(None) };
        let chunk = source.next_chunk()?;
        Ok(chunk.map(|chunk| {
            let middle = chunk.len() / 2;
            chunk.iter().enumerate().map(|(at, byte)| if at == middle { byte ^ 1 } else { *byte }).collect()
        }))
    }
}
