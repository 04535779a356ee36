//! Where to send a request for a key, and what each failure teaches about that.
//! The only state of the client that operations share, besides known transaction outcomes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nokv_proto::{errorpb, kvrpcpb, metapb};
use parking_lot::Mutex;

use crate::budget::{Budget, Wait};
use crate::directory::RegionDirectory;
use crate::error::{Error, InvalidInput, Result};
use crate::options::ReadFrom;
use crate::region_cache::{CachedRegion, PeerFailure, RegionCache};
use crate::rpc::RpcError;
use crate::store_health::StoreHealth;

/// Where one request goes.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) region: Arc<metapb::Region>,
    pub(crate) peer: metapb::Peer,
    pub(crate) address: Arc<str>,
    /// Whether the peer is to serve the read though it may follow, and how.
    pub(crate) read_from: ReadFrom,
}

impl Route {
    /// The context that says so to the store.
    pub(crate) fn context(&self) -> kvrpcpb::Context {
        kvrpcpb::Context {
            region_id: self.region.id,
            region_epoch: self.region.region_epoch,
            peer: Some(self.peer),
            replica_read: self.read_from != ReadFrom::Leader,
            stale_read: self.read_from == ReadFrom::Settled,
            ..Default::default()
        }
    }
}

/// What a failed request means for the operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Ask for the route anew and try again, after a pause of this kind and at least this length.
    Again {
        wait: Wait,
        at_least: Duration,
        /// Whether the store may have executed the request, or still will.
        may_have_run: bool,
    },
    /// Trying again cannot help.
    Final { error: Error, may_have_run: bool },
}

/// Regions, leaders, stores and their addresses.
pub(crate) struct Router {
    directory: Arc<dyn RegionDirectory>,
    regions: Mutex<RegionCache>,
    health: Mutex<StoreHealth>,
    addresses: Mutex<BTreeMap<u64, Arc<str>>>,
    /// Whose turn it is among replicas that serve reads.
    turn: AtomicUsize,
}

impl Router {
    pub(crate) fn new(directory: Arc<dyn RegionDirectory>) -> Self {
        Router {
            directory,
            regions: Mutex::default(),
            health: Mutex::default(),
            addresses: Mutex::default(),
            turn: AtomicUsize::new(0),
        }
    }

    /// The region that holds `key` (encoded as bounds are), and the peer to ask.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if by the deadline no region or no address of any of its stores is known.
    pub(crate) async fn locate(&self, key: &[u8], budget: &mut Budget) -> Result<Route> {
        self.locate_one(key, ReadFrom::Leader, budget).await
    }

    /// The region that holds `key`, and one of its peers, in turn, to read from.
    ///
    /// # Errors
    /// As [`Router::locate`].
    pub(crate) async fn locate_replica(&self, key: &[u8], from: ReadFrom, budget: &mut Budget) -> Result<Route> {
        self.locate_one(key, from, budget).await
    }

    async fn locate_one(&self, key: &[u8], read_from: ReadFrom, budget: &mut Budget) -> Result<Route> {
        loop {
            budget.check()?;
            match self.region(key).await {
                Ok(Some(cached)) => {
                    for peer in self.in_order(&cached, read_from != ReadFrom::Leader) {
                        match self.address(peer.store_id).await {
                            Ok(Some(address)) => {
                                return Ok(Route { region: cached.region, peer, address, read_from });
                            }
                            Ok(None) => budget.note(format!("address of store {} is not known", peer.store_id)),
                            Err(reason) => budget.note(reason),
                        }
                    }
                }
                Ok(None) => budget.note(format!("no region is known for key {}", key.escape_ascii())),
                Err(reason) => budget.note(reason),
            }
            budget.back_off(Wait::Oracle, Duration::ZERO).await?;
        }
    }

    /// Notes that a peer served a request.
    pub(crate) fn succeeded(&self, route: &Route) {
        self.health.lock().answered(route.peer.store_id);
        if route.read_from == ReadFrom::Leader {
            self.regions.lock().succeeded(&route.region, &route.peer);
        }
    }

