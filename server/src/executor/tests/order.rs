//! Where several things are wrong with a request, the region error is the first of the wire's page.
//! The mistakes are mended one at a time, and each time the next one must be the answer.

use nokv_percolator::Get;
use nokv_proto::metapb::{Peer, RegionEpoch};
use nokv_raftstore::RegionError;

use super::*;

/// Everything is wrong with it: store, region, epoch, term; the key is asked for beside it.
fn all_wrong() -> RequestContext {
    RequestContext {
        region_id: RegionId(9),
        epoch: Some(RegionEpoch { conf_ver: 1, version: 7 }),
        peer: Some(Peer { id: 1, store_id: 5, ..Default::default() }),
        term: 999,
        ..Default::default()
    }
}

#[tokio::test]
async fn the_first_mistake_of_the_page_is_the_answer() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    let outside = Key::encode(b"z");
    let command = Get { key: outside, read: ReadPoint::snapshot(Timestamp(1)) };
    let mut context = all_wrong();
    let ask = async |context: &RequestContext| match rig.executor.get(context, &command).await {
        Err(ExecuteError::Region(error)) => error,
        other => panic!("{other:?}"),
    };

    let error = ask(&context).await;
    assert!(matches!(error, RegionError::StoreNotMatch { request_store: StoreId(5), actual_store: STORE }));
    context.peer = None;
    assert!(matches!(ask(&context).await, RegionError::RegionNotFound { region: RegionId(9) }));
    context.region_id = RegionId(1);
    assert!(matches!(ask(&context).await, RegionError::EpochNotMatch { current } if current[0].id == 1));
    context.epoch = Some(RegionEpoch { conf_ver: 1, version: 1 });
    assert!(matches!(ask(&context).await, RegionError::KeyNotInRegion { region: RegionId(1), .. }));
    context.region_id = RegionId(2);
    assert!(matches!(ask(&context).await, RegionError::StaleCommand));
    context.term = 0;
    assert!(rig.executor.get(&context, &command).await.is_ok());
}

#[tokio::test]
async fn a_write_is_checked_in_the_same_order() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    let stale = RequestContext { term: 999, ..context(1) };
    let outside = rig.executor.write(&stale, &prewrite(&["a", "z"], 10)).await.unwrap_err();
    assert!(matches!(outside, ExecuteError::Region(RegionError::KeyNotInRegion { .. })), "{outside:?}");
    let inside = rig.executor.write(&stale, &prewrite(&["a"], 10)).await.unwrap_err();
    assert!(matches!(inside, ExecuteError::Region(RegionError::StaleCommand)), "{inside:?}");
    let raw = rig.executor.raw_put(&stale, b"z", b"").await.unwrap_err();
    assert!(matches!(raw, ExecuteError::Region(RegionError::KeyNotInRegion { .. })), "{raw:?}");
    assert_eq!(rig.lock_on("a").await, None);
}
