//! This node's own heartbeats: who and where it is, how its disk is, and how the regions are that it leads. They go to
//! whoever leads placement; the answers say what to do, and where the other stores are.
//!
//! A region whose leader, range or members changed is told of within a fraction of a second: clients ask placement
//! again after an error, and wait no longer than that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nokv_client::{PlacementLeader, PlacementLink};
use nokv_engine::{Engine, RocksEngine};
use nokv_proto::metapb::{Peer, Region, Store};
use nokv_proto::pdpb::pd_client::PdClient;
use nokv_proto::pdpb::{
    GetAllStoresRequest, PeerStats, PutStoreRequest, RegionHeartbeatRequest, RequestHeader, StoreHeartbeatRequest,
    StoreStats,
};
use nokv_raftstore::{
    Feeding, LoadTotals, Raftstore, RegionExt as _, RegionId, RegionStatus, Role, StoreError, StoreId,
};
use nokv_transport::AddressBook;
use slog::{Logger, info, warn};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::loads::{Counted, StoreLoad, sample, stop_sampling};
use super::orders::carry_out;
use super::services::DIRECTORY_HEADER;
use crate::admin::{Meeting, RegionAdmin};
use crate::node::KeptAddresses;

/// How often it is looked for changes.
const LOOK: Duration = Duration::from_millis(200);
/// How often a region is told of that did not change, and one that sleeps.
const REGION_EVERY: Duration = Duration::from_secs(5);
const ASLEEP_EVERY: Duration = Duration::from_secs(20);
/// How often the store tells of itself, and asks for the others.
const STORE_EVERY: Duration = Duration::from_secs(3);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Heartbeats that may wait for the connection.
const WAITING_MAX: usize = 1_024;
/// What a peer that is not heard of is said to be down for at least, in seconds.
const DOWN_SECONDS: u64 = 60;

/// Who this store is.
#[derive(Clone, Debug)]
pub struct StoreSelf {
    /// As others should know it.
    pub store: Store,
    /// Which directory it has, and of which cluster.
    pub meeting: Meeting<RocksEngine>,
    /// Where that is.
    pub workdir: PathBuf,
    /// Where it keeps the addresses of the other stores.
    pub(crate) addresses: Arc<KeptAddresses<RocksEngine>>,
}

/// Tells placement, until it is dropped.
pub struct Reporter {
    pub(super) me: StoreSelf,
    pub(super) admin: RegionAdmin<RocksEngine>,
    pub(super) book: AddressBook,
    pub(super) link: PlacementLink,
    pub(super) log: Logger,
}

/// What was told of a region last.
struct ToldOf {
    region: Arc<Region>,
    leader: Peer,
    term: u64,
    at: Instant,
    load: LoadTotals,
    /// Since when its sample of keys has its present page, if there is one.
    page: Option<Instant>,
}

/// A connection to the leader of placement.
struct Session {
    leader: PlacementLeader,
    client: PdClient<Channel>,
    header: RequestHeader,
    beats: mpsc::Sender<RegionHeartbeatRequest>,
    told: BTreeMap<RegionId, ToldOf>,
    store_load: StoreLoad,
    next_store_beat: Instant,
}

impl Reporter {
    /// A reporter of this store, to whoever `link` finds.
    pub fn new(
        me: StoreSelf,
        admin: RegionAdmin<RocksEngine>,
        book: AddressBook,
        link: PlacementLink,
        log: Logger,
    ) -> Self {
        Self { me, admin, book, link, log }
    }

