//! About how large a region is, without ever looking: what is applied is added up, and somebody who has looked corrects
//! it. A region that came by a start, a split, a merge or an image is of unknown size until then.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes and records of a region, or of what was added to one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionSize {
    /// Keys and values, in bytes.
    pub bytes: u64,
    /// Records, of all column families.
    pub records: u64,
}

impl std::ops::AddAssign for RegionSize {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.records += other.records;
    }
}

/// The running sum. The raft loop adds, whoever looked corrects, everybody reads.
#[derive(Debug, Default)]
pub struct SizeGauge {
    bytes: AtomicU64,
    records: AtomicU64,
    known: AtomicBool,
}

impl SizeGauge {
    /// What there is about, and more rather than less: overwriting and deleting counts as adding. `None` = unknown.
    pub fn get(&self) -> Option<RegionSize> {
        let size =
            RegionSize { bytes: self.bytes.load(Ordering::Relaxed), records: self.records.load(Ordering::Relaxed) };
        self.known.load(Ordering::Acquire).then_some(size)
    }

    /// So much was applied.
    pub(crate) fn add(&self, size: RegionSize) {
        self.bytes.fetch_add(size.bytes, Ordering::Relaxed);
        self.records.fetch_add(size.records, Ordering::Relaxed);
    }

    /// Somebody looked. What was applied meanwhile may be lost from the sum, or be in it twice: it is about.
    pub fn set(&self, size: RegionSize) {
        self.bytes.store(size.bytes, Ordering::Relaxed);
        self.records.store(size.records, Ordering::Relaxed);
        self.known.store(true, Ordering::Release);
    }

    /// The region is another one now.
    pub(crate) fn forget(&self) {
        self.known.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_unknown_until_somebody_looked_and_grows_from_there() {
        let gauge = SizeGauge::default();
        gauge.add(RegionSize { bytes: 7, records: 1 });
        assert_eq!(gauge.get(), None);
        gauge.set(RegionSize { bytes: 100, records: 10 });
        gauge.add(RegionSize { bytes: 7, records: 1 });
        assert_eq!(gauge.get(), Some(RegionSize { bytes: 107, records: 11 }));
        gauge.forget();
        assert_eq!(gauge.get(), None);
    }
}
