//! Writing to the in-memory disk: the batch becomes visible and joins the journal; a sync empties the journal.
//! Faults strike here, and the first one ends all writing until a crash.

use bytes::Bytes;

use super::engine::Disk;
use super::faults::Verdict;
use crate::{Error, Result, WriteBatch};

impl Disk {
    pub(super) fn write(&mut self, batch: &WriteBatch, sync: bool) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let visible = self.visible.after(batch.as_slice())?;
        match self.faults.on_write(self.visible.live_bytes(), batch.encoded_bytes() as u64, sync) {
            Verdict::Sound => {
                self.visible = visible;
                self.journal(batch);
                if sync {
                    self.durable = self.visible.clone();
                    self.unsynced.clear();
                }
                Ok(())
            }
            Verdict::WriteFails(reason) => Err(self.fail(reason)),
            Verdict::SyncFails(reason) => {
                self.journal(batch);
                Err(self.fail(reason))
            }
        }
    }

    fn journal(&mut self, batch: &WriteBatch) {
        if !batch.is_empty() {
            self.unsynced.push(Bytes::copy_from_slice(batch.as_slice()));
        }
    }

    fn fail(&mut self, reason: &str) -> Error {
        let error = Error::Disk(reason.to_owned());
        self.failed = Some(error.clone());
        error
    }
}
