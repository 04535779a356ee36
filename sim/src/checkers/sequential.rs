//! Sequential inserts: a writer inserts 0, 1, 2, … and begins each only when the one before is acknowledged. So every
//! snapshot shows them without a gap, shows all that were acknowledged before it was asked for, and shows no fewer than
//! a snapshot that was complete before. Catches lost writes, stale snapshots and commits out of order.

use super::Moment;

/// A snapshot of one writer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When it was asked for.
    pub called: Moment,
    /// When it was there.
    pub returned: Moment,
    /// The numbers seen, in key order.
    pub seen: Vec<u64>,
}

/// What happened to one writer's keys.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// When each number was acknowledged, in order from 0.
    pub acknowledged: Vec<Moment>,
    /// The snapshots.
    pub sightings: Vec<Sighting>,
}

/// Whether the stream is as its writer made it.
///
/// # Errors
/// A text that shows the first snapshot at fault.
pub fn check(stream: &Stream) -> Result<(), String> {
    let mut complete: Vec<(Moment, u64)> = Vec::new();
    for sighting in &stream.sightings {
        let count = sighting.seen.len() as u64;
        if let Some((at, number)) = (0..).zip(&sighting.seen).find(|(at, number)| at != *number) {
            return Err(format!("a snapshot called at {} shows {number} without {at}", sighting.called));
        }
        let owed = stream.acknowledged.partition_point(|moment| *moment < sighting.called) as u64;
        if count < owed {
            return Err(format!(
                "a snapshot called at {} shows {count} inserts, though {owed} were acknowledged before",
                sighting.called
            ));
        }
        // One more may be under way, or of unknown outcome.
        if count > stream.acknowledged.len() as u64 + 1 {
            return Err(format!("a snapshot shows {count} inserts; no more were begun than acknowledged and one"));
        }
        complete.push((sighting.returned, count));
    }
    complete.sort_unstable();
    for sighting in &stream.sightings {
        let earlier = complete.iter().take_while(|(returned, _)| *returned < sighting.called);
        let most = earlier.map(|(_, count)| *count).max().unwrap_or(0);
        if (sighting.seen.len() as u64) < most {
            return Err(format!(
                "a snapshot called at {} shows {} inserts, and an earlier one {most}",
                sighting.called,
                sighting.seen.len()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(acknowledged: &[Moment], sightings: &[(Moment, Moment, &[u64])]) -> Stream {
        let sightings = sightings
            .iter()
            .map(|(called, returned, seen)| Sighting { called: *called, returned: *returned, seen: seen.to_vec() })
            .collect();
        Stream { acknowledged: acknowledged.to_vec(), sightings }
    }

    #[test]
    fn planted_anomalies_are_found() {
        assert_eq!(check(&stream(&[5, 9], &[(1, 2, &[]), (6, 7, &[0, 1]), (10, 11, &[0, 1, 2])])), Ok(()));
        let fault = |stream: Stream| check(&stream).unwrap_err();
        assert!(fault(stream(&[5, 9], &[(6, 7, &[1])])).contains("without 0"));
        assert!(fault(stream(&[5, 9], &[(10, 11, &[0])])).contains("acknowledged before"));
        assert!(fault(stream(&[5, 9], &[(10, 11, &[0, 1, 2, 3])])).contains("no more were begun"));
        assert!(fault(stream(&[5], &[(6, 7, &[0, 1]), (8, 9, &[0])])).contains("an earlier one 2"));
    }
}
