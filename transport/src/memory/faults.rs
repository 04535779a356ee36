//! What may go wrong on a link of the in-memory network, as settings.
//! Rates are per thousand messages, so that a setting can be written exactly and printed as it was given.

use std::time::Duration;

/// The faults of one directed link. The default is a link that delivers everything, in order, at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkFaults {
    /// Messages lost without a word, of a thousand (0..=1000; more counts as 1000).
    pub drop_permille: u16,
    /// Messages delivered twice, of a thousand. The second copy comes late, like a reordered message.
    pub duplicate_permille: u16,
    /// Messages that leave the line, of a thousand: later messages may overtake them. All others keep their order.
    pub reorder_permille: u16,
    /// The shortest delay of a message.
    pub delay_min: Duration,
    /// The longest delay of a message that keeps its place; not below `delay_min`.
    pub delay_max: Duration,
    /// How much longer than that a message out of line, or a second copy, may take.
    pub reorder_by_max: Duration,
}

impl LinkFaults {
    /// A link without faults whose messages take between `delay_min` and `delay_max`.
    #[must_use]
    pub fn delay(delay_min: Duration, delay_max: Duration) -> LinkFaults {
        LinkFaults { delay_min, delay_max, ..LinkFaults::default() }
    }
}

/// How an in-memory network runs and what bounds it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Decides every random choice, each link's from its own stream.
    pub seed: u64,
    /// Whether messages wait for the simulator.
    pub delivery: Delivery,
    /// How links are that nothing else was said about.
    pub faults: LinkFaults,
    /// The most messages that may be under way on one directed link (held ones included); further ones are refused.
    pub queue_messages_max: usize,
    /// How long after a loss the sender is told that a store is unreachable, and how often it is told again: the
    /// stand-in for connection attempts. Zero reports every loss at once.
    pub attempt_interval: Duration,
}

impl Default for MemoryOptions {
    fn default() -> MemoryOptions {
        MemoryOptions {
            seed: 0,
            delivery: Delivery::Stepped,
            faults: LinkFaults::default(),
            queue_messages_max: 4096,
            attempt_interval: Duration::from_millis(50),
        }
    }
}

/// Who moves messages on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The simulator, by `deliver_one` and `deliver_due`.
    Stepped,
    /// `send` itself delivers what is due, on the caller's thread. Delayed and held messages still wait for a step.
    Instant,
}
