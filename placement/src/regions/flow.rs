//! What a region's requests move in a second, and what that costs the stores that hold its peers, in one currency: a
//! byte written, as the leader pays for it.
//!
//! The weights are measured (`docs/performance.md`, on small values): a put of 256 bytes takes some 90 µs of three
//! servers' CPU, about half of it the leader's; a get takes 5 µs of the leader's over a stream and 20 in a call of its
//! own, a third of the put's share at most, and the followers none. Such a put counts 800 here, and a get 256. Of a
//! read it is the request that costs and hardly the bytes: 8 KiB of them, which is about where TiKV puts its own
//! thresholds for splits by load (30 MiB/s or 3,000 queries/s), count as another lookup.
//!
//! So a transfer of the leader moves all that reads cost and half of what writes do; a peer that goes elsewhere takes
//! its own share of the writes along.

use std::fmt;

/// What a record costs beside its bytes.
const RECORD_BYTES: u64 = 512;
/// What a lookup costs beside its bytes.
const LOOKUP_BYTES: u64 = 256;
/// So many bytes read cost what one byte written does.
const READ_PER_WRITTEN: u64 = 32;
/// A follower's part of what a write costs its leader: one in so many.
const FOLLOWER_SHARE: u64 = 2;

/// See the file's head. Each of them a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Bytes written.
    pub write_bytes: u64,
    /// Records written.
    pub records: u64,
    /// Bytes read from the leader.
    pub read_bytes: u64,
    /// Keys looked up there; a scan counts as a few.
    pub lookups: u64,
}

impl Flow {
    /// What it costs the store that leads the region.
    pub fn leader_cost(self) -> u64 {
        let lookups = self.lookups.saturating_mul(LOOKUP_BYTES);
        self.write_cost().saturating_add(lookups).saturating_add(self.read_bytes / READ_PER_WRITTEN)
    }

    /// What it costs a store with another peer of the region.
    pub fn follower_cost(self) -> u64 {
        self.write_cost() / FOLLOWER_SHARE
    }

    fn write_cost(self) -> u64 {
        self.write_bytes.saturating_add(self.records.saturating_mul(RECORD_BYTES))
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { write_bytes, records, read_bytes, lookups } = self;
        let is_written = *records != 0 || *write_bytes != 0;
        if *lookups != 0 || *read_bytes != 0 {
            let and = if is_written { " and " } else { "" };
            write!(f, "{lookups} lookups of {} KiB{and}", read_bytes >> 10)?;
        }
        if is_written {
            write!(f, "{records} records of {} KiB", write_bytes >> 10)?;
        }
        f.write_str(" a second")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cost_the_leader_alone_and_tiny_ones_are_not_free() {
        let gets = Flow { lookups: 100_000, read_bytes: 6_400_000, ..Flow::default() };
        assert_eq!(gets.follower_cost(), 0);
        assert!(gets.leader_cost() > 20 << 20, "{gets}");
        let large = Flow { lookups: 1_000, read_bytes: 8_192_000, ..Flow::default() };
        assert_eq!(large.leader_cost(), 1_000 * 2 * 256);
    }

    #[test]
    fn writes_cost_every_peer_and_a_put_more_than_a_get() {
        let put = Flow { records: 1, write_bytes: 280, ..Flow::default() };
        let get = Flow { lookups: 1, read_bytes: 280, ..Flow::default() };
        assert_eq!(put.follower_cost(), put.leader_cost() / 2);
        assert_eq!(put.leader_cost() / get.leader_cost(), 3);
        let all = Flow { write_bytes: u64::MAX, records: u64::MAX, read_bytes: u64::MAX, lookups: u64::MAX };
        assert_eq!(all.leader_cost(), u64::MAX, "nothing overflows");
    }
}
