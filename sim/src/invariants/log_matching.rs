//! If two logs of a region hold an entry of the same index and term, they are the same up to there (Raft's paper,
//! section 5.3). Broken by an append that is taken without looking at what precedes it.

use std::collections::BTreeMap;

use protobuf::Message as _;
use raft::eraftpb::Entry;
use xxhash_rust::xxh3::xxh3_64;

use super::Nodes;

/// Term and hash of each entry, by index.
type Log = BTreeMap<u64, (u64, u64)>;

/// Compares the logs of `region`.
///
/// # Errors
/// The first place at which two logs differ and must not.
pub fn check(nodes: Nodes<'_>, region: u64) -> Result<(), String> {
    let logs: Vec<(u64, Log)> = nodes.iter().map(|node| (node.store.0, read(node.log.as_ref(), region))).collect();
    for (position, (store, log)) in logs.iter().enumerate() {
        for (other, other_log) in logs.iter().skip(position + 1) {
            compare(log, other_log)
                .map_err(|index| format!("logs of region {region} on {store} and {other} differ at {index}"))?;
        }
    }
    Ok(())
}

fn read(log: &dyn nokv_engine::RaftLog, region: u64) -> Log {
    let Ok(Some((first, last))) = log.bounds(region) else { return Log::new() };
    let entries = log.entries(region, first, last + 1, u64::MAX).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| {
            let decoded = Entry::parse_from_bytes(&entry.encoded).ok()?;
            Some((entry.index, (decoded.term, xxh3_64(&entry.encoded))))
        })
        .collect()
}

/// # Errors
/// The highest index at which the logs differ below one at which they agree on the term.
fn compare(one: &Log, other: &Log) -> Result<(), u64> {
    let mut agreed = false;
    for (index, (term, hash)) in one.iter().rev() {
        let Some((other_term, other_hash)) = other.get(index) else { continue };
        agreed |= term == other_term;
        if agreed && hash != other_hash {
            return Err(*index);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_below_an_agreement_is_found() {
        let one = Log::from([(6, (6, 1)), (7, (6, 2)), (8, (7, 3)), (9, (8, 4))]);
        assert_eq!(compare(&one, &one), Ok(()));
        let overruled = Log::from([(6, (6, 1)), (7, (6, 2)), (8, (6, 9))]);
        assert_eq!(compare(&one, &overruled), Ok(()), "the tails differ, as they may");
        let broken = Log::from([(7, (5, 9)), (8, (7, 3))]);
        assert_eq!(compare(&one, &broken), Err(7));
        let altered = Log::from([(8, (7, 9))]);
        assert_eq!(compare(&one, &altered), Err(8));
    }
}
