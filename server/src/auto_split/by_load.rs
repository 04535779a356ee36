//! Where to cut a region that is too busy for any store: so that about half of what it is asked for lies on either
//! side, judged by a sample of the keys. Pure.
//!
//! A cut helps only if it keeps helping. Where a load wanders, as when keys are appended, every cut ends up behind it;
//! so a cut has to halve what was asked for last, too, and not only all of the sample. And where it is on one key, no
//! cut can help at all. Whoever ordered the split is told which of these it is.

use bytes::Bytes;
use nokv_proto::metapb::Region;
use nokv_raftstore::RegionExt as _;

use super::bounds::bound_before;

/// With fewer keys, nothing is known of where the load is.
const SAMPLE_MIN: usize = 16;
/// A cut that leaves less than this share of the load on one side, in hundredths, is not worth a region.
const SIDE_PERCENT_MIN: usize = 15;

/// What a sample says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The first key of the right half.
    CutAt(Bytes),
    /// There are too few keys to judge by.
    Unknown,
    /// No cut would halve it; the text, for people, says why.
    InVain(String),
}

/// Judges by keys in the order in which they were asked for.
pub(super) fn halve(sample: &[Vec<u8>], region: &Region) -> Verdict {
    let inside: Vec<&[u8]> = sample.iter().map(Vec::as_slice).filter(|key| region.check_key(key).is_ok()).collect();
    if inside.len() < SAMPLE_MIN {
        return Verdict::Unknown;
    }
    let (earlier, later) = (sorted(inside.get(..inside.len() / 2)), sorted(inside.get(inside.len() / 2..)));
    let mut bounds: Vec<Bytes> = inside.iter().filter_map(|key| bound_before(key)).collect();
    bounds.sort_unstable();
    bounds.dedup();
    bounds.retain(|bound| *bound > region.start_key);
    // Of several that are as good, the one with the most on its smaller side over the whole time.
    let worth = |bound: &Bytes| {
        let (one, other) = (smaller_side(&earlier, bound), smaller_side(&later, bound));
        (one.min(other), one + other)
    };
    match bounds.into_iter().max_by_key(worth) {
        Some(best) if worth(&best).0 >= SIDE_PERCENT_MIN => Verdict::CutAt(best),
        _ => Verdict::InVain(why_not(&inside, &earlier, &later)),
    }
}

fn sorted<'k>(keys: Option<&[&'k [u8]]>) -> Vec<&'k [u8]> {
    let mut keys = keys.unwrap_or_default().to_vec();
    keys.sort_unstable();
    keys
}

/// How much of the load lies on that side of `bound` on which there is less of it, in hundredths.
fn smaller_side(sorted: &[&[u8]], bound: &[u8]) -> usize {
    let left = sorted.partition_point(|key| *key < bound);
    left.min(sorted.len() - left) * 100 / sorted.len().max(1)
}

fn why_not(inside: &[&[u8]], earlier: &[&[u8]], later: &[&[u8]]) -> String {
    let all = sorted(Some(inside));
    let most = all.chunk_by(|one, other| one == other).map(<[_]>::len).max().unwrap_or(0);
    let of = |count: usize| format!("{count} of {} requests in a sample", inside.len());
    if most * 2 > inside.len() {
        return format!("{} are for one key", of(most));
    }
    let is_behind = |one: &[&[u8]], other: &[&[u8]]| match (one.last(), other.get(other.len() / 4)) {
        (Some(last), Some(first)) => last < first,
        _ => false,
    };
    if is_behind(earlier, later) {
        return "the load moves on to higher keys, and leaves every cut behind".to_owned();
    }
    format!("no key has {SIDE_PERCENT_MIN} % of the load on either side, all of {} looked at", of(inside.len()))
}

#[cfg(test)]
mod tests {
    use nokv_percolator::Key;

    use super::*;

    fn region(start: &'static str, end: &'static str) -> Region {
        Region { id: 1, start_key: start.into(), end_key: end.into(), ..Region::default() }
    }

    fn keys(keys: impl IntoIterator<Item = u32>) -> Vec<Vec<u8>> {
        keys.into_iter().map(|number| format!("k{number:04}").into_bytes()).collect()
    }

    /// Numbers below `bound` in no order, the same each time.
    fn spread(count: u32, bound: u32) -> impl Iterator<Item = u32> {
        (0..count).map(move |number| number * 7_919 % bound)
    }

    fn cut(sample: &[Vec<u8>], region: &Region) -> String {
        match halve(sample, region) {
            Verdict::CutAt(key) => String::from_utf8(key.to_vec()).unwrap(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_cut_is_where_the_load_halves_and_not_the_keys() {
        let narrow = keys(spread(64, 100).map(|number| 9_000 + number));
        let at = cut(&narrow, &region("", ""));
        assert!(("k9040".."k9060").contains(&at.as_str()), "{at}");
        let two = keys((0..64).map(|number| if number % 3 == 0 { 10 } else { 20 }));
        assert_eq!(cut(&two, &region("", "")), "k0020", "a third and two thirds");
    }

    #[test]
    fn one_key_cannot_be_cut() {
        let one = keys([7; 40]);
        assert_eq!(cut(&one, &region("", "")), "InVain(\"40 of 40 requests in a sample are for one key\")");
        let mostly = keys((0..40).map(|number| if number % 10 == 0 { number } else { 7 }));
        assert_eq!(cut(&mostly, &region("", "")), "InVain(\"36 of 40 requests in a sample are for one key\")");
        // A bound at the region's own first key would cut nothing off.
        assert!(matches!(halve(&one, &region("k0007", "")), Verdict::InVain(_)));
    }

    #[test]
    fn a_load_that_moves_on_is_not_cut_behind() {
        let appended = keys(0..64);
        let said = cut(&appended, &region("", ""));
        assert_eq!(said, "InVain(\"the load moves on to higher keys, and leaves every cut behind\")");
        // Several that append at once are cut between each other.
        let four = keys((0..64).map(|number| number % 4 * 1_000 + number / 4));
        let at = cut(&four, &region("", ""));
        assert!(("k1015".."k2001").contains(&at.as_str()), "{at}");
    }

    #[test]
    fn what_is_not_the_regions_any_more_does_not_count() {
        let both = keys(spread(128, 1_000));
        let at = cut(&both, &region("k0500", ""));
        assert!(("k0700".."k0800").contains(&at.as_str()), "{at}");
        assert_eq!(halve(&both, &region("m", "")), Verdict::Unknown);
        assert_eq!(halve(&keys(spread(15, 100)), &region("", "")), Verdict::Unknown);
    }

    #[test]
    fn of_transactions_the_cut_is_an_encoded_key_however_long_that_is() {
        let long = |number: u32| format!("{number:04}{}", "a very long tail of it ".repeat(40));
        let sample: Vec<Vec<u8>> = spread(64, 100)
            .map(|number| Key::encode(long(number).as_bytes()).as_encoded().to_vec())
            .map(|key| key[..nokv_raftstore::key_sample::SAMPLED_KEY_BYTES_MAX].to_vec())
            .collect();
        let Verdict::CutAt(bound) = halve(&sample, &region("", "")) else { panic!("it can be cut") };
        let user_key = Key::decode_encoded(&bound).unwrap();
        let number: u32 = std::str::from_utf8(&user_key[..4]).unwrap().parse().unwrap();
        assert!((40..60).contains(&number), "{number}");
        assert!(bound < *Key::encode(long(number).as_bytes()).as_encoded(), "the key is right of the cut");
        assert!(bound > *Key::encode(long(number - 1).as_bytes()).as_encoded(), "and the one before it left");
    }
}
