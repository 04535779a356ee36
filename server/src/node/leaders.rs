//! What stores ask each other for the sake of reads, over connections that are kept, one for each store: leaders, how
//! far a replica has to have applied (`tikvpb.Tikv/ReadIndex`); and those that may follow, whether they do
//! (`tikvpb.Tikv/CheckLeader`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb::{self, CheckLeaderRequest, CheckLeaderResponse, ReadIndexRequest};
use nokv_proto::metapb::Peer;
use nokv_proto::tikvpb::tikv_client::TikvClient;
use nokv_raftstore::{RegionError, RequestContext};
use nokv_transport::{AddressBook, StoreId};
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use crate::executor::Leaders;
use crate::settler::Followers;

/// How long a leader is waited for: a little more than it may wait for its quorum.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The other stores, found in the address book.
pub(super) struct StoreLeaders {
    book: AddressBook,
    /// By address, so that a store that has moved is found.
    channels: Mutex<BTreeMap<Arc<str>, Channel>>,
}

impl StoreLeaders {
    pub(super) fn new(book: AddressBook) -> Self {
        Self { book, channels: Mutex::default() }
    }

    fn channel(&self, store: StoreId) -> Option<Channel> {
        let address = self.book.get(store)?;
        let mut channels = self.channels.lock();
        if let Some(known) = channels.get(&address) {
            return Some(known.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let channel = endpoint.connect_timeout(CONNECT_MAX).tcp_nodelay(true).connect_lazy();
        channels.insert(address, channel.clone());
        Some(channel)
    }
}

impl Leaders for StoreLeaders {
    fn read_index<'a>(
        &'a self,
        leader: Peer,
        context: &'a RequestContext,
        version: Timestamp,
    ) -> BoxFuture<'a, Result<u64, RegionError>> {
        Box::pin(async move {
            let silent = |why: &str| {
                let reason = format!("store {}, which leads region {}: {why}", leader.store_id, context.region_id);
                RegionError::ServerIsBusy { reason, backoff_ms: 100 }
            };
            let channel = self.channel(StoreId(leader.store_id)).ok_or_else(|| silent("its address is not known"))?;
            let request = ReadIndexRequest {
                context: Some(kvrpcpb::Context {
                    region_id: context.region_id.0,
                    region_epoch: context.epoch,
                    peer: Some(leader),
                    // So that the leader settles timestamps from now on.
                    stale_read: context.stale_read,
                    ..Default::default()
                }),
                start_ts: version.0,
                ..Default::default()
            };
            let answer = tokio::time::timeout(ANSWER_MAX, TikvClient::new(channel).read_index(request)).await;
            let answer = answer.map_err(|_| silent("no answer in time"))?;
            let answer = answer.map_err(|status| silent(status.message()))?.into_inner();
            match answer.region_error.map(|error| *error) {
                None => Ok(answer.read_index),
                Some(error) => Err(refused(error, context, &silent)),
            }
        })
    }
}

impl Followers for StoreLeaders {
    fn check_leader(&self, store: StoreId, request: CheckLeaderRequest) -> BoxFuture<'_, Option<CheckLeaderResponse>> {
        Box::pin(async move {
            let mut client = TikvClient::new(self.channel(store)?);
            Some(client.check_leader(request).await.ok()?.into_inner())
        })
    }
}

/// What the leader's store says, as far as it helps the client: the rest is for it to try again.
fn refused(
    error: nokv_proto::errorpb::Error,
    context: &RequestContext,
    silent: &dyn Fn(&str) -> RegionError,
) -> RegionError {
    if let Some(moved) = error.epoch_not_match {
        return RegionError::EpochNotMatch { current: moved.current_regions };
    }
    match error.not_leader {
        Some(not_leader) => RegionError::NotLeader { region: context.region_id, leader: not_leader.leader },
        None => silent(&error.message),
    }
}
