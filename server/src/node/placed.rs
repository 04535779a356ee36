//! What a node has to do with placement: it hosts it, or it only tells it how its regions are, or neither. Without it,
//! the cluster is what the topology file says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::{Client, NetworkOracle, Options, PlacementLink, PlacementOracle, TimestampOracle};
use nokv_engine::RocksEngine;
use nokv_proto::metapb::{Region, Store, StoreLabel};
use nokv_raftstore::{RunningStore, StoreError};
use nokv_transport::{AddressBook, Network, StoreId};
use slog::{Logger, warn};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::quiet_raft::raft_log;
use super::stop::{hand_over, rest};
use super::{NodeError, NodeOptions, layout};
use crate::admin::RegionAdmin;
use crate::placement::{
    HOSTS_LABEL, Placement, PlacementHost, PlacementIds, PlacementOptions, Reporter, keep_members, keep_safe_point,
};
use crate::region_ids::RegionIds;

pub(super) use crate::placement::StoreSelf;

/// How long placement's loops may take to end.
const LOOPS_END_MAX: Duration = Duration::from_secs(5);

/// What is done when a store cannot go on.
type OnStoreFailure = Arc<dyn Fn(StoreError) + Send + Sync>;

/// See the file's head.
#[derive(Default)]
pub(super) struct PlacedNode {
    hosted: Option<(Placement, RunningStore, JoinHandle<()>)>,
    /// What tells placement, and what keeps the safe point; given up when the node stops.
    chores: Vec<JoinHandle<()>>,
}

/// How this node reaches whoever leads placement, itself perhaps; `None` in a cluster without placement.
pub(super) fn link(options: &NodeOptions, address: SocketAddr) -> Option<PlacementLink> {
    if options.placement.is_none() && options.join.is_empty() {
        return None;
    }
    let named = options.stores.iter().map(|(_, address)| address.clone());
    let peers = options.peers.iter().map(|peer| peer.address.clone());
    // One that joins is no member at first, and need not ask itself.
    let begins = options.placement.is_some() && options.join.is_empty();
    let hosting = begins.then(|| myself(options, options.store, address).address);
    Some(PlacementLink::new(options.join.iter().cloned().chain(named).chain(peers).chain(hosting)))
}

/// Where this node's new ids come from: in a cluster with placement, from nowhere else.
pub(super) fn ids(options: &NodeOptions, link: Option<&PlacementLink>) -> Option<RegionIds> {
    match link {
        Some(link) => Some(RegionIds::asked_of(Arc::new(PlacementIds::new(link.clone())))),
        None => options.ids.clone(),
    }
}

/// What names the time to those who choose timestamps here, if anything does.
pub(super) fn oracle(
    options: &NodeOptions,
    link: Option<&PlacementLink>,
) -> Result<Option<Arc<dyn TimestampOracle>>, NodeError> {
    if let Some(url) = &options.tso {
        let oracle = NetworkOracle::new(url).map_err(|error| NodeError::Flags(error.to_string()))?;
        return Ok(Some(Arc::new(oracle)));
    }
    Ok(link.map(|link| Arc::new(PlacementOracle::new(link.clone())) as Arc<dyn TimestampOracle>))
}

impl PlacedNode {
    /// Opens placement's directory, if it is hosted here. `regions` are those of the store's first day.
    pub(super) fn open(
        options: &NodeOptions,
        regions: &[Region],
        address: SocketAddr,
        (book, link): (&AddressBook, Option<&PlacementLink>),
        log: &Logger,
    ) -> Result<Option<PlacementHost>, NodeError> {
        let (Some(settings), Some(link)) = (&options.placement, link) else { return Ok(None) };
        let placement = PlacementOptions {
            members: members(options),
            first_region: first_region(options, regions),
            highest_id: highest_id(regions),
            settings: settings.clone(),
        };
        let store = myself(options, options.store, address);
        let ways = (book.clone(), link.clone());
        PlacementHost::open(&options.workdir, store, placement, ways, log, &raft_log(log)).map(Some)
    }

