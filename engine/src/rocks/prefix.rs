//! The filter prefix of [`Cf::Write`](crate::Cf::Write): the memcomparable user key at the head of a record's key.
//!
//! That encoding is groups of eight bytes and a marker: `ff` when another group follows, `f7` to `fe` in the last
//! (`ff` less the number of padding bytes). It is prefix-free, so the prefix of a key is a property of its first
//! bytes alone: every byte string between two keys that begin with the encoded key K begins with K as well, hence has
//! the prefix K. This, and not the length of a timestamp, makes it correct to skip tables by filter for a range whose
//! two ends share their prefix, whatever else the column family holds.

/// Under which RocksDB remembers the filter; to be changed with any change of the function.
pub(super) const NAME: &str = "nokv.memcomparable-key.1";

const GROUP_BYTES: usize = 9;
const MARKER_MORE: u8 = 0xff;
const MARKER_LAST_MIN: u8 = 0xf7;

/// The encoded user key at the head of `key`, or all of `key` if it does not begin with one.
pub(super) fn of_encoded_key(key: &[u8]) -> &[u8] {
    split(key).unwrap_or(key)
}

/// Whether `key` begins with an encoded user key; others are in no filter and never filtered.
pub(super) fn is_encoded_key(key: &[u8]) -> bool {
    split(key).is_some()
}

/// Whether both ends of a range begin with the same encoded user key, and so every key between.
pub(super) fn is_shared(start: &[u8], end: &[u8]) -> bool {
    split(start).is_some_and(|prefix| split(end) == Some(prefix))
}

fn split(key: &[u8]) -> Option<&[u8]> {
    let mut prefix_bytes = 0;
    for group in key.chunks_exact(GROUP_BYTES) {
        prefix_bytes += GROUP_BYTES;
        match group.last() {
            Some(&MARKER_MORE) => {}
            Some(MARKER_LAST_MIN..) => return key.get(..prefix_bytes),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: &[u8] = b"abc\0\0\0\0\0\xfa";
    const LONG: &[u8] = b"abcdefgh\xff\0\0\0\0\0\0\0\0\xf7";

    #[test]
    fn the_prefix_is_the_encoded_key_whatever_follows() {
        for encoded in [SHORT, LONG] {
            for suffix in [b"".as_slice(), b"\0", b"12345678", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
                let key = [encoded, suffix].concat();
                assert!(is_encoded_key(&key));
                assert_eq!(of_encoded_key(&key), encoded);
            }
        }
    }

    #[test]
    fn what_is_no_encoded_key_has_no_prefix() {
        for key in [b"".as_slice(), b"abc", b"abcdefgh\xff", b"abcdefgh\x07", b"abcdefgh\xffabc"] {
            assert!(!is_encoded_key(key));
        }
    }

    #[test]
    fn ends_share_a_prefix_only_if_both_begin_with_it() {
        let (low, high) = ([SHORT, b"1"].concat(), [SHORT, b"2"].concat());
        assert!(is_shared(&low, &high));
        assert!(!is_shared(&low, LONG));
        assert!(!is_shared(&low, b""));
        assert!(!is_shared(b"", b""));
    }
}
