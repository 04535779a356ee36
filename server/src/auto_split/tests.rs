//! A store in memory whose region grows: it is split where it is too large, many times at once if need be, and only if
//! there are ids.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use nokv_client::{OracleError, Timestamp, TimestampOracle};
use nokv_engine::{Cf, MemoryEngine, SharedRaftLog, WriteBatch};
use nokv_proto::metapb::{Peer, RegionEpoch};
use nokv_raftstore::{Config, Proposal, Raftstore, RequestContext, RunningStore, bootstrap, open};
use nokv_transport::StoreId;
use nokv_transport::memory::MemoryNetwork;

use super::*;
use crate::node::BootClock;
use crate::region_ids::RegionIds;

const STORE: StoreId = StoreId(1);

/// Gives timestamps that follow one another.
struct Counter(AtomicU64);

impl TimestampOracle for Counter {
    fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        let first = self.0.fetch_add(u64::from(count), Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(Timestamp(first))))
    }
}

struct Rig {
    raftstore: Raftstore<MemoryEngine>,
    running: Option<RunningStore>,
}

impl Rig {
    async fn start() -> Rig {
        let engine = MemoryEngine::new();
        let log = Arc::new(SharedRaftLog::new(engine.clone()));
        let region = Region {
            id: 1,
            region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![Peer { id: 11, store_id: STORE.0, ..Peer::default() }],
            ..Region::default()
        };
        bootstrap(&engine, log.as_ref(), STORE, &[region]).unwrap();
        let config = Config { seed: 7, ..Config::default() };
        let logger = Logger::root(slog::Discard, slog::o!());
        let mut opened = open(engine, log, STORE, config, Arc::new(BootClock), &logger).unwrap();
        opened.loops.iter_mut().for_each(|parts| parts.store.campaign_first(RegionId(1)).unwrap());
        let raftstore = opened.handle.clone();
        let network = MemoryNetwork::instant().endpoint(STORE);
        let network: Arc<dyn nokv_transport::Network> = network;
        let on_failure: Arc<dyn Fn(StoreError) + Send + Sync> = Arc::new(|error| panic!("{error}"));
        let running = opened.start(&network, &on_failure).unwrap();
        let context = RequestContext { region_id: RegionId(1), ..RequestContext::default() };
        while raftstore.view(&context).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Rig { raftstore, running: Some(running) }
    }

