//! Garbage collection in turns: each looks at a bounded number of records and removes a bounded amount of those that
//! nobody needs any more. Where the next turn goes on is a value, so that nothing is held in between.

use nokv_engine::{Cf, Cursor, KeyRange, ReadView, WriteBatch};

use crate::garbage::{Judge, Verdict};
use crate::{Error, Key, Outcome, Result, Timestamp, WriteKind, WriteRecord};

/// One turn of garbage collection.
///
/// The batch takes away what [`Judge`] says, and with each put its value in `Cf::Default`. It needs no latches: no
/// command decides by what lies below the safe point, so none can be wrong by its going away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collect<'a> {
    /// Where, in encoded keys: the region.
    pub range: KeyRange<'a>,
    /// Nobody reads or starts below it, and no lock of a transaction from below it is left.
    pub safe_point: Timestamp,
    /// Where the last turn stopped.
    pub position: CollectPosition,
    /// Stop after so many records.
    pub records_max: usize,
    /// Stop once the batch has so many bytes.
    pub batch_bytes_max: usize,
}

/// Where a collection stands. The default is its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectPosition(Option<Stand>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stand {
    /// The engine key of the first record not looked at.
    next: Vec<u8>,
    /// The key before it, if its older records may follow.
    key: Option<KeyStand>,
}

/// A key whose records are being judged.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyStand {
    encoded: Vec<u8>,
    judge: Judge,
    /// Its deletion, which goes after all older records.
    last: Option<Timestamp>,
}

/// What a turn did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectReply {
    /// Where to go on; `None` = the range has been seen to its end.
    pub next: Option<CollectPosition>,
    /// Records looked at.
    pub seen: u64,
    /// Records removed.
    pub removed: u64,
    /// As long as no key seen in this turn is written, nothing of them goes at a safe point up to this one.
    pub quiet_up_to: Timestamp,
}

impl Collect<'_> {
    /// Looks, and decides.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<Outcome<CollectReply>> {
        let mut turn = Turn {
            safe_point: self.safe_point,
            key: None,
            batch: WriteBatch::new(),
            reply: CollectReply { quiet_up_to: Timestamp::MAX, ..CollectReply::default() },
        };
        let mut cursor = view.cursor(Cf::Write, self.range)?;
        match &self.position.0 {
            Some(stand) => {
                turn.key.clone_from(&stand.key);
                cursor.seek(&stand.next)?;
            }
            None => cursor.seek_to_first()?,
        }
        while let (Some(key), Some(record)) = (cursor.key(), cursor.value()) {
            let is_full = turn.batch.encoded_bytes() >= self.batch_bytes_max;
            if is_full || turn.reply.seen >= self.records_max as u64 {
                let stand = Stand { next: key.to_vec(), key: turn.key.take() };
                turn.reply.next = Some(CollectPosition(Some(stand)));
                return Ok(Outcome { batch: turn.batch, reply: turn.reply });
            }
            turn.record(key, record)?;
            cursor.next()?;
        }
        turn.leave_key();
        Ok(Outcome { batch: turn.batch, reply: turn.reply })
    }
}

struct Turn {
    safe_point: Timestamp,
    key: Option<KeyStand>,
    batch: WriteBatch,
    reply: CollectReply,
}

impl Turn {
    fn record(&mut self, versioned: &[u8], record: &[u8]) -> Result<()> {
        let (encoded, at) = Key::split_ts(versioned)?;
        let record = WriteRecord::decode(record)?;
        self.reply.seen += 1;
        if self.key.as_ref().is_none_or(|key| key.encoded != encoded) {
            self.leave_key();
        }
        let judge = Judge::new(self.safe_point);
        let key = self.key.get_or_insert_with(|| KeyStand { encoded: encoded.to_vec(), judge, last: None });
        match key.judge.judge(at, record.kind) {
            Verdict::Keep => {}
            Verdict::RemoveLast if nokv_engine::is_planted("collect a deletion before what it hides") => {
                self.remove(versioned);
            }
            Verdict::RemoveLast => {
                if key.last.replace(at).is_some() {
                    return Err(Error::Corrupt { what: "garbage: two deletions hide the same records" });
                }
            }
            Verdict::Remove => {
                if record.kind == WriteKind::Put && record.short_value.is_none() {
                    let value = Key::from_encoded(encoded.to_vec()).append_ts(record.start_ts);
                    self.batch.delete(Cf::Default, &value);
                }
                self.remove(versioned);
            }
        }
        Ok(())
    }

    /// All records of the key have been judged.
    fn leave_key(&mut self) {
        let Some(key) = self.key.take() else { return };
        if let Some(at) = key.last {
            self.remove(&Key::from_encoded(key.encoded).append_ts(at));
        }
        self.reply.quiet_up_to = self.reply.quiet_up_to.min(key.judge.quiet_up_to());
    }

    fn remove(&mut self, versioned: &[u8]) {
        self.batch.delete(Cf::Write, versioned);
        self.reply.removed += 1;
    }
}
