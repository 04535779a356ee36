//! How a command finds the cluster: by a topology file, or by the address of any node, which knows the rest.
//! What is asked of a cluster stands in for the file, so that commands need not know which of the two it was.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nokv_client::PlacementLink;
use nokv_proto::metapb::{Region, StoreState};
use nokv_proto::pdpb::{GetAllStoresRequest, ScanRegionsRequest};
use nokv_transport::StoreId;
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::exit::Failure;
use crate::config::{AddressScope, Topology};

/// Regions asked for at once.
const PAGE: i32 = 4_096;
/// How long a cluster is waited for whose placement has no leader at the moment.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// See the file's head.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct FindArgs {
    /// The topology file (stores, regions, timestamp server), for instance raft_config.json
    #[arg(long, value_name = "FILE", conflicts_with = "addr")]
    pub(super) config: Option<PathBuf>,
    /// A node that hosts placement, of a cluster without a topology file; several may be given
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(super) addr: Vec<String>,
}

impl FindArgs {
    /// The topology: the file's, or what the cluster says now.
    pub(super) async fn load(&self) -> Result<Topology, Failure> {
        match &self.config {
            Some(file) => Ok(Topology::load(file)?),
            None => told(&PlacementLink::new(self.addr.iter().cloned())).await,
        }
    }

    /// Whoever leads placement, found by the stores of the file or by the addresses given.
    pub(super) fn link(&self, scope: AddressScope) -> Result<PlacementLink, Failure> {
        let Some(file) = &self.config else { return Ok(PlacementLink::new(self.addr.iter().cloned())) };
        let topology = Topology::load(file)?;
        Ok(PlacementLink::new(topology.stores.iter().map(|store| store.advertised(scope).to_owned())))
    }
}

/// What a cluster says of its stores and regions.
async fn told(link: &PlacementLink) -> Result<Topology, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask(link).await {
            Ok(topology) => return Ok(topology),
            Err(status) if Instant::now() >= deadline => return Err(unreached(&status)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn ask(link: &PlacementLink) -> Result<Topology, Status> {
    let stores = link.ask(|leader| async move {
        let request = GetAllStoresRequest { header: Some(leader.header()), exclude_tombstone_stores: true };
        leader.client().get_all_stores(request).await
    });
    let stores = stores.await?.stores.into_iter().filter(|store| store.state() != StoreState::Tombstone);
    let stores: Vec<_> = stores.map(|store| (StoreId(store.id), store.address)).collect();
    let mut regions: Vec<Region> = Vec::new();
    loop {
        let start_key = regions.last().map(|region| region.end_key.clone()).unwrap_or_default();
        let page = link.ask(|leader| {
            let start_key = start_key.clone();
            let request =
                ScanRegionsRequest { header: Some(leader.header()), start_key, limit: PAGE, ..Default::default() };
            async move { leader.client().scan_regions(request).await }
        });
        let page = page.await?.region_metas;
        let is_last = page.last().is_none_or(|region| region.end_key.is_empty());
        regions.extend(page);
        if is_last {
            return Ok(Topology::learnt(stores, &regions));
        }
    }
}

/// Placement cannot be asked.
pub(super) fn unreached(status: &Status) -> Failure {
    let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    let text = causes.last().map_or_else(|| status.message().to_owned(), ToString::to_string);
    Failure {
        advice: Some("name a node that hosts placement and runs; nothing was changed".to_owned()),
        ..Failure::error(format!("placement cannot be asked: {text}"))
    }
}
