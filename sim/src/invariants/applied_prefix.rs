//! Every replica of a region applies the same entries in the same places, over all its lives.
//! Broken by anything that makes a committed entry go away or change.

use std::collections::BTreeMap;

use nokv_transport::{RegionId, StoreId};
use parking_lot::Mutex;
use raft::eraftpb::Entry;
use xxhash_rust::xxh3::xxh3_64;

/// What was applied where.
#[derive(Debug, Default)]
pub struct AppliedPrefix {
    /// By region and index.
    seen: Mutex<BTreeMap<(RegionId, u64), Seen>>,
}

/// An applied entry: its term, the hash of its data, and who applied it first.
type Seen = (u64, u64, StoreId);

impl AppliedPrefix {
    /// The replica of `region` on `store` applies `entries`.
    ///
    /// # Errors
    /// Another replica applied something else in one of these places.
    pub fn applies(&self, region: RegionId, store: StoreId, entries: &[Entry]) -> Result<(), String> {
        let mut seen = self.seen.lock();
        for entry in entries {
            let now = (entry.term, xxh3_64(&entry.data), store);
            let first = *seen.entry((region, entry.index)).or_insert(now);
            if (first.0, first.1) != (now.0, now.1) {
                return Err(format!(
                    "at {} of region {region}, store {} applied an entry of term {} and store {store} one of term {}, \
                     which differ",
                    entry.index, first.2, first.0, now.0
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(index: u64, term: u64, data: &'static [u8]) -> Entry {
        let mut entry = Entry::default();
        (entry.index, entry.term) = (index, term);
        entry.data = data.into();
        entry
    }

    #[test]
    fn a_difference_is_found() {
        let rule = AppliedPrefix::default();
        let entries = [entry(6, 6, b""), entry(7, 6, b"x")];
        assert_eq!(rule.applies(RegionId(1), StoreId(1), &entries), Ok(()));
        assert_eq!(rule.applies(RegionId(1), StoreId(2), &entries), Ok(()));
        assert!(rule.applies(RegionId(1), StoreId(2), &[entry(7, 6, b"y")]).is_err());
        assert!(rule.applies(RegionId(1), StoreId(2), &[entry(7, 7, b"x")]).is_err());
    }
}
