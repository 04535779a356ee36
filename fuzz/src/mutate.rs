//! Inputs made from examples: a few bytes changed, repeated, removed, spliced, or a length made absurd.
//! Seeded, so that what was found once is found again.

/// Longest input made, in bytes.
const BYTES_MAX: usize = 4_096;

/// Numbers at which decoders are tempted.
const ABSURD: [u64; 8] = [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX];

/// An input made of one of `examples`, or of nothing.
pub fn mutate(examples: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = random.choice(examples).cloned().unwrap_or_default();
    if random.u8(..) < 8 {
        input = (0..random.usize(..64)).map(|_| random.u8(..)).collect();
    }
    for _ in 0..random.usize(1..5) {
        change(&mut input, examples, random);
    }
    input.truncate(BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, examples: &[Vec<u8>], random: &mut fastrand::Rng) {
    let at = random.usize(..=input.len());
    let until = random.usize(at..=input.len());
    match random.u8(..9) {
        0 => input.truncate(at),
        1 => drop(input.drain(at..until)),
        2 => {
            let again: Vec<u8> = input.iter().skip(at).take(until - at).copied().collect();
            input.splice(at..at, again);
        }
        3 => input.insert(at, random.u8(..)),
        4 => {
            let other = random.choice(examples).cloned().unwrap_or_default();
            let from = random.usize(..=other.len());
            input.splice(at.., other.into_iter().skip(from));
        }
        5 => {
            let number = random.choice(ABSURD).unwrap_or_default();
            let bytes = if random.bool() { number.to_le_bytes() } else { number.to_be_bytes() };
            let width = if random.bool() { 4 } else { 8 };
            overwrite(input, at, bytes.get(..width).unwrap_or_default());
        }
        6 => overwrite(input, at, &[random.choice(ABSURD).unwrap_or_default() as u8]),
        _ => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
    }
}

fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    input.iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_row_of_inputs() {
        let examples = [b"an example".to_vec(), vec![0; 100]];
        let row = |seed| {
            let mut random = fastrand::Rng::with_seed(seed);
            (0..200).map(|_| mutate(&examples, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
        assert!(row(3).iter().all(|input| input.len() <= BYTES_MAX));
    }
}
