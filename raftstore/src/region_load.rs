//! What a region is asked for on this store. Whoever serves a request counts it, on the thread on which it arrived: an
//! addition or two to a cache line of the region's own, no lock, no allocation, no clock.
//!
//! Every so many requests one key is kept, if somebody wants to know where in the region the load is (`KeySample`).
//! The lock around that is tried and never waited for.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::key_sample::KeySample;
use crate::region_size::RegionSize;

/// Of so many keys read one is kept. A prime, so that clients that go round a number of keys do not always hit the
/// same one.
const LOOKUPS_PER_SAMPLE: u64 = 61;
/// Of so many keys written one is kept: where a write costs about three times what a read does, it counts as three.
const WRITES_PER_SAMPLE: u64 = 23;
/// Pairs of a scan that cost about what a lookup does, beside the one for the place where it begins.
const PAIRS_PER_LOOKUP: usize = 32;

/// See the file's head. Counters only rise, for as long as this process has the replica.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct RegionLoad {
    lookups: AtomicU64,
    read_bytes: AtomicU64,
    /// Keys that requests were about to write: only for deciding which of them are kept.
    keys_to_write: AtomicU64,
    written_bytes: AtomicU64,
    written_records: AtomicU64,
    /// `None` = nobody wants one.
    sample: Mutex<Option<Box<KeySample>>>,
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadTotals {
    /// Keys looked up. A scan counts as one, and one more for each 32 pairs.
    pub lookups: u64,
    /// Bytes of the keys and values that were found.
    pub read_bytes: u64,
    /// What was applied here, whoever leads: bytes and records.
    pub written: RegionSize,
}

impl LoadTotals {
    /// What was counted since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let written = RegionSize {
            bytes: self.written.bytes.saturating_sub(earlier.written.bytes),
            records: self.written.records.saturating_sub(earlier.written.records),
        };
        Self {
            lookups: self.lookups.saturating_sub(earlier.lookups),
            read_bytes: self.read_bytes.saturating_sub(earlier.read_bytes),
            written,
        }
    }

    /// Lookups and written records together.
    pub fn requests(&self) -> u64 {
        self.lookups.saturating_add(self.written.records)
    }
}

impl std::ops::AddAssign for LoadTotals {
    fn add_assign(&mut self, other: Self) {
        self.lookups += other.lookups;
        self.read_bytes += other.read_bytes;
        self.written += other.written;
    }
}

impl RegionLoad {
    /// These keys were looked up, and so many bytes found. Keys are in the order of region bounds, here as below.
    pub fn read<'k, K: Iterator<Item = &'k [u8]>>(&self, bytes: usize, keys: impl Fn() -> K) {
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        Self::count(&self.lookups, keys().count(), LOOKUPS_PER_SAMPLE, |first, step| self.keep(keys(), first, step));
    }

    /// So many pairs of so many bytes were read in a row, from `first` on.
    pub fn scanned(&self, pairs: usize, bytes: usize, first: &[u8]) {
        self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let count = 1 + pairs / PAIRS_PER_LOOKUP;
        Self::count(&self.lookups, count, LOOKUPS_PER_SAMPLE, |_, step| self.keep(std::iter::once(first), 0, step));
    }

    /// These keys are about to be written, or to be found in no need of it.
    pub fn write<'k, K: Iterator<Item = &'k [u8]>>(&self, keys: impl Fn() -> K) {
        let count = keys().count();
        Self::count(&self.keys_to_write, count, WRITES_PER_SAMPLE, |first, step| self.keep(keys(), first, step));
    }

