//! What a node needs to know: from the flags alone, or from the flags and a topology file.
//! Where both speak, the flag wins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nokv_client::HttpOracle;
use nokv_engine::RocksOptions;
use nokv_placement::state::Settings;
use nokv_proto::metapb::{Region, StoreLabel};
use nokv_raftstore::Config;
use nokv_transport::grpc::GrpcOptions;
use nokv_transport::{RegionId, StoreId};

use super::{NodeError, PeerFlag};
use crate::auto_split::AutoSplitOptions;
use crate::collector::CollectorOptions;
use crate::config::{AddressScope, Topology};
use crate::executor::ExecutorOptions;
use crate::region_ids::RegionIds;

/// Ten seconds: longer than the pauses of a region that is in use, and soon enough for the others.
const HIBERNATE_AFTER_TICKS: usize = 100;
/// With few cores, from one shared round of a raft loop to the next; measured in docs/performance.md.
const ROUND_INTERVAL: Duration = Duration::from_micros(400);

/// As fresh as people who read in the past expect, and two small messages a second for each pair of stores.
const SETTLE_INTERVAL: Duration = Duration::from_secs(1);

/// What a node needs to know.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// This store; 0 = the one that the directory belongs to, else one that the cluster gives.
    pub store: StoreId,
    /// Its directory; made if missing.
    pub workdir: PathBuf,
    /// HOST:PORT for gRPC; port 0 takes a free one.
    pub listen: String,
    /// HOST:PORT for status pages; `None` = there are none.
    pub status: Option<String>,
    /// The cluster's regions, all stores'; `None` = those of the directory, or one region that holds everything.
    pub regions: Option<Vec<Region>>,
    /// The regions that this store is to lead first.
    pub leads_first: Vec<RegionId>,
    /// Where the stores of the topology file listen, this one included.
    pub stores: Vec<(StoreId, String)>,
    /// What flags say of other stores.
    pub peers: Vec<PeerFlag>,
    /// Where new ids of regions and peers come from; `None` = who makes regions or peers has to give them.
    pub ids: Option<RegionIds>,
    /// URL of the timestamp server; `None` = transactions always commit in two phases here, and are told so.
    pub tso: Option<String>,
    /// When regions are split by themselves.
    pub auto_split: AutoSplitOptions,
    /// Placement is hosted here and on the nodes of all other stores that are known, with these settings if the cluster
    /// is new; `None` = it is not.
    pub placement: Option<Settings>,
    /// This program's version, as the cluster is told: one of another major version is refused.
    pub version: String,
    /// Where this store is: host, zone and the like, by which replicas are kept apart.
    pub labels: Vec<StoreLabel>,
    /// Where nodes that host placement listen, of a cluster that this store joins.
    pub join: Vec<String>,
    /// The engine's options.
    pub rocks: RocksOptions,
    /// Replication's options.
    pub raft: Config,
    /// The executor's options.
    pub executor: ExecutorOptions,
    /// Garbage collection's options.
    pub collector: CollectorOptions,
    /// How often timestamps are settled, for reads in the past: a follower is up to two of these behind.
    pub settle_interval: Duration,
    /// The network's options.
    pub grpc: GrpcOptions,
}

impl NodeOptions {
    /// A store that knows of no other yet, with all else at its default.
    pub fn new(store: StoreId, workdir: impl Into<PathBuf>, listen: impl Into<String>) -> Self {
        Self {
            store,
            workdir: workdir.into(),
            listen: listen.into(),
            status: None,
            regions: None,
            leads_first: Vec::new(),
            stores: Vec::new(),
            peers: Vec::new(),
            ids: None,
            tso: None,
            auto_split: AutoSplitOptions::default(),
            placement: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            labels: Vec::new(),
            join: Vec::new(),
            rocks: RocksOptions::default(),
            raft: Config {
                seed: rand::random(),
                entries_under_way_max: entries_under_way(),
                round_interval: if entries_under_way() == 1 { ROUND_INTERVAL } else { Duration::ZERO },
                hibernate_after_ticks: HIBERNATE_AFTER_TICKS,
                ..Config::default()
            },
            executor: ExecutorOptions::default(),
            collector: CollectorOptions::default(),
            settle_interval: SETTLE_INTERVAL,
            grpc: GrpcOptions::default(),
        }
    }

    /// A store of a topology file.
    ///
    /// # Errors
    /// [`NodeError::Config`], or [`NodeError::UnknownStore`].
    pub fn from_file(
        store: StoreId,
        workdir: impl Into<PathBuf>,
        file: &Path,
        scope: AddressScope,
    ) -> Result<Self, NodeError> {
        let topology = Topology::load(file)?;
        let Some(here) = topology.store(store) else {
            let known = topology.stores.iter().map(|store| store.store_id).collect();
            return Err(NodeError::UnknownStore { file: file.display().to_string(), store, known });
        };
        let leads_first = topology.regions.iter().filter(|region| region.leader_store_id == Some(store));
        let stores = topology.stores.iter().map(|store| (store.store_id, store.advertised(scope).to_owned()));
        let ids = topology.tso.as_ref().map(|tso| HttpOracle::new(&tso.advertise_url)).transpose();
        let ids =
            ids.map_err(|error| NodeError::Flags(format!("the timestamp server of the topology file: {error}")))?;
        Ok(Self {
            ids: ids.map(|oracle| RegionIds::new(Arc::new(oracle))),
            regions: Some(topology.regions.iter().map(|region| region.to_metapb()).collect()),
            leads_first: leads_first.map(|region| region.id).collect(),
            stores: stores.collect(),
            tso: topology.tso.as_ref().map(|tso| tso.advertise_url.clone()),
            ..Self::new(store, workdir, here.listen(scope))
        })
    }
}

/// Entries of a region under way at a time: with few cores it is saved CPU that makes writes fast, with many it is not
/// waiting.
fn entries_under_way() -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u64::try_from(cores / 2).unwrap_or(u64::MAX).max(1)
}
