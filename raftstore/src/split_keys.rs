//! Where to cut a region that is too large: one walk over a view of it, in key order over all column families at once.
//! It knows nothing of what keys mean; the caller says which part of a record's key may be a bound.

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, ReadView};
use nokv_proto::metapb::Region;

use crate::region_size::RegionSize;
use crate::{RegionExt, StoreError};

/// How large a region may be, and how large its parts are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeLimits {
    /// A region at or beyond one of these is cut.
    pub max: RegionSize,
    /// About where each part ends; both below `max`.
    pub target: RegionSize,
    /// Most cuts found in one walk: what is behind the last is left for the next time.
    pub cuts_max: usize,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self {
            max: RegionSize { bytes: 144 << 20, records: 1_440_000 },
            target: RegionSize { bytes: 96 << 20, records: 960_000 },
            cuts_max: 32,
        }
    }
}

impl SizeLimits {
    /// With parts of two thirds of `bytes`, and at most `bytes` a region.
    pub fn of_bytes(bytes: u64) -> Self {
        let default = Self::default();
        let (max, target) =
            (RegionSize { bytes, ..default.max }, RegionSize { bytes: (bytes / 3 * 2).max(1), ..default.target });
        Self { max, target, ..default }
    }

    /// Whether a region of this size is too large.
    pub fn exceeded_by(&self, size: RegionSize) -> bool {
        size.bytes >= self.max.bytes || size.records >= self.max.records
    }
}

/// What a walk found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// The first keys of the new regions, from left to right; none if the region is not too large.
    pub keys: Vec<Bytes>,
    /// What was walked over: all of the region, unless as many keys were found as were wanted.
    pub walked: RegionSize,
}

/// Walks over `region` in `view`. `bound_of` gives the bound that keeps a record and all that belongs to it together,
/// for a cut before it; `None` = there must be no cut there.
///
/// # Errors
/// If the engine fails.
pub fn find_cuts<V: ReadView>(
    view: &V,
    region: &Region,
    limits: &SizeLimits,
    bound_of: impl Fn(Cf, &[u8]) -> Option<&[u8]>,
) -> Result<Cuts, StoreError> {
    let mut cursors = Vec::with_capacity(Cf::DATA.len());
    for cf in Cf::DATA {
        let mut cursor = view.cursor(cf, region.range())?;
        cursor.seek_to_first()?;
        cursors.push((cf, cursor));
    }
    let mut picker =
        Picker { limits, cuts: Cuts::default(), part: RegionSize::default(), last: region.start_key.clone() };
    while let Some((cf, cursor)) = cursors
        .iter_mut()
        .filter(|(_, cursor)| cursor.key().is_some())
        .min_by(|(_, one), (_, other)| one.key().cmp(&other.key()))
    {
        let (Some(key), Some(value)) = (cursor.key(), cursor.value()) else { break };
        if !picker.take(bound_of(*cf, key), (key.len() + value.len()) as u64) {
            break;
        }
        cursor.next()?;
    }
    Ok(picker.end())
}

struct Picker<'a> {
    limits: &'a SizeLimits,
    cuts: Cuts,
    /// What was taken since the last cut.
    part: RegionSize,
    /// The bound of the record before: no cut goes through what belongs together.
    last: Bytes,
}

impl Picker<'_> {
    /// Takes one record; false if no more is wanted.
    fn take(&mut self, bound: Option<&[u8]>, bytes: u64) -> bool {
        if let Some(bound) = bound.filter(|bound| *bound > &self.last[..]) {
            let full = self.part.bytes >= self.limits.target.bytes || self.part.records >= self.limits.target.records;
            if full && self.cuts.keys.len() == self.limits.cuts_max {
                return false;
            }
            self.last = Bytes::copy_from_slice(bound);
            if full {
                self.cuts.keys.push(self.last.clone());
                self.part = RegionSize::default();
            }
        }
        let record = RegionSize { bytes, records: 1 };
        self.part += record;
        self.cuts.walked += record;
        true
    }

    fn end(mut self) -> Cuts {
        if !self.limits.exceeded_by(self.cuts.walked) {
            self.cuts.keys.clear();
        } else if self.part.bytes < self.limits.target.bytes / 4 && self.part.records < self.limits.target.records / 4 {
            // A crumb stays with the part before it.
            self.cuts.keys.pop();
        }
        self.cuts
    }
}

#[cfg(test)]
mod tests {
    use nokv_engine::{Engine as _, MemoryEngine, WriteBatch};

    use super::*;

    fn limits(max: u64, target: u64, cuts_max: usize) -> SizeLimits {
        let size = |bytes| RegionSize { bytes, records: 1_000 };
        SizeLimits { max: size(max), target: size(target), cuts_max }
    }

    /// Records of ten bytes: keys of two letters and a version digit, of which the letters belong together.
    fn cuts(keys: &[&str], limits: &SizeLimits) -> Vec<String> {
        let engine = MemoryEngine::new();
        let mut batch = WriteBatch::new();
        for (number, key) in keys.iter().enumerate() {
            let cf = Cf::DATA[number % Cf::DATA.len()];
            batch.put(cf, key.as_bytes(), b"seven b");
        }
        engine.write(&batch, false).unwrap();
        let region = Region { id: 1, start_key: "b".into(), end_key: "y".into(), ..Region::default() };
        let found = find_cuts(&engine.view(), &region, limits, |_, key| key.get(..2)).unwrap();
        found.keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    const KEYS: [&str; 10] = ["aa1", "ca1", "da1", "ea1", "fa1", "ga1", "ha1", "ia1", "ja1", "za1"];

    #[test]
    fn a_region_within_its_bounds_is_left_alone() {
        assert_eq!(cuts(&KEYS, &limits(81, 30, 9)), [""; 0]);
        assert_eq!(cuts(&KEYS, &limits(80, 30, 9)), ["fa", "ia"]);
    }

    #[test]
    fn a_crumb_stays_and_the_number_of_cuts_is_bounded() {
        assert_eq!(cuts(&KEYS[..9], &limits(40, 70, 9)), [""; 0], "one part and a crumb of a seventh");
        assert_eq!(cuts(&KEYS, &limits(40, 20, 2)), ["ea", "ga"]);
    }

    #[test]
    fn what_belongs_together_stays_together() {
        let keys = ["ca1", "ca2", "ca3", "ca4", "ca5", "da1", "da2", "ea1"];
        assert_eq!(cuts(&keys, &limits(40, 20, 9)), ["da", "ea"]);
        assert_eq!(cuts(&["ba1", "ba2", "ba3", "ba4", "ba5"], &limits(40, 20, 9)), [""; 0], "one key is never cut");
    }

    #[test]
    fn where_no_bound_can_be_there_is_none() {
        let engine = MemoryEngine::new();
        let mut batch = WriteBatch::new();
        KEYS.iter().for_each(|key| batch.put(Cf::Raw, key.as_bytes(), b"seven b"));
        engine.write(&batch, false).unwrap();
        let found = find_cuts(&engine.view(), &Region::default(), &limits(40, 20, 9), |_, _| None).unwrap();
        assert_eq!((found.keys.len(), found.walked), (0, RegionSize { bytes: 100, records: 10 }));
    }
}
