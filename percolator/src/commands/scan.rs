//! Reads a range at a point in time, in either direction.
//! What bounds it is counted here; how the cursors move is `scan_cursors.rs`.

use bytes::Bytes;
use nokv_engine::{KeyRange, ReadView};

use super::scan_cursors::ScanCursors;
use crate::{Found, Key, ReadPoint, Reply, Result};

/// Reads a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan<'a> {
    /// The range in encoded keys, start below end also for a reverse scan. The caller cuts it to the region.
    pub range: KeyRange<'a>,
    /// The point in time.
    pub read: ReadPoint,
    /// How many pairs at most; a locked key counts as one.
    pub limit: usize,
    /// Stop after the pair with which keys and values come to this many bytes; 0 = no such bound.
    pub bytes_max: usize,
    /// Leave the values out.
    pub key_only: bool,
    /// From the end of the range to its start.
    pub reverse: bool,
}

/// A key and what a reader gets for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The user key.
    pub key: Bytes,
    /// Its value, or the lock in the way.
    pub result: Reply<Found>,
}

/// What a scan found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanReply {
    /// The pairs in the scan's order.
    pub pairs: Vec<Pair>,
    /// Set if `bytes_max` ended the scan before its limit: the rest of the range begins (in a reverse scan: ends,
    /// exclusive) here. A client that cannot be told so must not take this reply for the whole answer.
    pub resume_at: Option<Key>,
}

impl Scan<'_> {
    /// Reads. A locked key yields a pair with that lock, and the scan goes on behind it.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub fn execute<V: ReadView>(&self, view: &V) -> Result<ScanReply> {
        let mut reply = ScanReply::default();
        if self.limit == 0 || (!self.range.end.is_empty() && self.range.start >= self.range.end) {
            return Ok(reply);
        }
        let mut cursors = ScanCursors::new(view, self)?;
        let mut bytes = 0;
        while reply.pairs.len() < self.limit {
            if self.bytes_max != 0 && bytes >= self.bytes_max {
                reply.resume_at = cursors.resume_at()?;
                break;
            }
            let Some(pair) = cursors.next()? else { break };
            bytes += pair.key.len() + pair.result.as_ref().map_or(0, |found| found.value.len());
            reply.pairs.push(pair);
        }
        Ok(reply)
    }
}
