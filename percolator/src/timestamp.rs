//! The cluster's logical time. Every transaction starts and commits at a timestamp of the one oracle;
//! TinyKv clients may bring their own, so nothing here assumes that two transactions never share one.

use std::fmt;

/// A hybrid timestamp: physical milliseconds since the Unix epoch in the high 46 bits, a logical counter in the
/// low 18. Ordered as the number it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Width of the logical part.
    pub const LOGICAL_BITS: u32 = 18;
    /// The largest logical part.
    pub const LOGICAL_MAX: u64 = (1 << Self::LOGICAL_BITS) - 1;
    /// Before every transaction; on the wire also "not given".
    pub const ZERO: Timestamp = Timestamp(0);
    /// After every transaction: "the newest there is".
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// Composes a timestamp. Bits of `physical_ms` above 46 and of `logical` above 18 are cut off.
    pub const fn compose(physical_ms: u64, logical: u64) -> Self {
        Self((physical_ms << Self::LOGICAL_BITS) | (logical & Self::LOGICAL_MAX))
    }

    /// The physical part, in milliseconds since the Unix epoch.
    pub const fn physical_ms(self) -> u64 {
        self.0 >> Self::LOGICAL_BITS
    }

    /// The logical part.
    pub const fn logical(self) -> u64 {
        self.0 & Self::LOGICAL_MAX
    }

    /// Whether this is [`Self::ZERO`].
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The next timestamp; [`Self::MAX`] stays.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether a lock taken at this timestamp with `ttl_ms` has outlived itself at `now`. Physical parts only: the
    /// logical part counts events, not time. At [`Self::MAX`] every lock has.
    pub const fn ttl_over(self, ttl_ms: u64, now: Timestamp) -> bool {
        now.0 == u64::MAX || self.physical_ms().saturating_add(ttl_ms) <= now.physical_ms()
    }
}

impl From<u64> for Timestamp {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl From<Timestamp> for u64 {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn parts_compose_and_split() {
        let ts = Timestamp::compose(1_700_000_000_123, 77);
        assert_eq!(ts.0, (1_700_000_000_123 << 18) + 77);
        assert_eq!((ts.physical_ms(), ts.logical()), (1_700_000_000_123, 77));
        assert_eq!(Timestamp::compose(5, Timestamp::LOGICAL_MAX).next(), Timestamp::compose(6, 0));
        assert_eq!(Timestamp::MAX.next(), Timestamp::MAX);
    }

    #[test]
    fn ttl_counts_physical_time_only() {
        let start = Timestamp::compose(1000, 900);
        assert!(!start.ttl_over(50, Timestamp::compose(1049, Timestamp::LOGICAL_MAX)));
        assert!(start.ttl_over(50, Timestamp::compose(1050, 0)));
        assert!(start.ttl_over(0, start));
        assert!(!start.ttl_over(0, Timestamp::compose(999, 0)));
        assert!(!start.ttl_over(u64::MAX, Timestamp::compose(1 << 40, 0)));
        assert!(start.ttl_over(u64::MAX, Timestamp::MAX));
    }
}
