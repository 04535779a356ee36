//! The only source of randomness of a run: streams that all come from the one seed.
//! Each part draws from a stream of its own, so that a draw more in one part leaves the others as they were.

use std::time::Duration;

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The stream named `label` of `seed`.
    pub fn new(seed: u64, label: &str) -> Self {
        let name = xxhash_rust::xxh3::xxh3_64_with_seed(label.as_bytes(), seed);
        Random(fastrand::Rng::with_seed(name))
    }

    /// A stream of its own for a part of whoever holds this one.
    pub fn fork(&mut self) -> Self {
        Random(fastrand::Rng::with_seed(self.0.u64(..)))
    }

    /// A number from `0..bound`; 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.0.u64(0..bound) }
    }

    /// An index from `0..len`; 0 if `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        if len == 0 { 0 } else { self.0.usize(0..len) }
    }

    /// A number from `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.0.u64(low..=high.max(low))
    }

    /// True `permille` times of a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        permille > 0 && self.0.u64(0..1_000) < permille
    }

    /// A duration between two, in milliseconds.
    pub fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.between(low, high))
    }

    /// A duration between two, in microseconds.
    pub fn micros(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_micros(self.between(low, high))
    }

    /// One of `items`.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.index(items.len()))
    }

    /// `items` in a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        self.0.shuffle(items);
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.u64(..)
    }
}
