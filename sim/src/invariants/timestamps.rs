//! A timestamp is handed out once, and is larger than all that anybody got before it was asked for.
//! Broken by an oracle that forgets its bound or follows its clock back.

use nokv_percolator::Timestamp;
use parking_lot::Mutex;

/// What was handed out.
#[derive(Debug, Default)]
pub struct Timestamps {
    highest: Mutex<u64>,
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
}
