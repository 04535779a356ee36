//! Raw keys that are written once each, with one value. An acknowledged write is there for ever; a key never shows what
//! was not written to it. (A raw write whose answer is lost is sent again and may take effect twice, so a raw key that
//! is written several times promises less; a key written once promises this much whatever happens.)

use std::collections::BTreeMap;

use super::Moment;

/// A read of a raw key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRead {
    /// The key.
    pub key: u64,
    /// When it was called.
    pub called: Moment,
    /// When it returned.
    pub returned: Moment,
    /// What was there.
    pub value: Option<u64>,
}

/// A write of a raw key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawWrite {
    /// The one value that is ever written to the key.
    pub value: u64,
    /// When it was called.
    pub called: Moment,
    /// When it was acknowledged; `None` = it may or may not have taken effect.
    pub acknowledged: Option<Moment>,
    /// It was refused before anything happened, and never will.
    pub refused: bool,
}

/// Whether every read shows what it must.
///
/// # Errors
/// A text that shows the first read at fault.
pub fn check(writes: &BTreeMap<u64, RawWrite>, reads: &[RawRead]) -> Result<(), String> {
    let mut reads: Vec<&RawRead> = reads.iter().collect();
    reads.sort_by_key(|read| read.called);
    // When a value was first seen: from then on it is there.
    let mut seen: BTreeMap<u64, Moment> = BTreeMap::new();
    for read in &reads {
        if read.value.is_some() {
            let first = seen.entry(read.key).or_insert(Moment::MAX);
            *first = (*first).min(read.returned);
        }
    }
    for read in reads {
        let write = writes.get(&read.key);
        match (read.value, write) {
            (Some(value), Some(write)) if value == write.value && !write.refused && write.called < read.returned => {}
            (Some(value), _) => {
                return Err(format!("raw key {} showed {value} at {}; written: {write:?}", read.key, read.returned));
            }
            (None, _) => {
                let acknowledged = write.and_then(|write| write.acknowledged).unwrap_or(Moment::MAX);
                let there = acknowledged.min(seen.get(&read.key).copied().unwrap_or(Moment::MAX));
                if there < read.called {
                    return Err(format!(
                        "raw key {} was empty at {}, though there since {there}",
                        read.key, read.called
                    ));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(called: Moment, value: Option<u64>) -> RawRead {
        RawRead { key: 1, called, returned: called + 1, value }
    }

    #[test]
    fn planted_anomalies_are_found() {
        let acknowledged = RawWrite { value: 7, called: 10, acknowledged: Some(20), refused: false };
        let writes = BTreeMap::from([(1, acknowledged)]);
        assert_eq!(check(&writes, &[read(1, None), read(12, None), read(13, Some(7)), read(30, Some(7))]), Ok(()));
        assert!(check(&writes, &[read(30, None)]).unwrap_err().contains("there since 20"));
        assert!(check(&writes, &[read(12, Some(7)), read(15, None)]).unwrap_err().contains("there since 13"));
        assert!(check(&writes, &[read(30, Some(8))]).unwrap_err().contains("showed 8"));
        assert!(check(&writes, &[read(1, Some(7))]).is_err(), "before it was written");
        let refused = BTreeMap::from([(1, RawWrite { acknowledged: None, refused: true, ..acknowledged })]);
        assert!(check(&refused, &[read(30, Some(7))]).is_err());
        let unknown = BTreeMap::from([(1, RawWrite { acknowledged: None, ..acknowledged })]);
        assert_eq!(check(&unknown, &[read(30, None), read(40, Some(7))]), Ok(()));
    }
}
