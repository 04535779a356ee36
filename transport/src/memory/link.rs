//! One directed link of the in-memory network: its faults, its own random stream, and what it holds back.
//! Each link draws from its own stream, so that a change on one link does not change what happens on another.

use std::time::Duration;

use nokv_proto::raft_serverpb::RaftMessage;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::faults::LinkFaults;
use super::image::Transfer;
use crate::StoreId;

/// The state of one directed link.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) faults: LinkFaults,
    /// Nothing passes: what is sent and what arrives is lost.
    pub(super) cut: bool,
    /// Nothing passes for now: everything is held until the link is unclogged.
    pub(super) clogged: bool,
    pub(super) held: Vec<RaftMessage>,
    pub(super) held_images: Vec<Transfer>,
    /// Messages under way or held; what the bound is about.
    pub(super) queued: usize,
    /// The sender is not told before this that the receiver is unreachable; none: it may be told at once.
    pub(super) report_not_before: Option<Duration>,
    /// No message that keeps its place may arrive before this.
    line: Duration,
    random: StdRng,
}

impl Link {
    pub(super) fn new(seed: u64, from: StoreId, to: StoreId, faults: LinkFaults) -> Link {
        Link {
            faults,
            cut: false,
            clogged: false,
            held: Vec::new(),
            held_images: Vec::new(),
            queued: 0,
            report_not_before: None,
            line: Duration::ZERO,
            random: StdRng::seed_from_u64(mix(mix(mix(seed) ^ from.0) ^ to.0)),
        }
    }

    /// Decides the fate of a message sent at `now`: when it arrives, and when its second copy does.
    pub(super) fn fate(&mut self, now: Duration) -> Fate {
        if self.chance(self.faults.drop_permille) {
            return Fate { first: None, second: None };
        }
        let first = if self.chance(self.faults.reorder_permille) { self.out_of_line(now) } else { self.in_line(now) };
        let second = self.chance(self.faults.duplicate_permille).then(|| self.out_of_line(now));
        Fate { first: Some(first), second }
    }

    /// When a message that leaves the line now arrives.
    pub(super) fn out_of_line(&mut self, now: Duration) -> Duration {
        now + self.delay() + self.between(Duration::ZERO, self.faults.reorder_by_max)
    }

    /// Ends a clog: the held messages, in a random order.
    pub(super) fn unclog(&mut self) -> Vec<RaftMessage> {
        self.clogged = false;
        let mut released = std::mem::take(&mut self.held);
        released.shuffle(&mut self.random);
        released
    }

    fn in_line(&mut self, now: Duration) -> Duration {
        self.line = self.line.max(now + self.delay());
        self.line
    }

    fn delay(&mut self) -> Duration {
        self.between(self.faults.delay_min, self.faults.delay_max)
    }

    fn between(&mut self, min: Duration, max: Duration) -> Duration {
        if min >= max {
            return min;
        }
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.random_range(nanos(min)..=nanos(max)))
    }

    fn chance(&mut self, permille: u16) -> bool {
        permille > 0 && self.random.random_ratio(u32::from(permille.min(1000)), 1000)
    }
}

/// When a message and its repetition arrive; none: it does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    pub(super) first: Option<Duration>,
    pub(super) second: Option<Duration>,
}

/// Spreads nearby numbers over all 64 bits (the finalizer of SplitMix64), so that links get unrelated streams.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
