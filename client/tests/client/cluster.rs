//! A cluster in memory: regions with leaders over one engine, TinyKv's calls executed by the percolator core, a clock
//! that follows tokio's, and faults on demand. Replication is left out: every store sees the same data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use nokv_client::{AskingDirectory, Client, Located, Options, OracleError, StaticDirectory, TimestampOracle, Topology};
use nokv_engine::{Cf, Cursor, Engine, KeyRange, MemoryEngine, ReadView, WriteBatch};
use nokv_percolator::{Announcements, Get, Key, Lock, ReadPoint, Timestamp};
use nokv_proto::{errorpb, metapb};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::faults::Fault;

/// Physical time at the start of every test.
const CLOCK_START_MS: u64 = 1_700_000_000_000;
/// How long a request takes when nothing is wrong.
pub const LATENCY: Duration = Duration::from_millis(1);

/// The cluster: three stores, regions 1 to `h`, `h` to `p`, and from `p` on, region n led by store n.
#[derive(Clone)]
pub struct Cluster {
    pub state: Arc<Mutex<State>>,
    began: Instant,
}

pub struct State {
    pub engine: MemoryEngine,
    pub regions: BTreeMap<u64, RegionState>,
    /// Stores that refuse connections.
    pub down: BTreeSet<u64>,
    pub oracle_down: bool,
    /// The stores know the call that asks for their regions.
    pub tells_regions: bool,
    /// The next commit is answered with an error, whatever the keys say.
    pub refuse_commit: bool,
    /// Stores let transactions choose their commit timestamp.
    pub can_choose: bool,
    /// How often they were asked to.
    pub asked_to_choose: usize,
    /// Below it, stores do not know any more what became of whom.
    pub safe_point: Timestamp,
    /// How far they were read.
    pub announcements: Announcements,
    pub faults: Vec<Fault>,
    /// One line a request, in the order in which they arrived.
    pub trace: Vec<String>,
    last_ts: Timestamp,
}

pub struct RegionState {
    pub region: metapb::Region,
    pub leader: Option<u64>,
}

impl Cluster {
    pub fn new() -> Self {
        let regions = [(1, "", "h"), (2, "h", "p"), (3, "p", "")];
        let regions =
            regions.map(|(id, start, end)| (id, RegionState { region: region(id, start, end, 1), leader: Some(id) }));
        let state = State {
            engine: MemoryEngine::new(),
            regions: regions.into(),
            down: BTreeSet::new(),
            oracle_down: false,
            tells_regions: false,
            refuse_commit: false,
            can_choose: false,
            asked_to_choose: 0,
            safe_point: Timestamp::ZERO,
            announcements: Announcements::default(),
            faults: Vec::new(),
            trace: Vec::new(),
            last_ts: Timestamp::ZERO,
        };
        Cluster { state: Arc::new(Mutex::new(state)), began: Instant::now() }
    }

    /// A client that knows the regions as they are now, and commits in two phases.
    pub fn client(&self) -> Client {
        self.client_with(Options { one_phase_commit: false, async_commit: false, ..Options::default() })
    }

    pub fn client_with(&self, options: Options) -> Client {
        let cluster = Arc::new(self.clone());
        let directory = Arc::new(StaticDirectory::new(self.topology()));
        Client::new(cluster.clone(), cluster, directory, Options { seed: 42, ..options })
    }

    /// A client that asks the stores for what its topology, which is as of now, does not know.
    pub fn asking_client(&self) -> Client {
        self.state.lock().tells_regions = true;
        let cluster = Arc::new(self.clone());
        let directory = Arc::new(AskingDirectory::new(cluster.clone(), self.topology()));
        Client::new(cluster.clone(), cluster, directory, Options { seed: 42, ..Options::default() })
    }

    pub fn topology(&self) -> Topology {
        let state = self.state.lock();
        let located = state.regions.values().map(|known| {
            let leader = known.region.peers.iter().find(|peer| Some(peer.store_id) == known.leader).copied();
            Located { region: known.region.clone(), leader }
        });
        Topology::new((1..=4).map(|id| (id, address(id))), located).unwrap()
    }

    /// Makes another store lead a region, or none.
    pub fn lead(&self, region: u64, store: Option<u64>) {
        self.state.lock().regions.get_mut(&region).unwrap().leader = store;
    }

    /// Splits the region that holds `at`; its right part gets the new id and another leader.
    pub fn split(&self, at: &str, new_id: u64) {
        self.state.lock().split(at, new_id);
    }

    pub fn fail(&self, fault: Fault) {
        self.state.lock().faults.push(fault);
    }

    /// The oracle's idea of the present.
    pub fn now(&self) -> Timestamp {
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap();
        Timestamp::compose(CLOCK_START_MS + elapsed, 0)
    }

    /// The newest committed value, read straight from the engine.
    pub fn committed(&self, key: &str) -> Option<String> {
        let view = self.state.lock().engine.view();
        let read =
            ReadPoint { isolation: nokv_percolator::Isolation::ReadCommitted, ..ReadPoint::snapshot(Timestamp::MAX) };
        let found = Get { key: Key::encode(key.as_bytes()), read }.execute(&view).unwrap().unwrap();
        found.map(|found| String::from_utf8(found.value.to_vec()).unwrap())
    }

