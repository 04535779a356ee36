//! Keys as the engine holds them: user keys in an encoding whose byte order is theirs and in which no key is another's
//! prefix, so that a timestamp can be appended and regions can be byte ranges.
//!
//! ```text
//! user key   "nokv-rust"                      groups of eight, zero-filled; after each a marker:
//! encoded    n o k v - r u s FF  t 0 0 0 0 0 0 0 F8        FF a full group, FF − n with n bytes of filling
//! versioned  … encoded … | ! timestamp, big-endian          so newer versions sort first
//! ```

use std::fmt;

use bytes::Bytes;

use crate::{Error, Result, Timestamp};

const GROUP_BYTES: usize = 8;
const MARKER_FULL: u8 = 0xff;

/// A user key in its memcomparable encoding, without a timestamp. Region bounds live in the same space.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Bytes);

impl Key {
    /// Bytes that a timestamp adds to a key.
    pub const TIMESTAMP_BYTES: usize = 8;

    /// Encodes a user key (any bytes, also none).
    pub fn encode(user_key: &[u8]) -> Self {
        let mut encoded = Vec::with_capacity((user_key.len() / GROUP_BYTES + 1) * (GROUP_BYTES + 1));
        let (groups, tail) = user_key.as_chunks::<GROUP_BYTES>();
        for group in groups {
            encoded.extend_from_slice(group);
            encoded.push(MARKER_FULL);
        }
        encoded.extend_from_slice(tail);
        let filling = GROUP_BYTES - tail.len();
        encoded.resize(encoded.len() + filling, 0);
        encoded.push(MARKER_FULL - filling as u8);
        Self(encoded.into())
    }

    /// Takes over bytes that are encoded already (a region bound, a key found in the engine). Not checked here:
    /// [`Self::decode`] does that.
    pub fn from_encoded(encoded: impl Into<Bytes>) -> Self {
        Self(encoded.into())
    }

    /// The encoded bytes: the key in `Cf::Lock`, the prefix in `Cf::Write` and `Cf::Default`.
    pub fn as_encoded(&self) -> &[u8] {
        &self.0
    }

    /// The encoded bytes, without a copy.
    pub fn into_encoded(self) -> Bytes {
        self.0
    }

    /// The user key.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are not the encoding of any key.
    pub fn decode(&self) -> Result<Vec<u8>> {
        Self::decode_encoded(&self.0)
    }

    /// The user key behind encoded bytes; as [`Self::decode`] for bytes that are only borrowed.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the bytes are not the encoding of any key.
    pub fn decode_encoded(encoded: &[u8]) -> Result<Vec<u8>> {
        const CORRUPT: Error = Error::Corrupt { what: "key encoding" };
        let (chunks, rest) = encoded.as_chunks::<{ GROUP_BYTES + 1 }>();
        let Some((last, full)) = chunks.split_last() else { return Err(CORRUPT) };
        let mut user_key = Vec::with_capacity(chunks.len() * GROUP_BYTES);
        for &[ref group @ .., marker] in full {
            if marker != MARKER_FULL {
                return Err(CORRUPT);
            }
            user_key.extend_from_slice(group);
        }
        let &[ref group @ .., marker] = last;
        let filling = usize::from(MARKER_FULL - marker);
        if !rest.is_empty() || !(1..=GROUP_BYTES).contains(&filling) {
            return Err(CORRUPT);
        }
        let (tail, zeroes) = group.split_at(GROUP_BYTES - filling);
        if zeroes.iter().any(|byte| *byte != 0) {
            return Err(CORRUPT);
        }
        user_key.extend_from_slice(tail);
        Ok(user_key)
    }

    /// The engine key of this key's version at `ts`. Of two versions the newer sorts first.
    pub fn append_ts(&self, ts: Timestamp) -> Vec<u8> {
        let mut versioned = Vec::with_capacity(self.0.len() + Self::TIMESTAMP_BYTES + 1);
        versioned.extend_from_slice(&self.0);
        versioned.extend_from_slice(&(!ts.0).to_be_bytes());
        versioned
    }

    /// The first engine key behind every version of this key.
    pub fn behind_versions(&self) -> Vec<u8> {
        let mut behind = self.append_ts(Timestamp::ZERO);
        behind.push(0);
        behind
    }

    /// Splits an engine key into the encoded user key and the version's timestamp.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if it is too short to carry a timestamp.
    pub fn split_ts(versioned: &[u8]) -> Result<(&[u8], Timestamp)> {
        let (encoded, ts) = versioned.split_last_chunk().ok_or(Error::Corrupt { what: "key without a timestamp" })?;
        Ok((encoded, Timestamp(!u64::from_be_bytes(*ts))))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decode() {
            Ok(user_key) => write!(f, "Key(\"{}\")", user_key.escape_ascii()),
            Err(_) => write!(f, "Key(encoded \"{}\")", self.0.escape_ascii()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_encodings() {
        let encoded = |user: &[u8]| Key::encode(user).as_encoded().to_vec();
        assert_eq!(encoded(b""), [0, 0, 0, 0, 0, 0, 0, 0, 0xf7]);
        assert_eq!(encoded(b"abc"), [b'a', b'b', b'c', 0, 0, 0, 0, 0, 0xfa]);
        assert_eq!(encoded(b"abcdefgh"), *b"abcdefgh\xff\0\0\0\0\0\0\0\0\xf7");
        assert_eq!(encoded(b"nokv-rust"), *b"nokv-rus\xfft\0\0\0\0\0\0\0\xf8");
    }

    #[test]
    fn what_no_key_encodes_to_is_refused() {
        let good = Key::encode(b"nokv-rust").into_encoded();
        for cut in 0..good.len() {
            assert!(Key::from_encoded(good.slice(..cut)).decode().is_err(), "cut at {cut}");
        }
        for (at, byte) in [(8, 0xfe), (17, 0xff), (17, 0xf6), (16, 1), (17, 0)] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert!(Key::from_encoded(bad).decode().is_err(), "byte {at} = {byte:#x}");
        }
        assert!(Key::split_ts(b"1234567").is_err());
    }

    proptest! {
        #[test]
        fn order_and_content_survive(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            let (ka, kb) = (Key::encode(&a), Key::encode(&b));
            prop_assert_eq!(ka.cmp(&kb), a.cmp(&b));
            prop_assert_eq!(a == b, ka.as_encoded().starts_with(kb.as_encoded()));
            prop_assert_eq!(ka.decode().unwrap(), a);
        }

        #[test]
        fn newer_versions_sort_first_and_within_their_key(user in any::<Vec<u8>>(), x: u64, y: u64) {
            let key = Key::encode(&user);
            let (older, newer) = (Timestamp(x.min(y)), Timestamp(x.max(y)));
            let (vo, vn) = (key.append_ts(older), key.append_ts(newer));
            prop_assert_eq!(vn.cmp(&vo), older.cmp(&newer));
            prop_assert!(key.as_encoded() < vn.as_slice() && vo < key.behind_versions());
            prop_assert_eq!(Key::split_ts(&vn).unwrap(), (key.as_encoded(), newer));
        }
    }
}
