//! Which key an operation hits: by number, chosen as the field's benchmarks do, written with leading zeros.
//! Numbers of a skewed distribution are scattered over the key space, so that hot keys are not neighbours.

use bytes::Bytes;
use clap::ValueEnum;
use rand::Rng;
use rand::rngs::SmallRng;
use rand_distr::{Distribution as _, Zipf};

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Distribution {
    /// Each as likely as any other.
    Uniform,
    /// A few very often (exponent 0.99, as YCSB).
    Zipfian,
    /// Most often the highest numbers.
    Latest,
    /// One after the other.
    Sequential,
    /// Nine of ten on a hundredth of the keys, which are neighbours.
    HotSpot,
}

impl Distribution {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Chooses keys for one client.
#[derive(Debug)]
pub struct Keys {
    distribution: Distribution,
    count: u64,
    key_bytes: usize,
    zipf: Zipf<f64>,
    next: u64,
}

impl Keys {
    /// `count` keys of `key_bytes` each; `first` is where a sequential client begins.
    pub fn new(distribution: Distribution, count: u64, key_bytes: usize, first: u64) -> Self {
        let zipf = Zipf::new(count.max(1) as f64, 0.99).expect("a positive count and exponent are valid");
        Self { distribution, count: count.max(1), key_bytes, zipf, next: first }
    }

    /// The next key.
    pub fn choose(&mut self, random: &mut SmallRng) -> Bytes {
        key(self.number(random), self.key_bytes)
    }

    /// The next key, or its neighbour if that lies on the other side.
    pub fn choose_on(&mut self, side: Side, random: &mut SmallRng) -> Bytes {
        let number = self.number(random);
        let number = if Side::of(number) == side { number } else { number ^ 1 };
        key(number, self.key_bytes)
    }

    fn number(&mut self, random: &mut SmallRng) -> u64 {
        match self.distribution {
            Distribution::Uniform => random.random_range(0..self.count),
            Distribution::Zipfian => scatter(self.rank(random), self.count),
            Distribution::Latest => self.count - 1 - self.rank(random),
            Distribution::Sequential => {
                self.next = (self.next + 1) % self.count;
                self.next
            }
            Distribution::HotSpot if random.random_ratio(9, 10) => random.random_range(0..(self.count / 100).max(1)),
            Distribution::HotSpot => random.random_range(0..self.count),
        }
    }

    fn rank(&self, random: &mut SmallRng) -> u64 {
        (self.zipf.sample(random) as u64).clamp(1, self.count) - 1
    }
}

/// Where a key lies. Every second one begins with `z`, so that two regions split at `m` share the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Below `m`.
    Low,
    /// Above `m`.
    High,
}

impl Side {
    fn of(number: u64) -> Side {
        if number.is_multiple_of(2) { Side::Low } else { Side::High }
    }
}

/// The key with this number, padded with zeros to `key_bytes`; longer if it does not fit.
pub fn key(number: u64, key_bytes: usize) -> Bytes {
    let side = if Side::of(number) == Side::Low { 'a' } else { 'z' };
    Bytes::from(format!("{side}{number:0width$}", width = key_bytes.saturating_sub(1)))
}

/// A prime above any sensible number of keys.
const SCATTER: u128 = 0x9e37_79b9_7f51;

/// Spreads ranks over the numbers, each to a place of its own: the factor is prime to every smaller count.
fn scatter(rank: u64, count: u64) -> u64 {
    let place = u128::from(rank) * SCATTER % u128::from(count.max(1));
    u64::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn keys_have_their_size_and_lie_on_both_sides_of_m() {
        assert_eq!(key(7, 16).len(), 16);
        assert!(key(8, 16) < Bytes::from_static(b"m") && key(7, 16) > Bytes::from_static(b"m"));
    }

    #[test]
    fn skew_is_as_asked() {
        let mut random = SmallRng::seed_from_u64(1);
        let mut share_of_hottest = |distribution| {
            let mut keys = Keys::new(distribution, 1_000, 16, 0);
            let mut hits = BTreeMap::<Bytes, u32>::new();
            (0..10_000).for_each(|_| *hits.entry(keys.choose(&mut random)).or_default() += 1);
            hits.values().max().copied().unwrap_or(0)
        };
        assert!(share_of_hottest(Distribution::Uniform) < 40);
        assert!(share_of_hottest(Distribution::Zipfian) > 500);
        assert_eq!(share_of_hottest(Distribution::Sequential), 10);
    }

    #[test]
    fn scattering_loses_no_key() {
        for count in [1, 2, 10, 1_000, 4_096] {
            let places: BTreeSet<u64> = (0..count).map(|rank| scatter(rank, count)).collect();
            assert_eq!(places.len() as u64, count);
        }
    }

    #[test]
    fn a_side_can_be_asked_for() {
        let mut random = SmallRng::seed_from_u64(2);
        let mut keys = Keys::new(Distribution::Uniform, 100, 16, 0);
        for _ in 0..100 {
            assert_eq!(keys.choose_on(Side::Low, &mut random)[0], b'a');
            assert_eq!(keys.choose_on(Side::High, &mut random)[0], b'z');
        }
    }
}