    /// So much was applied.
    pub(crate) fn applied(&self, size: RegionSize) {
        self.written_bytes.fetch_add(size.bytes, Ordering::Relaxed);
        self.written_records.fetch_add(size.records, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn totals(&self) -> LoadTotals {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LoadTotals {
            lookups: of(&self.lookups),
            read_bytes: of(&self.read_bytes),
            written: RegionSize { bytes: of(&self.written_bytes), records: of(&self.written_records) },
        }
    }

    /// Keeps keys from now on; if they are kept already, those from before the last such call are let go.
    pub fn watch(&self) {
        self.sample.lock().get_or_insert_default().turn();
    }

    /// Keeps no keys any more.
    pub fn unwatch(&self) {
        *self.sample.lock() = None;
    }

    /// The region is another one now: keys are kept, if they are, from here on.
    pub(crate) fn forget_keys(&self) {
        if let Some(sample) = self.sample.lock().as_mut() {
            **sample = KeySample::default();
        }
    }

    /// Some of the keys asked for of late, in the order in which they were; none if nobody keeps them.
    pub fn sample(&self) -> Vec<Vec<u8>> {
        self.sample.lock().as_ref().map(|sample| sample.keys()).unwrap_or_default()
    }

    /// Counts, and says if one is to be kept: the first by its place among these, and each so many behind it.
    fn count(counter: &AtomicU64, count: usize, every: u64, keep: impl FnOnce(usize, usize)) {
        let before = counter.fetch_add(count as u64, Ordering::Relaxed);
        let short_of_next = every - 1 - before % every;
        if count as u64 > short_of_next {
            keep(short_of_next as usize, every as usize);
        }
    }

    #[cold]
    fn keep<'k>(&self, keys: impl Iterator<Item = &'k [u8]>, first: usize, step: usize) {
        if let Some(mut sample) = self.sample.try_lock()
            && let Some(sample) = sample.as_mut()
        {
            keys.skip(first).step_by(step).for_each(|key| sample.offer(key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::*;

    #[test]
    fn reads_and_what_is_applied_are_counted_and_a_scan_by_its_length() {
        let load = RegionLoad::default();
        load.read(100, || once(&b"k"[..]));
        load.read(0, || [&b"a"[..], b"b"].into_iter());
        let before = load.totals();
        load.scanned(65, 700, b"a");
        load.write(|| once(&b"k"[..]));
        load.applied(RegionSize { bytes: 9, records: 2 });
        assert_eq!(before, LoadTotals { lookups: 3, read_bytes: 100, written: RegionSize::default() });
        let since = load.totals().since(&before);
        assert_eq!(since, LoadTotals { lookups: 3, read_bytes: 700, written: RegionSize { bytes: 9, records: 2 } });
        assert_eq!(since.requests(), 5);
    }

    #[test]
    fn keys_are_kept_only_while_somebody_watches() {
        let load = RegionLoad::default();
        let read = |key: &'static [u8], times: u64| (0..times).for_each(|_| load.read(1, || once(key)));
        read(b"before", 2 * LOOKUPS_PER_SAMPLE);
        assert_eq!(load.sample(), [[0; 0]; 0]);
        load.watch();
        read(b"k", 2 * LOOKUPS_PER_SAMPLE);
        assert_eq!(load.sample(), [b"k", b"k"]);
        load.forget_keys();
        assert_eq!(load.sample(), [[0; 0]; 0]);
        read(b"l", LOOKUPS_PER_SAMPLE);
        assert_eq!(load.sample(), [b"l"], "it is still watched");
        load.unwatch();
        read(b"after", LOOKUPS_PER_SAMPLE);
        assert_eq!(load.sample(), [[0; 0]; 0]);
    }

    #[test]
    fn a_request_of_many_keys_gives_as_many_of_them_as_single_ones_would() {
        let numbers: Vec<[u8; 1]> = (0..100).map(|number| [number]).collect();
        let keys = || numbers.iter().map(|key| &key[..]);
        let (many, single) = (RegionLoad::default(), RegionLoad::default());
        many.watch();
        single.watch();
        for _ in 0..20 {
            many.write(keys);
            keys().for_each(|key| single.write(|| once(key)));
        }
        assert_eq!(many.sample().len(), 20 * 100 / WRITES_PER_SAMPLE as usize);
        assert_eq!(many.sample(), single.sample());
    }

    #[test]
    fn a_request_does_not_wait_for_whoever_looks() {
        let load = RegionLoad::default();
        load.watch();
        let looking = load.sample.lock();
        (0..LOOKUPS_PER_SAMPLE).for_each(|_| load.read(1, || once(&b"k"[..])));
        drop(looking);
        assert_eq!((load.totals().lookups, load.sample().len()), (LOOKUPS_PER_SAMPLE, 0));
    }
}
