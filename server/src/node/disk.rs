//! The store's directory, from the moment in which it is this process's alone to that in which it fits the store.
//! It is taken before anything else, and given something only when all else is known to be right.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use nokv_client::PlacementLink;
use nokv_engine::{FileLogOptions, FileRaftLog, RaftLog, RocksEngine, RocksOptions};
use nokv_proto::metapb::Region;
use nokv_raftstore::{RegionExt as _, bootstrap_as, load_regions};
use nokv_transport::{AddressBook, StoreId};
use slog::{Logger, warn};

use super::identity::identify;
use super::meet::Meeter;
use super::placed::myself;
use super::{KeptAddresses, NodeError, NodeOptions, layout};
use crate::admin::Meeting;

/// Where the raft log is, within the store's directory.
const RAFT_LOG_DIRECTORY: &str = "raft-log";

/// A directory that is this process's alone, and has been given nothing yet.
pub(super) struct OpenDirectory {
    engine: RocksEngine,
    log: Arc<dyn RaftLog>,
}

/// A directory that fits the store.
pub(super) struct Disk {
    pub(super) engine: RocksEngine,
    pub(super) log: Arc<dyn RaftLog>,
    /// Of its first day, or of the topology file.
    pub(super) regions: Vec<Region>,
    /// Where the stores listen.
    pub(super) book: AddressBook,
    /// Where they listened when the cluster told it last.
    pub(super) addresses: Arc<KeptAddresses<RocksEngine>>,
}

impl OpenDirectory {
    /// Opens it, made if missing.
    ///
    /// # Errors
    /// It is none, is in use, or cannot be read.
    pub(super) fn open(workdir: &Path, options: &RocksOptions) -> Result<Self, NodeError> {
        if workdir.exists() && !workdir.is_dir() {
            let reason = "it is not a directory".to_owned();
            return Err(NodeError::Workdir { path: workdir.display().to_string(), reason });
        }
        let engine = RocksEngine::open(workdir, options)?;
        let log = FileRaftLog::open(workdir.join(RAFT_LOG_DIRECTORY), &FileLogOptions::default(), engine.clone())?;
        Ok(Self { engine, log: Arc::new(log) })
    }

    /// Finds out whose it is, and gives a new one its identity and its regions; `options.store` is known afterwards.
    ///
    /// # Errors
    /// It is not this store's, or the cluster does not take the store: then it has been given nothing.
    pub(super) async fn begin(
        self,
        options: &mut NodeOptions,
        link: Option<&PlacementLink>,
        address: SocketAddr,
    ) -> Result<Disk, NodeError> {
        let Self { engine, log } = self;
        let book = AddressBook::new();
        let addresses = Arc::new(KeptAddresses::load(engine.clone())?);
        if let Some(link) = link {
            remember(&addresses, link, &book);
        }
        let describe = |store| myself(options, store, address);
        let ident = identify(&engine, options, link, describe, &book).await?;
        options.store = ident.store;
        let regions = match &options.regions {
            Some(regions) => regions.clone(),
            None => {
                let kept: Vec<Region> = load_regions(&engine)?.into_values().map(|record| record.region).collect();
                let begins = kept.is_empty() && options.join.is_empty();
                if begins { vec![layout::whole_region(options.store, &options.peers)] } else { kept }
            }
        };
        // A mistake in the flags is found before a new directory is given its identity.
        enter_addresses(options, &regions, &book)?;
        bootstrap_as(&engine, log.as_ref(), &ident, &regions)?;
        if link.is_some() {
            let others = book.entries().into_iter().filter(|(store, _)| *store != options.store);
            addresses.keep(others.map(|(store, address)| (store, address.to_string())).collect())?;
        }
        Ok(Disk { engine, log, regions, book, addresses })
    }
}

impl Disk {
    /// Has the store meet the others before it takes part in anything.
    ///
    /// # Errors
    /// Its directory is new, and an earlier one of it is known to them.
    pub(super) async fn introduce(
        &self,
        options: &NodeOptions,
        address: SocketAddr,
        log: &Logger,
    ) -> Result<Meeter<RocksEngine>, NodeError> {
        let own = options.stores.iter().find(|(store, _)| *store == options.store);
        let meeter = Meeter {
            meeting: Meeting::new(self.engine.clone(), self.book.clone())?,
            book: self.book.clone(),
            address: own.map_or_else(|| address.to_string(), |(_, address)| address.clone()),
            log: log.clone(),
        };
        // In a cluster with placement a store id belongs to one directory for ever.
        let ids = options.ids.as_ref().filter(|_| options.placement.is_none() && options.join.is_empty());
        meeter.before_first_part(&self.engine, self.log.as_ref(), ids).await?;
        Ok(meeter)
    }

    /// Says which members of this store's regions nobody gave an address for.
    pub(super) fn log_stores(&self, store: StoreId, log: &Logger) {
        let here = self.regions.iter().filter(|region| region.peer_on(store).is_some());
        let mut unknown: Vec<u64> = here
            .flat_map(|region| &region.peers)
            .map(|peer| peer.store_id)
            .filter(|member| *member != store.0 && self.book.get(StoreId(*member)).is_none())
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        if !unknown.is_empty() {
            warn!(log, "nobody said where these stores listen; nothing is sent to them"; "stores" => ?unknown);
        }
    }
}

/// Has what was kept stand in for what the cluster will say.
fn remember(addresses: &KeptAddresses<RocksEngine>, link: &PlacementLink, book: &AddressBook) {
    let kept = addresses.entries();
    for (store, address) in &kept {
        // One that is no address is its own store's to correct.
        let _ = book.set(*store, address);
    }
    link.learn(kept.into_values());
}

/// Enters where the stores listen, as far as the topology file and the flags say.
fn enter_addresses(options: &NodeOptions, regions: &[Region], book: &AddressBook) -> Result<(), NodeError> {
    for (store, address) in &options.stores {
        book.set(*store, address)?;
    }
    for (store, address) in layout::addresses(&options.peers, regions)? {
        book.set(store, &address)?;
    }
    Ok(())
}
