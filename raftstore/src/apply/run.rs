//! The apply loop's thread: takes what waits, writes it as one batch without a sync (the log can replay it), and only
//! then tells the waiters and the raft loop.

use std::sync::atomic::Ordering;

use crossbeam_channel::Receiver;
use nokv_engine::Engine;

use super::ApplyRound;
use super::desk::{Shared, Work};
use crate::StoreError;
use crate::message::Mailbox;
use crate::teller::Teller;

/// Entries of about this size are put into one batch before it is written.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Applies until the raft loop is gone.
///
/// # Errors
/// If the disk fails or an entry cannot be read; nobody who waits is told anything then.
pub(crate) fn run_apply_loop<E: Engine>(
    shared: &Shared,
    engine: &E,
    works: &Receiver<Work>,
    raft_loop: &Mailbox,
    teller: &dyn Teller,
) -> Result<(), StoreError> {
    while let Ok(first) = works.recv() {
        let mut round = ApplyRound::default();
        let mut taken = 0;
        let mut next = Some(first);
        while let Some(work) = next {
            taken += 1;
            match work {
                Work::Task(task) => shared.applier.lock().apply(task, &mut round)?,
                Work::Decided(decided) => round.append(decided),
            }
            let goes_on = round.action.is_none() && round.batch.encoded_bytes() < BATCH_BYTES_MAX;
            next = goes_on.then(|| works.try_recv().ok()).flatten();
        }
        for report in round.carry_out(engine, teller)? {
            if raft_loop.push(report).is_err() {
                return Ok(());
            }
        }
        // Only now may the raft loop apply by itself again: what it sees then includes all of this.
        shared.unfinished.fetch_sub(taken, Ordering::Release);
    }
    Ok(())
}
