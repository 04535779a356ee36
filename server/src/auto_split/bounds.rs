//! Which part of a record's key may become a region's bound: a bound keeps all versions of a key, its lock and its
//! values in one region.

use bytes::Bytes;
use nokv_engine::Cf;
use nokv_percolator::Key;
use nokv_raftstore::key_sample::SAMPLED_KEY_BYTES_MAX;

/// Bytes of a group of an encoded key, its marker included.
const GROUP_BYTES: usize = 9;
/// The marker that another group follows.
const GROUP_FOLLOWS: u8 = 0xff;

/// The bound for a cut before the record at `key`.
pub(super) fn bound_of(cf: Cf, key: &[u8]) -> Option<&[u8]> {
    match cf {
        Cf::Default | Cf::Write => Key::split_ts(key).ok().map(|(encoded, _)| encoded),
        Cf::Lock => Some(key),
        Cf::Raw => Some(key).filter(|key| !goes_through_a_key(key)),
        Cf::Raft => None,
    }
}

/// The bound for a cut before a key that was asked for, encoded or raw, of which a sample has kept the beginning.
pub(super) fn bound_before(sampled: &[u8]) -> Option<Bytes> {
    let looks_encoded =
        sampled.chunks_exact(GROUP_BYTES).all(|group| group.last() == Some(&GROUP_FOLLOWS)) && !sampled.is_empty();
    if sampled.len() == SAMPLED_KEY_BYTES_MAX && looks_encoded {
        // The beginning of an encoded key is none by itself: the bound is the key that ends where the sample does. It
        // is a good one for plain keys, too, should this be one.
        let user_key: Vec<u8> =
            sampled.chunks_exact(GROUP_BYTES).flat_map(|group| group.iter().take(8)).copied().collect();
        return Some(Key::encode(&user_key).into_encoded());
    }
    Some(sampled).filter(|key| !key.is_empty() && !goes_through_a_key(key)).map(Bytes::copy_from_slice)
}

/// Whether a raw key, as a bound, would lie among the versions of some encoded key: if it begins with all of that key.
fn goes_through_a_key(raw: &[u8]) -> bool {
    let groups = raw.chunks_exact(GROUP_BYTES);
    let following = groups.take_while(|group| group.last() == Some(&GROUP_FOLLOWS)).count();
    let whole = (following + 1) * GROUP_BYTES;
    raw.len() > whole && raw.get(..whole).is_some_and(|encoded| Key::decode_encoded(encoded).is_ok())
}

#[cfg(test)]
mod tests {
    use nokv_percolator::Timestamp;

    use super::*;

    #[test]
    fn what_belongs_to_a_key_has_its_bound() {
        let key = Key::encode(b"a key of some length");
        let versioned = key.append_ts(Timestamp(7));
        assert_eq!(bound_of(Cf::Write, &versioned), Some(key.as_encoded()));
        assert_eq!(bound_of(Cf::Default, &versioned), Some(key.as_encoded()));
        assert_eq!(bound_of(Cf::Lock, key.as_encoded()), Some(key.as_encoded()));
        assert_eq!(bound_of(Cf::Write, b"short"), None);
    }

    #[test]
    fn a_key_that_was_cut_off_gives_a_whole_one_before_it() {
        let whole = Key::encode(&[b'x'; 1_000]);
        let bound = bound_before(&whole.as_encoded()[..SAMPLED_KEY_BYTES_MAX]).unwrap();
        assert_eq!(Key::decode_encoded(&bound).unwrap(), [b'x'; SAMPLED_KEY_BYTES_MAX / GROUP_BYTES * 8]);
        assert!(bound < *whole.as_encoded());
        assert_eq!(bound_before(&[b'r'; SAMPLED_KEY_BYTES_MAX]).unwrap(), [b'r'; SAMPLED_KEY_BYTES_MAX][..]);
        let short = Key::encode(b"a key of some length");
        assert_eq!(bound_before(short.as_encoded()).unwrap(), *short.as_encoded());
        assert_eq!(bound_before(&short.append_ts(Timestamp(7))), None);
        assert_eq!(bound_before(b""), None);
    }

    #[test]
    fn a_raw_key_is_a_bound_unless_it_lies_among_the_versions_of_a_key() {
        for raw in [&b"k"[..], b"a raw key of some length", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff", b""] {
            assert_eq!(bound_of(Cf::Raw, raw), Some(raw));
        }
        let key = Key::encode(b"a key of some length");
        assert_eq!(bound_of(Cf::Raw, key.as_encoded()), Some(key.as_encoded()));
        assert_eq!(bound_of(Cf::Raw, &key.append_ts(Timestamp(7))), None);
    }
}
