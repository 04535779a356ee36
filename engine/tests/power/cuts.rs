//! The power is cut at moments all over a run: right before and after syncs, and anywhere between.
//! What was acknowledged as synced must be there; what is there must be the first so many steps, whole.

use crate::disk::{Cut, Disk};
use crate::record::{Event, Recording};
use crate::steps;

use nokv_engine::RocksEngine;

const STEPS: u64 = 700;
/// Moments that are looked at, each in several ways.
const MOMENTS: usize = 60;

#[test]
fn what_was_acknowledged_is_there_whenever_the_power_was_cut() {
    let directory = tempfile::tempdir().unwrap();
    let recording = Recording::begin(directory.path(), None);
    let engine = RocksEngine::open(directory.path(), &steps::options()).unwrap();
    steps::perform(&engine, STEPS, &recording).unwrap();
    drop(engine);
    let events = recording.end();
    let tables = events.iter().filter(|event| matches!(event, Event::Open { path, .. } if is_table(path))).count();
    assert!(tables > 20, "only {tables} tables were written: nothing happened in the background");

    let mut random = fastrand::Rng::with_seed(7);
    let mut moments: Vec<usize> = (0..MOMENTS).map(|_| moment(&events, &mut random)).collect();
    moments.sort_unstable();
    let (mut disk, mut begun, mut acknowledged, mut done) = (Disk::default(), 0, 0, 0);
    for at in moments {
        for event in &events[done..at] {
            disk.happen(event);
            match event {
                Event::Begun(step) => begun = step + 1,
                Event::Acknowledged(step) => acknowledged = step + 1,
                _ => {}
            }
        }
        done = at;
        for cut in [Cut::Worst, Cut::Any, Cut::Any, Cut::Best] {
            let left = tempfile::tempdir().unwrap();
            let seed = random.u64(..);
            disk.leave(cut, &mut fastrand::Rng::with_seed(seed), left.path());
            let count = steps::recover(left.path());
            let count = count.unwrap_or_else(|wrong| panic!("{cut:?} at {at} of {}, {seed}: {wrong}", events.len()));
            assert!(count >= acknowledged, "{cut:?} at {at}, {seed}: {count} of {acknowledged} acknowledged steps");
            assert!(count <= begun, "{cut:?} at {at}, {seed}: {count} of {begun} steps that had begun");
        }
    }
    assert_is_seen_without_syncs(&events, acknowledged);
}

/// What would be seen if syncs did nothing: a check that cannot fail shows nothing.
fn assert_is_seen_without_syncs(events: &[Event], acknowledged: u64) {
    let mut disk = Disk::default();
    events.iter().filter(|event| !matches!(event, Event::Sync { path } if is_log(path))).for_each(|event| {
        disk.happen(event);
    });
    let left = tempfile::tempdir().unwrap();
    disk.leave(Cut::Worst, &mut fastrand::Rng::with_seed(1), left.path());
    let count = steps::recover(left.path());
    assert!(count.is_err() || count.is_ok_and(|count| count < acknowledged), "nothing was lost without syncs");
}

fn is_log(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "log")
}

fn is_table(path: &std::path::Path) -> bool {
    path.extension().is_some_and(|extension| extension == "sst" || extension == "blob")
}

/// Anywhere, or near a sync or a change of names, where most can go wrong.
fn moment(events: &[Event], random: &mut fastrand::Rng) -> usize {
    let at = random.usize(..=events.len());
    if random.bool() {
        return at;
    }
    let turns = |event: &Event| matches!(event, Event::Sync { .. } | Event::Rename { .. } | Event::Link { .. });
    let behind = events[at..].iter().position(turns).unwrap_or(0);
    (at + behind + random.usize(..2)).min(events.len())
}