    /// Learns from a request that has no answer.
    pub(crate) fn rpc_failed(&self, route: &Route, error: RpcError) -> Verdict {
        let may_have_run = error.may_have_run();
        if error.is_final() {
            let (address, reason) = (route.address.to_string(), error.to_string());
            let error = match error {
                RpcError::TooLarge(_) => InvalidInput::MessageTooLarge { address, reason }.into(),
                _ => Error::Refused { address, reason },
            };
            return Verdict::Final { error, may_have_run };
        }
        if !matches!(error, RpcError::Other(_)) {
            self.health.lock().failed(route.peer.store_id);
            // The store may have moved.
            self.addresses.lock().remove(&route.peer.store_id);
        }
        self.regions.lock().failed(&route.region, &route.peer, PeerFailure::Silent);
        Verdict::Again { wait: Wait::Network, at_least: Duration::ZERO, may_have_run }
    }

    /// Learns from a region error.
    ///
    /// Only errors that a store can give before it proposes anything, or that it gives because the entry was refused
    /// when applied, say for sure that the request did not and will not run. The others may follow a proposal whose
    /// fate the store could not wait for.
    pub(crate) fn region_failed(&self, route: &Route, error: errorpb::Error) -> Verdict {
        self.health.lock().answered(route.peer.store_id);
        let mut regions = self.regions.lock();
        let mut peer_failed = |failure| regions.failed(&route.region, &route.peer, failure);
        let again = |wait, may_have_run| Verdict::Again { wait, at_least: Duration::ZERO, may_have_run };
        if let Some(not_leader) = error.not_leader {
            let wait = if not_leader.leader.is_some() { Wait::Moved } else { Wait::Leader };
            peer_failed(PeerFailure::NotLeader(not_leader.leader));
            // Said of what was not handed to raft, or was refused by it; what was is answered as stale.
            again(wait, false)
        } else if let Some(epoch) = error.epoch_not_match {
            regions.take_correction(&route.region, epoch.current_regions);
            again(Wait::Moved, false)
        } else if error.key_not_in_region.is_some() {
            regions.forget(&route.region);
            again(Wait::Moved, false)
        } else if error.store_not_match.is_some() {
            peer_failed(PeerFailure::Unknown);
            self.addresses.lock().remove(&route.peer.store_id);
            again(Wait::Network, false)
        } else if error.region_not_found.is_some() || error.region_not_initialized.is_some() {
            peer_failed(PeerFailure::Unknown);
            again(Wait::Leader, true)
        } else if let Some(large) = error.raft_entry_too_large {
            let input = InvalidInput::WriteTooLarge { region: route.region.id, entry_bytes: large.entry_size };
            Verdict::Final { error: input.into(), may_have_run: false }
        } else if let Some(busy) = error.server_is_busy {
            let at_least = Duration::from_millis(busy.backoff_ms);
            Verdict::Again { wait: Wait::Busy, at_least, may_have_run: true }
        } else if error.proposal_in_merging_mode.is_some() {
            // Instead of a proposal, or of an entry's effects: the region is frozen until its neighbour has it.
            again(Wait::Busy, false)
        } else if error.stale_command.is_some() {
            again(Wait::Moved, true)
        } else {
            again(Wait::Busy, true)
        }
    }

    /// The region from the cache, else from the directory.
    async fn region(&self, key: &[u8]) -> std::result::Result<Option<CachedRegion>, String> {
        if let Some(cached) = self.regions.lock().find(key) {
            return Ok(Some(cached.clone()));
        }
        let located = self.directory.region(key).await.map_err(|error| error.to_string())?;
        Ok(located.map(|located| self.regions.lock().insert_around(located, key)))
    }

    /// The peers to try: those on stores that answer, then the others.
    fn in_order(&self, cached: &CachedRegion, in_turn: bool) -> Vec<metapb::Peer> {
        let mut peers: Vec<_> = cached.candidates().copied().collect();
        if in_turn {
            peers.sort_unstable_by_key(|peer| peer.id);
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % peers.len().max(1);
            peers.rotate_left(turn);
        }
        let health = self.health.lock();
        let (suspect, fine): (Vec<_>, Vec<_>) = peers.into_iter().partition(|peer| health.is_suspect(peer.store_id));
        fine.into_iter().chain(suspect).collect()
    }

    async fn address(&self, store_id: u64) -> std::result::Result<Option<Arc<str>>, String> {
        if let Some(address) = self.addresses.lock().get(&store_id) {
            return Ok(Some(address.clone()));
        }
        let address = self.directory.address(store_id).await.map_err(|error| error.to_string())?;
        Ok(address.map(|address| {
            let address: Arc<str> = address.into();
            self.addresses.lock().insert(store_id, address.clone());
            address
        }))
    }
}
