//! Who this node is: what its directory keeps, what the flags say, and what the cluster says to that. All of it is
//! settled before a new directory is given anything: a node that is refused has changed nothing.

use std::time::Duration;

use nokv_client::{PlacementLeader, PlacementLink};
use nokv_engine::Engine;
use nokv_proto::metapb::Store;
use nokv_proto::pdpb::{AllocIdRequest, GetAllStoresRequest, PutStoreRequest, PutStoreResponse, ResponseHeader};
use nokv_raftstore::{StoreIdent, load_regions};
use nokv_transport::{AddressBook, StoreId};
use tokio::time::timeout;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::{NodeError, NodeOptions};
use crate::placement::DIRECTORY_HEADER;

/// The id of the first store of a cluster that is told none.
const FIRST_STORE: StoreId = StoreId(1);
/// How long whoever leads placement is waited for.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Finds the identity of a directory, and has the cluster take it, if there is one that hosts placement. `describe`
/// says how others should know the store; where they are is entered in `book`.
///
/// # Errors
/// [`NodeError::Joining`] if the cluster does not take this store, or if a new one is to join and nobody answers.
pub(super) async fn identify(
    engine: &impl Engine,
    options: &NodeOptions,
    link: Option<&PlacementLink>,
    describe: impl Fn(StoreId) -> Store,
    book: &AddressBook,
) -> Result<StoreIdent, NodeError> {
    let kept = StoreIdent::load(engine)?;
    let leader = match link {
        Some(link) => link.leader().await,
        None => Err(Status::unavailable("there is no placement")),
    };
    let mut ident = match (kept, options.store) {
        // That another id was asked for is found when the directory is opened for it.
        (Some(kept), StoreId(0)) => kept,
        (Some(kept), store) => StoreIdent { store, ..kept },
        (None, StoreId(0)) if options.join.is_empty() => StoreIdent::new(FIRST_STORE, rand::random()),
        (None, StoreId(0)) => StoreIdent::new(new_store(&leader).await?, rand::random()),
        (None, store) => StoreIdent::new(store, rand::random()),
    };
    if kept.is_some_and(|kept| kept.store != ident.store) {
        return Ok(ident);
    }
    if kept.is_some() && ident.cluster == 0 && !options.join.is_empty() && !load_regions(engine)?.is_empty() {
        let text = "the directory belongs to a cluster of its own, and has regions of it; join with an empty one";
        return Err(NodeError::Joining(text.to_owned()));
    }
    // It is known there, and tells the cluster of itself as soon as somebody answers.
    let is_known = kept.is_some() || options.join.is_empty();
    let leader = match leader {
        Ok(leader) => leader,
        Err(_) if is_known => return Ok(ident),
        Err(status) => return Err(nobody(&status)),
    };
    if ident.cluster != 0 && ident.cluster != leader.cluster_id {
        return Err(NodeError::Joining(format!(
            "the directory belongs to cluster {}, and the nodes at {} are cluster {}",
            ident.cluster, leader.address, leader.cluster_id
        )));
    }
    match register(&leader, describe(ident.store), ident.directory).await {
        Ok(answer) => refused(answer.header)?,
        // Who is said to lead may be gone, or may be this very node, which does not answer yet.
        Err(_) if kept.is_some() => {
            link.inspect(|link| link.lost(&leader));
            return Ok(ident);
        }
        Err(status) => return Err(nobody(&status)),
    }
    learn_stores(&leader, ident.store, book).await;
    ident.cluster = leader.cluster_id;
    Ok(ident)
}

fn nobody(status: &Status) -> NodeError {
    NodeError::Joining(format!(
        "no cluster can be joined there, and nothing was changed: {}; if placement has no leader, start the nodes that \
         host it first",
        status.message()
    ))
}

/// A store id that nobody has.
async fn new_store(leader: &Result<PlacementLeader, Status>) -> Result<StoreId, NodeError> {
    let leader = leader.as_ref().map_err(nobody)?;
    let request = AllocIdRequest { header: Some(leader.header()), count: 1 };
    let answer = leader.client().alloc_id(request).await.map_err(|status| nobody(&status))?.into_inner();
    refused(answer.header)?;
    Ok(StoreId(answer.id))
}

async fn register(leader: &PlacementLeader, store: Store, directory: u64) -> Result<PutStoreResponse, Status> {
    let mut request = Request::new(PutStoreRequest { header: Some(leader.header()), store: Some(store) });
    request.metadata_mut().insert(DIRECTORY_HEADER, MetadataValue::from(directory));
    let late = |_| Status::deadline_exceeded(format!("{} does not answer", leader.address));
    Ok(timeout(ANSWER_MAX, leader.client().put_store(request)).await.map_err(late)??.into_inner())
}

fn refused(header: Option<ResponseHeader>) -> Result<(), NodeError> {
    match header.and_then(|header| header.error) {
        Some(error) => Err(NodeError::Joining(error.message)),
        None => Ok(()),
    }
}

/// Where the others are. What cannot be had now is told with the next heartbeat.
async fn learn_stores(leader: &PlacementLeader, me: StoreId, book: &AddressBook) {
    let request = GetAllStoresRequest { header: Some(leader.header()), exclude_tombstone_stores: true };
    let Ok(answer) = leader.client().get_all_stores(request).await else { return };
    for store in answer.into_inner().stores.iter().filter(|store| store.id != me.0) {
        // One that is no address is its own store's to correct.
        let _ = book.set(StoreId(store.id), &store.address);
    }
}