    /// The user keys that are locked, straight from the engine.
    pub fn locked(&self) -> Vec<String> {
        let view = self.state.lock().engine.view();
        let mut cursor = view.cursor(Cf::Lock, KeyRange::ALL).unwrap();
        cursor.seek_to_first().unwrap();
        let mut keys = Vec::new();
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            Lock::decode(&Bytes::copy_from_slice(value)).unwrap();
            keys.push(String::from_utf8(Key::decode_encoded(key).unwrap()).unwrap());
            cursor.next().unwrap();
        }
        keys
    }

    /// The requests so far, and none from here on.
    pub fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().trace)
    }
}

impl State {
    pub fn split(&mut self, at: &str, new_id: u64) {
        let at = Key::encode(at.as_bytes()).into_encoded();
        let parent = self.regions.values_mut().find(|known| holds(&known.region, &at)).unwrap();
        let version = parent.region.region_epoch.unwrap().version + 1;
        let mut right = parent.region.clone();
        right.id = new_id;
        right.start_key = at.clone();
        right.peers = (1..=3).map(|store| peer(new_id, store)).collect();
        parent.region.end_key = at;
        for region in [&mut parent.region, &mut right] {
            region.region_epoch.as_mut().unwrap().version = version;
        }
        let leader = parent.leader.map(|store| store % 3 + 1);
        self.regions.insert(new_id, RegionState { region: right, leader });
    }

    /// Has a region take over its right neighbour, which is gone then.
    pub fn merge(&mut self, into: u64) {
        let end = self.regions.get(&into).unwrap().region.end_key.clone();
        let (gone, _) = self.regions.iter().find(|(_, known)| known.region.start_key == end).unwrap();
        let gone = self.regions.remove(&gone.clone()).unwrap().region;
        let target = &mut self.regions.get_mut(&into).unwrap().region;
        let version = gone.region_epoch.unwrap().version.max(target.region_epoch.unwrap().version) + 1;
        target.end_key = gone.end_key;
        target.region_epoch.as_mut().unwrap().version = version;
    }

    pub fn apply(&mut self, batch: &WriteBatch) {
        self.engine.write(batch, false).unwrap();
    }

    /// What a store's checks of a request say, in the wire's order; `Ok` is the region that serves.
    pub fn check(
        &self,
        store: u64,
        context: &nokv_proto::kvrpcpb::Context,
        keys: &[Bytes],
    ) -> Result<metapb::Region, Box<errorpb::Error>> {
        let error = |message: &str| errorpb::Error { message: message.to_owned(), ..Default::default() };
        let refuse = |error: errorpb::Error| Err(Box::new(error));
        let peer = context.peer.expect("a context names its peer");
        if peer.store_id != store {
            let wrong = errorpb::StoreNotMatch { request_store_id: peer.store_id, actual_store_id: store };
            return refuse(errorpb::Error { store_not_match: Some(wrong), ..error("wrong store") });
        }
        let region_id = context.region_id;
        let Some(known) = self.regions.get(&region_id) else {
            let missing = errorpb::RegionNotFound { region_id };
            return refuse(errorpb::Error { region_not_found: Some(missing), ..error("no such region") });
        };
        if known.leader != Some(store) {
            let leader = known.region.peers.iter().find(|peer| Some(peer.store_id) == known.leader).copied();
            let not_leader = errorpb::NotLeader { region_id, leader };
            return refuse(errorpb::Error { not_leader: Some(not_leader), ..error("not leader") });
        }
        if context.region_epoch != known.region.region_epoch {
            let end = &known.region.end_key;
            let right = self.regions.values().find(|other| !end.is_empty() && other.region.start_key == *end);
            let current = [Some(known), right].into_iter().flatten().map(|known| known.region.clone());
            let epoch = errorpb::EpochNotMatch { current_regions: current.collect() };
            return refuse(errorpb::Error { epoch_not_match: Some(epoch), ..error("epoch not match") });
        }
        if let Some(key) = keys.iter().find(|key| !holds(&known.region, key)) {
            let metapb::Region { start_key, end_key, .. } = known.region.clone();
            let outside = errorpb::KeyNotInRegion { key: key.clone(), region_id, start_key, end_key };
            return refuse(errorpb::Error { key_not_in_region: Some(outside), ..error("key not in region") });
        }
        Ok(known.region.clone())
    }
}

impl TimestampOracle for Cluster {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        Box::pin(async move {
            tokio::time::sleep(LATENCY).await;
            let now = self.now();
            let mut state = self.state.lock();
            if state.oracle_down {
                return Err(OracleError::Unavailable("oracle is down".to_owned()));
            }
            let first = now.max(state.last_ts.next());
            state.last_ts = Timestamp(first.0 + u64::from(count) - 1);
            Ok(first)
        })
    }
}

pub fn holds(region: &metapb::Region, key: &[u8]) -> bool {
    KeyRange::new(&region.start_key, &region.end_key).contains(key)
}

pub fn address(store: u64) -> String {
    format!("store-{store}")
}

pub fn peer(region: u64, store_id: u64) -> metapb::Peer {
    metapb::Peer { id: region * 10 + store_id, store_id, ..Default::default() }
}

fn region(id: u64, start: &str, end: &str, version: u64) -> metapb::Region {
    let bound = |key: &str| match key {
        "" => Bytes::new(),
        key => Key::encode(key.as_bytes()).into_encoded(),
    };
    metapb::Region {
        id,
        start_key: bound(start),
        end_key: bound(end),
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version }),
        peers: (1..=3).map(|store| peer(id, store)).collect(),
        ..Default::default()
    }
}
