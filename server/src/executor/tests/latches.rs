//! Law 4: latches are held from the view to the applied write, whatever becomes of the request that asked for it.
//! If they were not, the second prewrite would not see the first one's lock, and both would succeed.

use std::time::Duration;

use nokv_raftstore::RegionError;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_given_up_keeps_its_latches_until_its_write_is_applied() {
    let rig = Rig::start(ExecutorOptions::default()).await;
    rig.log.hold();
    let executor = rig.executor.clone();
    let first = tokio::spawn(async move { executor.write(&context(1), &prewrite(&["k"], 10)).await });
    rig.log.until_waited_for().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(rig.executor.writes_under_way().0, 1, "the write itself goes on, and counts");

    let executor = rig.executor.clone();
    let second = tokio::spawn(async move { executor.write(&context(1), &prewrite(&["k"], 20)).await });
    while rig.executor.writes_under_way().0 < 2 {
        tokio::task::yield_now().await;
    }
    rig.log.release();
    let errors = second.await.unwrap().unwrap().errors;
    assert!(
        matches!(&errors[..], [nokv_percolator::KeyError::Locked(lock)] if lock.start_ts.0 == 10),
        "the second must meet the first one's lock: {errors:?}"
    );
    assert_eq!(rig.lock_on("k").await, Some(10));
    // The first write's latches go before its count does: the second may have been answered in between.
    while rig.executor.writes_under_way() != (0, 0) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_takes_too_long_is_answered_as_unknown_and_goes_on() {
    let options = ExecutorOptions { write_wait_max: Duration::from_millis(20), ..Default::default() };
    let rig = Rig::start(options).await;
    rig.log.hold();
    let late = rig.prewrite("k", 10).await.unwrap_err();
    assert!(matches!(late, ExecuteError::Region(RegionError::StaleCommand)), "{late:?}");
    rig.log.release();
    while rig.executor.writes_under_way().0 > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(rig.lock_on("k").await, Some(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_latches_ends_with_a_reason() {
    let options = ExecutorOptions { latch_wait_max: Duration::from_millis(20), ..Default::default() };
    let rig = Rig::start(options).await;
    rig.log.hold();
    let executor = rig.executor.clone();
    let first = tokio::spawn(async move { executor.write(&context(1), &prewrite(&["k"], 10)).await });
    rig.log.until_waited_for().await;
    let busy = rig.prewrite("k", 20).await.unwrap_err().to_string();
    assert!(busy.contains("same keys"), "{busy}");
    rig.log.release();
    assert!(first.await.unwrap().unwrap().errors.is_empty());
}
