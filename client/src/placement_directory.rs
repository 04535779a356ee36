//! A directory that asks a cluster's placement: it needs one address, whatever becomes of regions and stores.
//! While placement does not answer, the stores that it named are asked themselves, so that data outlives its outages.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use nokv_proto::metapb::StoreState;
use nokv_proto::pdpb::{GetAllStoresRequest, GetRegionRequest};
use parking_lot::Mutex;
use tonic::Status;

use crate::asking::ask;
use crate::directory::{DirectoryError, Located, RegionDirectory};
use crate::grpc::innermost;
use crate::placement_link::PlacementLink;
use crate::rpc::Rpc;

/// See the file's head.
pub struct PlacementDirectory {
    link: PlacementLink,
    rpc: Arc<dyn Rpc>,
    /// Where the stores listen, as placement said last.
    stores: Mutex<BTreeMap<u64, String>>,
}

impl PlacementDirectory {
    /// Asks whoever `link` finds; `rpc` reaches the stores.
    pub fn new(link: PlacementLink, rpc: Arc<dyn Rpc>) -> Self {
        Self { link, rpc, stores: Mutex::default() }
    }

    async fn find(&self, key: &[u8]) -> Result<Option<Located>, DirectoryError> {
        if self.stores.lock().is_empty() {
            // Without them there is nobody to ask when placement does not answer.
            self.learn_stores().await.map_err(unreached)?;
        }
        let asked = self.link.ask(|leader| {
            let region_key = bytes::Bytes::copy_from_slice(key);
            let request = GetRegionRequest { header: Some(leader.header()), region_key, ..GetRegionRequest::default() };
            async move { leader.client().get_region(request).await }
        });
        match asked.await {
            Ok(answer) => Ok(answer.region.map(|region| Located { region, leader: answer.leader })),
            Err(status) => {
                let addresses: Vec<String> = self.stores.lock().values().cloned().collect();
                let asked = ask(self.rpc.as_ref(), addresses.iter().map(String::as_str), key).await;
                asked.ok_or_else(|| unreached(status))
            }
        }
    }

    async fn learn_stores(&self) -> Result<(), Status> {
        let told = self.link.ask(|leader| {
            let request = GetAllStoresRequest { header: Some(leader.header()), exclude_tombstone_stores: true };
            async move { leader.client().get_all_stores(request).await }
        });
        let stores = told.await?.stores.into_iter().filter(|store| store.state() != StoreState::Tombstone);
        let stores: BTreeMap<u64, String> = stores.map(|store| (store.id, store.address)).collect();
        self.link.learn(stores.values().cloned());
        *self.stores.lock() = stores;
        Ok(())
    }
}

fn unreached(status: Status) -> DirectoryError {
    DirectoryError(format!("placement: {}", innermost(&status)))
}

impl RegionDirectory for PlacementDirectory {
    fn region<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Located>, DirectoryError>> {
        Box::pin(self.find(key))
    }

    /// Asked when the client does not know it, or has found that it is wrong.
    fn address(&self, store_id: u64) -> BoxFuture<'_, Result<Option<String>, DirectoryError>> {
        Box::pin(async move {
            let learnt = self.learn_stores().await;
            let known = self.stores.lock().get(&store_id).cloned();
            match (known, learnt) {
                (None, Err(status)) => Err(unreached(status)),
                (known, _) => Ok(known),
            }
        })
    }
}
