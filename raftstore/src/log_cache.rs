//! The newest entries of one region's log, in memory: followers are fed and committed entries are applied from here,
//! without reading the disk. Bounded in bytes; what falls out is read from the raft log.

use std::collections::VecDeque;

use raft::eraftpb::Entry;

/// Consecutive newest entries. Invariant: indexes rise by one without a gap.
#[derive(Debug, Default)]
pub struct LogCache {
    entries: VecDeque<Entry>,
    bytes: usize,
}

impl LogCache {
    /// Index of the first entry held, or `None` if there is none.
    pub fn first_index(&self) -> Option<u64> {
        self.entries.front().map(|entry| entry.index)
    }

    /// Bytes of the entries held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds entries, dropping those that they overrule.
    pub fn append(&mut self, entries: &[Entry]) {
        let Some(first) = entries.first() else { return };
        while self.entries.back().is_some_and(|last| last.index >= first.index) {
            self.pop_back();
        }
        if self.entries.back().is_some_and(|last| last.index + 1 != first.index) {
            self.clear();
        }
        for entry in entries {
            self.bytes += entry_bytes(entry);
            self.entries.push_back(entry.clone());
        }
    }

    /// The entry at `index`, if it is held.
    pub fn get(&self, index: u64) -> Option<&Entry> {
        let offset = index.checked_sub(self.first_index()?)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Appends the entries `low..high` to `out` until `bytes_max` would be exceeded (never before the first, counting
    /// what `out` already holds). Every index in the range must be held.
    pub fn copy_to(&self, low: u64, high: u64, bytes_max: u64, out: &mut Vec<Entry>) {
        let mut bytes: u64 = out.iter().map(|entry| entry_bytes(entry) as u64).sum();
        for index in low..high {
            let Some(entry) = self.get(index) else { return };
            bytes += entry_bytes(entry) as u64;
            if bytes > bytes_max && !out.is_empty() {
                return;
            }
            out.push(entry.clone());
        }
    }

    /// Drops the oldest entries that are not after `up_to` while more than `bytes_max` are held.
    pub fn shrink(&mut self, up_to: u64, bytes_max: usize) {
        while self.bytes > bytes_max && self.first_index().is_some_and(|first| first <= up_to) {
            self.pop_front();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn pop_front(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry_bytes(&entry);
        }
    }

    fn pop_back(&mut self) {
        if let Some(entry) = self.entries.pop_back() {
            self.bytes -= entry_bytes(&entry);
        }
    }
}

/// Memory of an entry: its data and a fixed share for the rest.
pub fn entry_bytes(entry: &Entry) -> usize {
    entry.data.len() + entry.context.len() + 64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(range: std::ops::Range<u64>, term: u64) -> Vec<Entry> {
        range
            .map(|index| {
                let mut entry = Entry::default();
                (entry.index, entry.term) = (index, term);
                entry.data = vec![0; 36].into();
                entry
            })
            .collect()
    }

    #[test]
    fn later_entries_overrule_and_gaps_restart_it() {
        let mut cache = LogCache::default();
        cache.append(&entries(5..10, 1));
        cache.append(&entries(8..9, 2));
        assert_eq!((cache.get(8).unwrap().term, cache.get(9)), (2, None));
        assert_eq!(cache.bytes(), 400);
        cache.append(&entries(20..22, 3));
        assert_eq!(cache.first_index(), Some(20));
    }

    #[test]
    fn it_shrinks_only_below_the_given_index() {
        let mut cache = LogCache::default();
        cache.append(&entries(1..11, 1));
        cache.shrink(4, 0);
        assert_eq!((cache.first_index(), cache.bytes()), (Some(5), 600));
        let mut out = Vec::new();
        cache.copy_to(5, 11, 250, &mut out);
        assert_eq!(out.len(), 2);
        cache.shrink(10, 0);
        assert_eq!((cache.first_index(), cache.bytes()), (None, 0));
    }
}
