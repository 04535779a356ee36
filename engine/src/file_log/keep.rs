//! The keeper: a thread that has a file ready before the log needs it, moves what still counts out of the oldest files,
//! and uses these again. Always the oldest: then whatever undid something lies behind it, and goes no sooner.

use std::sync::Arc;

use bytes::Bytes;

use super::log::{Log, State};
use super::record;
use super::tail::Pages;
use crate::{Error, Result};

/// Unused files that are kept.
const SPARE_FILES: usize = 2;
/// The log may take so many files whatever is in them.
const FILES_MIN: u64 = 4;
/// And beyond that this many times what counts.
const SURPLUS: u64 = 3;
/// Moved in one record, about, so that nobody waits long.
const MOVE_BYTES: u64 = 256 << 10;

/// Works until the log is closed or fails.
pub fn keep(log: &Log) {
    let mut state = log.state.lock();
    while !state.is_closing {
        if state.spare.is_empty() {
            let mut name = state.next_name;
            state.next_name += 1;
            drop(state);
            let Ok(file) = log.create(&mut name) else { return };
            state = log.state.lock();
            state.spare.push(file);
        } else if log.has_surplus(&state) {
            drop(state);
            if log.free_oldest().is_err() {
                return;
            }
            state = log.state.lock();
        } else {
            log.work.wait(&mut state);
        }
    }
}

impl Log {
    /// Whether the oldest file should be given up.
    fn has_surplus(&self, state: &State) -> bool {
        let (oldest, all) = state.index.live_bytes();
        let files = state.files.len() as u64;
        let bound = (FILES_MIN * self.options.file_bytes).max(SURPLUS * all);
        files > 1 && (oldest == 0 || files * self.options.file_bytes > bound)
    }

    fn free_oldest(&self) -> Result<()> {
        let state = self.state.lock();
        let groups = if state.index.live_bytes().0 == 0 { Vec::new() } else { state.index.groups() };
        drop(state);
        for group in groups {
            while self.move_run(group)? {}
        }
        // What was moved, and all that undid something, must be there before the old is gone.
        self.sync_all()?;
        let mut state = self.state.lock();
        state.index.end_oldest();
        let Some(oldest) = state.files.pop_front() else { return Ok(()) };
        drop(state);
        oldest.file.write(Pages::of_zeros().whole(), 0).map_err(|error| self.failed(&error))?;
        let mut state = self.state.lock();
        state.retired.push(oldest.file);
        self.reuse(&mut state)
    }

    /// Moves a part of what `group` has in the oldest file. Returns whether there may be more.
    fn move_run(&self, group: u64) -> Result<bool> {
        let (_, run) = self.state.lock().index.oldest_run(group, MOVE_BYTES);
        let read = match run {
            None => None,
            Some((first, slots)) => match self.read(group, first, &slots) {
                Ok(entries) => Some((entries, first, slots)),
                // It was cut meanwhile.
                Err(Error::Corrupt { .. }) => None,
                Err(error) => return Err(error),
            },
        };
        let mut state = self.state.lock();
        let mut payload = Vec::new();
        let (kept, now) = state.index.oldest_run(group, MOVE_BYTES);
        if let Some(kept) = kept {
            record::put_state(&mut payload, group, &kept);
        }
        let mut left = now.is_some();
        if let (Some((entries, first, slots)), Some(now)) = (read, now)
            && (first, &slots) == (now.0, &now.1)
        {
            record::put_moved(&mut payload, group, first, entries.iter().map(Bytes::as_ref));
            left = true;
        }
        self.add(&mut state, &payload)?;
        Ok(left)
    }

    /// Files that nobody reads any more can be written again, or go.
    fn reuse(&self, state: &mut State) -> Result<()> {
        let retired = std::mem::take(&mut state.retired);
        for file in retired {
            match Arc::try_unwrap(file) {
                Err(read) => state.retired.push(read),
                Ok(file) if state.spare.len() < SPARE_FILES && file.is_of_size(self.options.file_bytes) => {
                    state.spare.push(file);
                }
                Ok(file) => file.remove().map_err(|error| self.failed(&error))?,
            }
        }
        Ok(())
    }
}
