//! Some of the keys that a region is asked for, spread evenly over the time since somebody last turned the page,
//! however many there are: when it is full, every second one goes, and from then on only every second one is taken.
//! No chance in it: the same requests leave the same sample.

/// Most keys that are kept of a time.
const KEYS_MAX: usize = 128;
/// Longer keys are cut to this. Those that differ only behind it look alike; no cut can be found between them.
pub const SAMPLED_KEY_BYTES_MAX: usize = 252;

/// See the file's head: the time now, and the one before the page was turned.
#[derive(Debug, Default)]
pub(crate) struct KeySample {
    now: Page,
    before: Page,
}

#[derive(Debug, Default)]
struct Page {
    /// Only the first `filled` count; the memory of the others is used again.
    keys: Vec<Vec<u8>>,
    filled: usize,
    /// One in 2^thinned keys is taken.
    thinned: u32,
    offered: u64,
}

impl KeySample {
    /// Offers a key.
    pub(crate) fn offer(&mut self, key: &[u8]) {
        self.now.offer(key.get(..SAMPLED_KEY_BYTES_MAX).unwrap_or(key));
    }

    /// Turns the page: what was kept before the last time is let go.
    pub(crate) fn turn(&mut self) {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.clear();
    }

    /// The keys, in the order in which they were offered: of the time now, unless it has few yet and the one before has
    /// more.
    pub(crate) fn keys(&self) -> Vec<Vec<u8>> {
        let is_full = self.now.filled >= KEYS_MAX / 2;
        let page = if is_full || self.now.filled >= self.before.filled { &self.now } else { &self.before };
        page.keys.iter().take(page.filled).cloned().collect()
    }
}

impl Page {
    fn offer(&mut self, key: &[u8]) {
        let number = self.offered;
        self.offered += 1;
        if number & ((1 << self.thinned) - 1) != 0 {
            return;
        }
        match self.keys.get_mut(self.filled) {
            Some(kept) => {
                kept.clear();
                kept.extend_from_slice(key);
            }
            None => self.keys.push(key.to_vec()),
        }
        self.filled += 1;
        if self.filled == KEYS_MAX {
            self.thin();
        }
    }

    /// Every second key goes.
    fn thin(&mut self) {
        (1..KEYS_MAX / 2).for_each(|at| self.keys.swap(at, at * 2));
        self.filled = KEYS_MAX / 2;
        self.thinned += 1;
    }

    fn clear(&mut self) {
        (self.filled, self.thinned, self.offered) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(sample: &mut KeySample, numbers: std::ops::Range<u32>) {
        numbers.for_each(|number| sample.offer(&number.to_be_bytes()));
    }

    fn numbers(sample: &KeySample) -> Vec<u32> {
        sample.keys().into_iter().map(|key| u32::from_be_bytes(key.try_into().unwrap())).collect()
    }

    #[test]
    fn few_keys_are_all_kept_and_of_many_as_many_of_each_time() {
        let mut sample = KeySample::default();
        offer(&mut sample, 0..100);
        assert_eq!(numbers(&sample), (0..100).collect::<Vec<_>>());
        offer(&mut sample, 100..1_000);
        assert_eq!(numbers(&sample), (0..1_000).step_by(8).collect::<Vec<_>>());
    }

    #[test]
    fn the_time_before_speaks_until_there_is_enough_of_now() {
        let mut sample = KeySample::default();
        offer(&mut sample, 0..100);
        sample.turn();
        offer(&mut sample, 100..163);
        assert_eq!(numbers(&sample).first(), Some(&0));
        offer(&mut sample, 163..164);
        assert_eq!(numbers(&sample), (100..164).collect::<Vec<_>>());
        sample.turn();
        sample.turn();
        assert_eq!(numbers(&sample), [0; 0], "nothing was asked for twice");
    }

    #[test]
    fn long_keys_are_cut() {
        let mut sample = KeySample::default();
        sample.offer(&[7; 1_000]);
        assert_eq!(sample.keys(), [[7; SAMPLED_KEY_BYTES_MAX]]);
    }
}
