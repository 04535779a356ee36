//! The contents of all column families at one moment, as persistent maps: a clone is O(1) and never changes.
//! Applying a batch copies only the paths that it touches.

use bytes::Bytes;
use imbl::OrdMap;

use crate::{Cf, KeyRange, Result, WriteOp, WriteOps};

/// One column family's keys and values.
pub(super) type Table = OrdMap<Bytes, Bytes>;

/// All column families together.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    default: Table,
    lock: Table,
    write: Table,
    raw: Table,
    raft: Table,
    /// Sum of the lengths of all keys and values.
    live_bytes: u64,
}

impl Tables {
    /// One column family.
    pub(super) fn table(&self, cf: Cf) -> &Table {
        match cf {
            Cf::Default => &self.default,
            Cf::Lock => &self.lock,
            Cf::Write => &self.write,
            Cf::Raw => &self.raw,
            Cf::Raft => &self.raft,
        }
    }

    /// Sum of the lengths of all keys and values, in bytes.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// A key just above the last one of `cf` within `range`; `None` if there is none.
    pub(super) fn end_of(&self, cf: Cf, range: KeyRange<'_>) -> Option<Vec<u8>> {
        if !range.end.is_empty() && range.start >= range.end {
            return None;
        }
        let (last, _) = self.table(cf).range::<_, [u8]>(range.bounds()).next_back()?;
        Some([last, [0].as_slice()].concat())
    }

    /// These tables after the encoded batch; an error means that nothing was applied.
    pub(super) fn after(&self, encoded: &[u8]) -> Result<Tables> {
        let mut tables = self.clone();
        for op in WriteOps::new(encoded) {
            match op? {
                WriteOp::Put { cf, key, value } => tables.put(cf, key, value),
                WriteOp::Delete { cf, key } => tables.delete(cf, key),
                WriteOp::DeleteRange { cf, start, end } => tables.delete_range(cf, start, end),
            }
        }
        Ok(tables)
    }

    fn table_mut(&mut self, cf: Cf) -> &mut Table {
        match cf {
            Cf::Default => &mut self.default,
            Cf::Lock => &mut self.lock,
            Cf::Write => &mut self.write,
            Cf::Raw => &mut self.raw,
            Cf::Raft => &mut self.raft,
        }
    }

    fn put(&mut self, cf: Cf, key: &[u8], value: &[u8]) {
        self.delete(cf, key);
        self.live_bytes += (key.len() + value.len()) as u64;
        self.table_mut(cf).insert(Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    }

    fn delete(&mut self, cf: Cf, key: &[u8]) {
        if let Some(value) = self.table_mut(cf).remove(key) {
            self.live_bytes -= (key.len() + value.len()) as u64;
        }
    }

    fn delete_range(&mut self, cf: Cf, start: &[u8], end: &[u8]) {
        if start >= end {
            return;
        }
        let range = self.table(cf).range::<_, [u8]>(KeyRange::new(start, end).bounds());
        let keys: Vec<Bytes> = range.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.delete(cf, &key);
        }
    }
}
