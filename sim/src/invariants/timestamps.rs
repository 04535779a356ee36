//! A timestamp is handed out once, and is larger than all that anybody got before it was asked for.
//! Broken by an oracle that forgets its bound or follows its clock back, and by two that take each other's place.

use std::collections::BTreeMap;

use nokv_percolator::Timestamp;
use parking_lot::Mutex;

/// What was handed out.
#[derive(Debug, Default)]
pub struct Timestamps {
    highest: Mutex<u64>,
    /// Batches that were given by one of several: the first of each, and the last.
    given: Mutex<BTreeMap<u64, u64>>,
}

impl Timestamps {
    /// The highest so far.
    pub fn highest(&self) -> Timestamp {
        Timestamp(*self.highest.lock())
    }

    /// `count` timestamps from `first` were handed out to somebody who asked when `floor` was the highest.
    ///
    /// # Errors
    /// One of them was handed out before, or does not rise.
    pub fn granted(&self, floor: Timestamp, first: Timestamp, count: u32) -> Result<(), String> {
        let mut highest = self.highest.lock();
        let before = *highest;
        *highest = before.max(first.0 + u64::from(count) - 1);
        if first <= floor {
            return Err(format!("{first} was handed out after {floor}"));
        }
        // One allocator hands out in order, so whatever lies below the highest may have been handed out already.
        if first.0 <= before {
            return Err(format!("{first} was handed out, and {before} before it"));
        }
        Ok(())
    }

    /// The same of several who may hand out: what was taken earlier may be told later than what was taken then.
    ///
    /// # Errors
    /// One of them was handed out before, or is not above what anybody got before they were asked for.
    pub fn given(&self, floor: Timestamp, first: Timestamp, count: u32) -> Result<(), String> {
        let last = first.0 + u64::from(count) - 1;
        {
            let mut highest = self.highest.lock();
            *highest = (*highest).max(last);
        }
        if first <= floor {
            return Err(format!("{first} was handed out after {floor}"));
        }
        let mut given = self.given.lock();
        if let Some((before, end)) = given.range(..=last).next_back().filter(|(_, end)| **end >= first.0) {
            return Err(format!("{} to {} were handed out, and {} to {} before", first.0, last, before, end));
        }
        given.insert(first.0, last);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_falls_are_found() {
        let rule = Timestamps::default();
        assert_eq!(rule.granted(Timestamp(0), Timestamp(10), 5), Ok(()));
        assert_eq!(rule.highest(), Timestamp(14));
        assert_eq!(rule.granted(Timestamp(14), Timestamp(15), 1), Ok(()));
        assert!(rule.granted(Timestamp(15), Timestamp(15), 1).is_err());
        assert!(rule.granted(Timestamp(0), Timestamp(12), 1).is_err());
    }

    #[test]
    fn what_was_taken_earlier_may_be_told_later_and_once() {
        let rule = Timestamps::default();
        assert_eq!(rule.given(Timestamp(0), Timestamp(15), 5), Ok(()));
        assert_eq!(rule.given(Timestamp(0), Timestamp(10), 5), Ok(()));
        assert!(rule.given(Timestamp(0), Timestamp(14), 1).is_err());
        assert!(rule.given(Timestamp(0), Timestamp(9), 12).is_err());
        assert!(rule.given(Timestamp(0), Timestamp(17), 5).is_err());
        assert_eq!(rule.highest(), Timestamp(21));
        assert!(rule.given(Timestamp(21), Timestamp(9), 1).is_err());
    }
}
