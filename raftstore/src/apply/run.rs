//! The apply loop's thread: takes what waits, writes it as one batch without a sync (the log can replay it), and only
//! then tells the waiters and the raft loop.

use crossbeam_channel::Receiver;
use nokv_engine::Engine;

use super::{Applier, ApplyRound, ApplyTask};
use crate::StoreError;
use crate::message::Mailbox;

/// Entries of about this size are put into one batch before it is written.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// Applies until the raft loop is gone.
///
/// # Errors
/// If the disk fails or an entry cannot be read; nobody who waits is told anything then.
pub fn run_apply_loop<E: Engine>(
    mut applier: Applier,
    engine: &E,
    tasks: &Receiver<ApplyTask>,
    raft_loop: &Mailbox,
) -> Result<(), StoreError> {
    while let Ok(first) = tasks.recv() {
        let mut round = ApplyRound::default();
        applier.apply(first, &mut round)?;
        while round.action.is_none() && round.batch.encoded_bytes() < BATCH_BYTES_MAX {
            let Ok(next) = tasks.try_recv() else { break };
            applier.apply(next, &mut round)?;
        }
        for report in round.carry_out(engine)? {
            if raft_loop.push(report).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
