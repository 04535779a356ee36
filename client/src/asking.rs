//! A directory that asks the stores themselves which regions they hold (`nokvpb.Admin/RegionAt`), so that it knows of
//! splits, merges and moves that its topology does not. Servers without that call are known by the topology alone.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use nokv_proto::nokvpb::{RegionAtRequest, RegionAtResponse};

use crate::directory::{DirectoryError, Located, RegionDirectory};
use crate::rpc::Rpc;
use crate::topology::Topology;

/// How long one store is waited for: the others mostly know as well.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Knows the stores of a topology, and asks them for regions.
pub struct AskingDirectory {
    rpc: Arc<dyn Rpc>,
    topology: Topology,
}

impl AskingDirectory {
    /// Asks the stores of `topology`, whose regions are believed only where no store can be asked.
    pub fn new(rpc: Arc<dyn Rpc>, topology: Topology) -> Self {
        AskingDirectory { rpc, topology }
    }
}

impl RegionDirectory for AskingDirectory {
    fn region<'a>(&'a self, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Located>, DirectoryError>> {
        Box::pin(async move {
            let addresses = self.topology.stores().map(|(_, address)| address);
            match ask(self.rpc.as_ref(), addresses, key).await {
                Some(found) => Ok(found),
                None => Ok(self.topology.region(key).cloned()),
            }
        })
    }

    fn address(&self, store_id: u64) -> BoxFuture<'_, Result<Option<String>, DirectoryError>> {
        Box::pin(std::future::ready(Ok(self.topology.stores.get(&store_id).cloned())))
    }
}

/// What the stores at `addresses` say of `key` (encoded as region bounds are): the leader's word at once, else the
/// newest of all. `None` if none of them can be asked; `Some(None)` if none of those that can holds the key.
pub(crate) async fn ask<'a>(
    rpc: &dyn Rpc,
    addresses: impl Iterator<Item = &'a str>,
    key: &[u8],
) -> Option<Option<Located>> {
    let request = RegionAtRequest { key: bytes::Bytes::copy_from_slice(key) };
    let question = |address| tokio::time::timeout(ANSWER_TIMEOUT, rpc.region_at(address, request.clone()));
    let mut answers: FuturesUnordered<_> = addresses.map(question).collect();
    let (mut asked, mut newest) = (false, None);
    while let Some(answer) = answers.next().await {
        let Ok(Ok(RegionAtResponse { region, leader, leads })) = answer else { continue };
        asked = true;
        let Some(region) = region else { continue };
        let located = Located { region, leader };
        if leads {
            return Some(Some(located));
        }
        if newest.as_ref().is_none_or(|newest| epoch(newest) < epoch(&located)) {
            newest = Some(located);
        }
    }
    asked.then_some(newest)
}

fn epoch(located: &Located) -> (u64, u64) {
    let epoch = located.region.region_epoch.unwrap_or_default();
    (epoch.version, epoch.conf_ver)
}
