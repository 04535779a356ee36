//! A sync fails: what it was to write may be lost for good, whatever a later sync says. The engine must end all
//! writing, loudly, and what was acknowledged must be there after a restart, be it by a cut of the power.

use nokv_engine::{Error, RocksEngine};

use crate::disk::{Cut, Disk};
use crate::record::{Event, Recording};
use crate::steps;

const STEPS: u64 = 700;
/// Which of all syncs fails, one in each run.
const FAILING: [u64; 12] = [30, 31, 32, 33, 57, 90, 133, 140, 141, 180, 211, 260];

#[test]
fn a_failed_sync_ends_all_writing_and_loses_nothing_acknowledged() {
    let mut struck = 0;
    for failing in FAILING {
        let directory = tempfile::tempdir().unwrap();
        let recording = Recording::begin(directory.path(), Some(failing));
        let engine = RocksEngine::open(directory.path(), &steps::options()).unwrap();
        let ended = steps::perform(&engine, STEPS, &recording);
        let again = nokv_engine::Engine::write(&engine, &nokv_engine::WriteBatch::new(), true);
        drop(engine);
        let events = recording.end();
        let Some(at) = events.iter().position(|event| matches!(event, Event::SyncFailed { .. })) else { continue };
        struck += 1;
        let failed = &events[at];
        let error = ended.expect_err(&format!("{failed:?}, and the engine went on to the end"));
        assert!(matches!(error, Error::Disk(_)), "{failed:?}: {error}");
        // An import may fail alone: it is prepared aside, in a directory that it makes if need be.
        let in_import = events[..at].iter().rev().find_map(|event| match event {
            Event::Begun(step) => Some(steps::is_import(*step)),
            _ => None,
        });
        let root = std::path::Path::new("");
        let of_import = matches!(failed, Event::SyncFailed { path } if path.starts_with("imports") || path == root);
        let aside = in_import == Some(true) && of_import;
        assert!(again.is_err() || aside, "{failed:?}: it writes again");

        let (mut disk, mut acknowledged) = (Disk::default(), 0);
        for event in &events {
            disk.happen(event);
            if let Event::Acknowledged(step) = event {
                acknowledged = step + 1;
            }
        }
        for cut in [Cut::Worst, Cut::Any, Cut::Best] {
            let left = tempfile::tempdir().unwrap();
            disk.leave(cut, &mut fastrand::Rng::with_seed(failing), left.path());
            let count = steps::recover(left.path());
            let count = count.unwrap_or_else(|wrong| panic!("{failed:?}, then {cut:?}: {wrong}"));
            assert!(count >= acknowledged, "{failed:?}, then {cut:?}: {count} of {acknowledged} steps");
        }
    }
    assert!(struck > FAILING.len() / 2, "only {struck} syncs failed: there were no more");
}