    /// Writes raw records of 1,000 bytes each through replication.
    async fn fill(&self, numbers: std::ops::Range<u32>) {
        let context = RequestContext { region_id: RegionId(1), ..RequestContext::default() };
        let led = self.raftstore.enter(&context).unwrap();
        let mut batch = WriteBatch::new();
        numbers.for_each(|number| batch.put(Cf::Raw, format!("key {number:06}").as_bytes(), &[7; 990]));
        let (term, epoch) = (led.term, led.region.epoch());
        let proposal = Proposal { region_id: RegionId(1), term, epoch, batch, held: Box::new(()) };
        self.raftstore.propose(proposal).await.unwrap();
        // The sum is kept by the raft loop, which hears of it a moment later.
        while self.raftstore.regions().iter().any(|status| status.applied_index < status.last_index) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn splitter(&self, with_ids: bool, cuts_max: usize) -> AutoSplit<MemoryEngine> {
        let limits = SizeLimits { cuts_max, ..SizeLimits::of_bytes(90_000) };
        let oracle = Arc::new(Counter(AtomicU64::new(1_790_000_000_000 << 18)));
        let admin = RegionAdmin::new(self.raftstore.clone(), with_ids.then(|| RegionIds::new(oracle)));
        let options = AutoSplitOptions { limits: Some(limits), ..AutoSplitOptions::default() };
        AutoSplit::new(admin, options, Logger::root(slog::Discard, slog::o!()))
    }

    /// First keys of all regions, in order.
    fn starts(&self) -> Vec<String> {
        let regions = self.raftstore.regions();
        let mut starts: Vec<_> =
            regions.iter().map(|s| String::from_utf8_lossy(&s.state.region.start_key).into_owned()).collect();
        starts.sort();
        starts
    }

    async fn lead_all(&self) {
        while self.raftstore.led_regions().len() < self.raftstore.regions().len() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.raftstore.stop();
        if let Some(running) = self.running.take() {
            running.join();
        }
    }
}

#[tokio::test]
async fn a_region_that_is_far_too_large_becomes_many_at_once() {
    let rig = Rig::start().await;
    let mut splitter = rig.splitter(true, 99);
    rig.fill(0..80).await;
    splitter.look().await;
    assert_eq!(rig.starts(), [""], "80,000 of 90,000 bytes");
    rig.fill(80..300).await;
    splitter.look().await;
    assert_eq!(rig.starts(), ["", "key 000060", "key 000120", "key 000180", "key 000240"]);
    rig.lead_all().await;
    splitter.look().await;
    assert_eq!(rig.starts().len(), 5, "each of them fits");
    let sizes = rig.raftstore.regions().into_iter().map(|status| status.size.unwrap().records);
    assert_eq!(sizes.collect::<Vec<_>>(), [60; 5]);
}

#[tokio::test]
async fn what_is_behind_the_last_cut_is_split_the_next_time() {
    let rig = Rig::start().await;
    let mut splitter = rig.splitter(true, 2);
    rig.fill(0..300).await;
    splitter.look().await;
    assert_eq!(rig.starts(), ["", "key 000060", "key 000120"]);
    rig.lead_all().await;
    splitter.look().await;
    assert_eq!(rig.starts().len(), 5);
}

#[tokio::test]
async fn overwriting_leads_to_a_look_and_not_to_a_split() {
    let rig = Rig::start().await;
    let mut splitter = rig.splitter(true, 99);
    splitter.look().await;
    for _ in 0..3 {
        rig.fill(0..50).await;
    }
    let believed = rig.raftstore.regions()[0].size.unwrap();
    assert!(believed.bytes > 90_000, "{believed:?}");
    splitter.look().await;
    assert_eq!(rig.starts(), [""]);
    assert_eq!(rig.raftstore.regions()[0].size, Some(RegionSize { bytes: 50_000, records: 50 }), "it was corrected");
}

#[tokio::test]
async fn without_ids_nothing_is_split_and_the_state_says_so() {
    let rig = Rig::start().await;
    let mut splitter = rig.splitter(false, 99);
    rig.fill(0..300).await;
    splitter.look().await;
    assert_eq!(rig.starts(), [""]);
    assert!(splitter.state().as_str().starts_with("off: no timestamp server"));
}

#[tokio::test]
async fn a_busy_region_is_cut_where_its_load_halves_and_a_quiet_one_where_its_data_does() {
    let rig = Rig::start().await;
    rig.fill(0..100).await;
    let admin = rig.splitter(true, 99).admin;
    let epoch = |version| RegionEpoch { conf_ver: 1, version };
    let read = |key: u32| {
        let key = format!("key {key:06}");
        rig.raftstore.with_load(RegionId(1), |load| load.read(1, || std::iter::once(key.as_bytes()))).unwrap();
    };
    rig.raftstore.with_load(RegionId(1), RegionLoad::watch).unwrap();
    (0..10_000).for_each(|_| read(50));
    let refused = split_in_half(&admin, RegionId(1), epoch(1)).await.unwrap_err().to_string();
    assert!(refused.contains("for one key"), "{refused}");
    assert_eq!(rig.starts(), [""]);

    rig.raftstore.with_load(RegionId(1), |load| (load.watch(), load.watch())).unwrap();
    (0..10_000).for_each(|number| read(90 + number * 7_919 % 10));
    split_in_half(&admin, RegionId(1), epoch(1)).await.unwrap();
    let starts = rig.starts();
    assert!(("key 000093".."key 000098").contains(&starts[1].as_str()), "{starts:?}");

    // Nobody watches the new region; the old one forgot what was asked of both.
    rig.lead_all().await;
    split_in_half(&admin, RegionId(1), epoch(2)).await.unwrap();
    let starts = rig.starts();
    assert!(("key 000040".."key 000055").contains(&starts[1].as_str()), "{starts:?}");
}
