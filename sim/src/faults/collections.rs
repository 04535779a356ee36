//! The safe point rises now and then, to a moment not long ago: all transactions that are older are ended first, as the
//! driver of garbage collection does it, then every region is told. What goes, and who is refused, is the stores' part.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use nokv_engine::MemoryEngine;
use nokv_percolator::{CheckTxnStatus, Key, LockInfo, Timestamp, TxnStatus};
use nokv_proto::metapb::Region;
use nokv_raftstore::{RegionExt as _, RequestContext, Role};
use nokv_server::executor::{Executor, RegionLocks, ResolveRegion};
use tokio::sync::oneshot;

use super::{about, begins};
use crate::random::Random;
use crate::world::{Node, World};

/// Longer than that, and it is given up half-way, which must be fine as well.
const PATIENCE: Duration = Duration::from_secs(10);

/// Raises the safe point, for ever.
pub(super) async fn raise(world: Arc<World>, mut random: Random) {
    let pace_ms = random.between(300, 5_000);
    loop {
        about(pace_ms, &mut random).await;
        let now = world.invariants.timestamps.highest();
        let back_ms = random.between(0, 20_000);
        let safe_point = Timestamp::compose(now.physical_ms().saturating_sub(back_ms), 0);
        begins(&world, format_args!("the safe point is to rise to {safe_point}"));
        let done = tokio::time::timeout(PATIENCE, raise_to(&world, safe_point)).await;
        world.note(format_args!("the safe point has risen everywhere: {}", matches!(done, Ok(Some(())))));
    }
}

/// `None` if a region has no leader that answers.
async fn raise_to(world: &Arc<World>, safe_point: Timestamp) -> Option<()> {
    let mut next = Some(Vec::new());
    while let Some(key) = next {
        next = end_older(world, &key, safe_point).await?;
    }
    let mut next = Some(Vec::new());
    while let Some(key) = next {
        let (node, region) = holder(world, &key)?;
        let context = context_of(&region);
        let told =
            on(world, &node, move |executor| async move { executor.raise_safe_point(&context, safe_point).await });
        told.await?.ok()?;
        next = behind(&region);
    }
    Some(())
}

/// Ends what older transactions left in the region of a key. Where the next region begins.
async fn end_older(world: &Arc<World>, key: &[u8], safe_point: Timestamp) -> Option<Option<Vec<u8>>> {
    let (node, region) = holder(world, key)?;
    let context = context_of(&region);
    let locks = RegionLocks {
        lower: region.start_key.clone(),
        upper: region.end_key.clone(),
        max_ts: Timestamp(safe_point.0 - 1),
        limit: usize::MAX,
    };
    let asked = context.clone();
    let found = on(world, &node, move |executor| async move { executor.scan_locks(&asked, &locks).await });
    for lock in found.await?.ok()? {
        let commit_ts = fate(world, &lock).await?;
        let (start_ts, context) = (lock.start_ts, context.clone());
        let resolve = ResolveRegion { start_ts, commit_ts };
        let done = on(world, &node, move |executor| async move { executor.resolve_region(&context, resolve).await });
        done.await?.ok()?.ok()?;
    }
    Some(behind(&region))
}

/// When a lock's transaction committed; zero if it did not, and never will.
async fn fate(world: &Arc<World>, lock: &LockInfo) -> Option<Timestamp> {
    let primary = Key::encode(&lock.primary);
    let (node, region) = holder(world, primary.as_encoded())?;
    let context = context_of(&region);
    let command = CheckTxnStatus {
        primary,
        lock_ts: lock.start_ts,
        caller_start_ts: Timestamp::ZERO,
        current_ts: Timestamp::MAX,
        rollback_if_not_exist: true,
        verify_is_primary: false,
        // One that commits asynchronously may be whole: it is left to those who can ask its other keys.
        force_sync_commit: false,
    };
    let asked = on(world, &node, move |executor| async move { executor.write(&context, &command).await });
    match asked.await?.ok()?.ok()?.status {
        TxnStatus::Committed(commit_ts) => Some(commit_ts),
        TxnStatus::RolledBack => Some(Timestamp::ZERO),
        TxnStatus::Alive(_) => None,
    }
}

/// Who believes to lead the region of a key.
fn holder(world: &World, key: &[u8]) -> Option<(Arc<Node>, Region)> {
    world.nodes().into_iter().find_map(|node| {
        let regions = node.handle.regions();
        let leads = regions
            .iter()
            .find(|status| status.state.role == Role::Leader && status.state.region.range().contains(key));
        let region = Region::clone(&leads?.state.region);
        Some((node, region))
    })
}

fn context_of(region: &Region) -> RequestContext {
    RequestContext { region_id: region.region_id(), epoch: region.region_epoch, ..RequestContext::default() }
}

fn behind(region: &Region) -> Option<Vec<u8>> {
    (!region.end_key.is_empty()).then(|| region.end_key.to_vec())
}

/// Has a node do something in its own process; `None` if it dies meanwhile.
async fn on<T, F>(world: &Arc<World>, node: &Arc<Node>, work: impl FnOnce(Executor<MemoryEngine>) -> F) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (done, told) = oneshot::channel();
    let work = work(node.executor.clone());
    node.spawn(world, async move {
        let _ = done.send(work.await);
    });
    told.await.ok()
}