    /// Starts what is hosted, and the heartbeats of this node.
    ///
    /// # Errors
    /// [`NodeError::Threads`].
    pub(super) fn start(
        hosted: Option<PlacementHost>,
        link: Option<PlacementLink>,
        (network, on_failure): (&Arc<dyn Network>, &OnStoreFailure),
        me: StoreSelf,
        admin: RegionAdmin<RocksEngine>,
        book: &AddressBook,
        log: &Logger,
    ) -> Result<Self, NodeError> {
        let hosted = hosted.map(|host| host.start(network, on_failure)).transpose().map_err(NodeError::Threads)?;
        let Some(link) = link else { return Ok(Self::default()) };
        let mut chores = Vec::new();
        if let Some((placement, _, _)) = &hosted {
            let client = Client::connect_to_placement(link.clone(), Options::default());
            chores.push(tokio::spawn(keep_safe_point(placement.clone(), client, log.clone())));
            chores.push(tokio::spawn(keep_members(placement.clone())));
        }
        let reporter = Reporter::new(me, admin, book.clone(), link, log.clone());
        chores.push(tokio::spawn(reporter.run()));
        Ok(Self { hosted, chores })
    }

    /// Gives placement's leadership to another node, if there is one that can take it.
    pub(super) async fn hand_over(&self, log: &Logger) {
        if let Some((placement, _, _)) = &self.hosted {
            hand_over(placement.raftstore(), log).await;
        }
    }

    /// Ends the heartbeats, then placement here, then brings its disk to rest.
    pub(super) async fn stop(self, log: &Logger) {
        self.chores.iter().for_each(JoinHandle::abort);
        let Some((placement, running, deciding)) = self.hosted else { return };
        deciding.abort();
        placement.raftstore().stop();
        let joined = tokio::task::spawn_blocking(move || running.join());
        if timeout(LOOPS_END_MAX, joined).await.is_err() {
            warn!(log, "placement's loops did not end in time");
        }
        rest(placement.raftstore().engine().clone(), log).await;
    }
}

/// The stores whose nodes host placement on its first day: all that are known; none in a cluster that has begun.
fn members(options: &NodeOptions) -> std::collections::BTreeSet<StoreId> {
    if !options.join.is_empty() {
        return std::collections::BTreeSet::new();
    }
    let known = options.stores.iter().map(|(store, _)| *store);
    known.chain(options.peers.iter().map(|peer| StoreId(peer.id))).chain([options.store]).collect()
}

/// The highest id of these regions and their peers.
fn highest_id(regions: &[Region]) -> u64 {
    let ids = regions.iter().flat_map(|region| region.peers.iter().map(|peer| peer.id).chain([region.id]));
    ids.max().unwrap_or(0)
}

/// A region of this store that stands for the whole keyspace: the others are made known by their leaders, and take
/// their part of it then.
fn first_region(options: &NodeOptions, regions: &[Region]) -> Region {
    use nokv_raftstore::RegionExt as _;
    let here = regions.iter().find(|region| region.peer_on(options.store).is_some());
    let mut first = here.cloned().unwrap_or_else(|| layout::whole_region(options.store, &options.peers));
    first.start_key.clear();
    first.end_key.clear();
    first
}

/// A store, as others should know it: at the address of the topology file, else where it listens.
pub(super) fn myself(options: &NodeOptions, id: StoreId, address: SocketAddr) -> Store {
    let named = options.stores.iter().find(|(store, _)| *store == id).map(|(_, address)| address.clone());
    // A name that was given to be listened on is also how others find it, unless it means every address or any port.
    let given = (!address.ip().is_unspecified() && !options.listen.ends_with(":0")).then(|| options.listen.clone());
    let mut labels = options.labels.clone();
    if options.placement.is_some() {
        labels.push(StoreLabel { key: HOSTS_LABEL.to_owned(), value: "yes".to_owned() });
    }
    Store {
        labels,
        id: id.0,
        address: named.or(given).unwrap_or_else(|| address.to_string()),
        version: options.version.clone(),
        ..Store::default()
    }
}

impl std::fmt::Debug for PlacedNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlacedNode").field("hosted", &self.hosted.is_some()).finish_non_exhaustive()
    }
}