    /// Runs for ever: finds the leader, tells it, and begins anew when that ends.
    pub async fn run(self) {
        let mut complained = false;
        loop {
            let ended = match self.connect().await {
                Ok(mut session) => {
                    complained = false;
                    let ended = self.tell(&mut session).await;
                    self.link.lost(&session.leader);
                    ended
                }
                Err(status) => Err(status),
            };
            if let Err(status) = ended
                && !complained
            {
                complained = true;
                info!(self.log, "placement is not reached at the moment"; "why" => status.message());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Finds the leader, registers this store, and opens the stream for regions.
    async fn connect(&self) -> Result<Session, Status> {
        let leader = self.link.leader().await?;
        let registered = self.register(leader.clone()).await;
        if registered.is_err() {
            self.link.lost(&leader);
        }
        registered
    }

    async fn register(&self, leader: PlacementLeader) -> Result<Session, Status> {
        let broken = |error: StoreError| Status::internal(error.to_string());
        if !self.me.meeting.belongs_to(leader.cluster_id).map_err(broken)? {
            let ours = self.me.meeting.ident().cluster;
            warn!(self.log, "another cluster answers: this node tells it nothing, and does nothing that it says";
                  "ours" => ours, "theirs" => leader.cluster_id, "address" => &*leader.address);
            return Err(Status::failed_precondition("another cluster answers"));
        }
        let header = RequestHeader { sender_id: self.me.store.id, ..leader.header() };
        let mut client = leader.client();
        let store = Some(self.me.store.clone());
        let mut request = Request::new(PutStoreRequest { header: Some(header.clone()), store });
        request.metadata_mut().insert(DIRECTORY_HEADER, MetadataValue::from(self.me.meeting.ident().directory));
        let answered = timeout(PATIENCE, client.put_store(request)).await;
        let answered = answered.map_err(|_| Status::deadline_exceeded("placement does not answer"))??.into_inner();
        if let Some(error) = answered.header.and_then(|header| header.error) {
            warn!(self.log, "placement refuses this store"; "why" => &error.message);
            return Err(Status::failed_precondition(error.message));
        }
        let (beats, waiting) = mpsc::channel(WAITING_MAX);
        let orders = client.region_heartbeat(ReceiverStream::new(waiting));
        let admin = self.admin.clone();
        let log = self.log.clone();
        let mut orders = timeout(PATIENCE, orders)
            .await
            .map_err(|_| Status::deadline_exceeded("placement takes no heartbeats"))??
            .into_inner();
        tokio::spawn(async move {
            // The stream ends with the session that feeds it.
            while let Ok(Some(order)) = orders.message().await {
                let region = order.region_id;
                match carry_out(&admin, order).await {
                    Ok(true) => info!(log, "a region was changed as placement wants it"; "region" => region),
                    Ok(false) => info!(log, "placement wants what is not done here"; "region" => region),
                    Err(why) => info!(log, "what placement wants was refused"; "region" => region, "why" => %why),
                }
            }
        });
        Ok(Session {
            leader,
            client,
            header,
            beats,
            told: BTreeMap::new(),
            store_load: StoreLoad::default(),
            next_store_beat: Instant::now(),
        })
    }

    async fn tell(&self, session: &mut Session) -> Result<(), Status> {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            look.tick().await;
            if Instant::now() >= session.next_store_beat {
                session.next_store_beat = Instant::now() + STORE_EVERY;
                self.tell_of_store(session).await?;
            }
            self.tell_of_regions(session).await?;
        }
    }

    async fn tell_of_store(&self, session: &mut Session) -> Result<(), Status> {
        let (capacity, available) = disk_space(&self.me.workdir);
        let regions = self.admin.raftstore().regions();
        let mut stats = StoreStats {
            store_id: self.me.store.id,
            capacity,
            available,
            region_count: u32::try_from(regions.len()).unwrap_or(u32::MAX),
            ..StoreStats::default()
        };
        if let Some(counted) = session.store_load.since_last(&regions, Instant::now(), unix_seconds()) {
            counted.tell_of_store(&mut stats);
        }
        let request =
            StoreHeartbeatRequest { header: Some(session.header.clone()), stats: Some(stats), ..Default::default() };
        let late = |_| Status::deadline_exceeded("placement does not answer");
        let answered = timeout(PATIENCE, session.client.store_heartbeat(request)).await.map_err(late)??.into_inner();
        if let Some(error) = answered.header.and_then(|header| header.error) {
            return Err(Status::failed_precondition(error.message));
        }
        let request = GetAllStoresRequest { header: Some(session.header.clone()), exclude_tombstone_stores: true };
        let told = timeout(PATIENCE, session.client.get_all_stores(request)).await;
        let stores = told.map_err(late)??.into_inner().stores;
        self.learn(stores)
    }

    /// Takes in where the stores of the cluster listen.
    fn learn(&self, stores: Vec<Store>) -> Result<(), Status> {
        self.link.learn(stores.iter().map(|store| store.address.clone()));
        let others = stores.iter().filter(|store| store.id != self.me.store.id);
        let kept = others.clone().map(|store| (StoreId(store.id), store.address.clone())).collect();
        self.me.addresses.keep(kept).map_err(|error| Status::internal(error.to_string()))?;
        for store in others {
            let known = self.book.get(StoreId(store.id));
            if known.as_deref() != Some(&store.address)
                && let Err(bad) = self.book.set(StoreId(store.id), &store.address)
            {
                warn!(self.log, "placement tells an address that is none"; "why" => %bad);
            }
        }
        Ok(())
    }

    async fn tell_of_regions(&self, session: &mut Session) -> Result<(), Status> {
        let now = Instant::now();
        let led: Vec<RegionStatus> =
            self.admin.raftstore().regions().into_iter().filter(|status| status.state.role == Role::Leader).collect();
        session.told.retain(|id, told| {
            let is_led = led.iter().any(|status| status.state.region.region_id() == *id);
            if !is_led && told.page.is_some() {
                stop_sampling(self.admin.raftstore(), *id);
            }
            is_led
        });
        for status in led {
            let state = &status.state;
            let id = state.region.region_id();
            let every = if status.is_asleep { ASLEEP_EVERY } else { REGION_EVERY };
            let last = session.told.get(&id);
            let is_news = last.is_none_or(|told| {
                !Arc::ptr_eq(&told.region, &state.region) && told.region != state.region
                    || told.leader != state.peer
                    || told.term != state.term
                    || now.duration_since(told.at) >= every
            });
            // A learner that catches up is waited for.
            let is_joining = state.region.peers.iter().any(|peer| peer.role != 0);
            if !is_news && !is_joining {
                continue;
            }
            let mut beat = beat(self.admin.raftstore(), &session.header, &status).await;
            let mut page = last.and_then(|last| last.page);
            if let Some(last) = last.filter(|last| last.region.range() == state.region.range()) {
                let load = status.load.since(&last.load);
                page = sample(self.admin.raftstore(), id, &load, page, now);
                let passed = now.duration_since(last.at);
                Counted { load, passed, until_s: unix_seconds() }.tell_of_region(&mut beat);
            }
            session.beats.send(beat).await.map_err(|_| Status::unavailable("the stream of heartbeats has ended"))?;
            let (region, leader, term) = (state.region.clone(), state.peer, state.term);
            let told = ToldOf { region, leader, term, at: now, load: status.load, page };
            session.told.insert(id, told);
        }
        Ok(())
    }
}

/// The heartbeat of a region that is led here.
pub async fn beat<E: Engine>(
    raftstore: &Raftstore<E>,
    header: &RequestHeader,
    status: &RegionStatus,
) -> RegionHeartbeatRequest {
    let state = &status.state;
    let size = status.size.unwrap_or_default();
    let progress = raftstore.progress(state.region.region_id()).await.unwrap_or_default();
    let others = progress.iter().filter(|it| it.peer.id != state.peer.id);
    let down = others.clone().filter(|it| !it.active);
    let pending = others.filter(|it| it.feeding != Feeding::FromLog || it.matched_index == 0);
    RegionHeartbeatRequest {
        header: Some(header.clone()),
        region: Some(Region::clone(&state.region)),
        leader: Some(state.peer),
        term: state.term,
        down_peers: down.map(|it| PeerStats { peer: Some(it.peer), down_seconds: DOWN_SECONDS }).collect(),
        pending_peers: pending.map(|it| it.peer).collect(),
        approximate_size: size.bytes,
        approximate_keys: size.records,
        ..RegionHeartbeatRequest::default()
    }
}

/// Bytes of the disk under a directory, and how many of them are free; zeros if it does not tell.
fn disk_space(directory: &Path) -> (u64, u64) {
    let Ok(disk) = nix::sys::statvfs::statvfs(directory) else { return (0, 0) };
    let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
    (bytes(disk.blocks()), bytes(disk.blocks_available()))
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("me", &self.me).finish_non_exhaustive()
    }
}
