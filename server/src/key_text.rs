//! Keys as people write and read them: plain text, `hex:…`, or `-` (or nothing) for "no bound".
//!
//! Every tool of this binary, the topology file and every table go through [`KeyText`], so a key that one of them
//! prints can be pasted into any other and means the same bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What marks bytes written as hexadecimal digits.
const HEX_PREFIX: &str = "hex:";
/// How an absent bound is printed; the empty text is read as the same.
const UNBOUNDED: &str = "-";

/// A user key, or the absence of a bound, with one way to read it and one way to print it.
///
/// * `abc` is the three bytes of that text (UTF-8).
/// * `hex:616263` is the same key; needed for bytes that are no text, for a key that is `-`, and for one that begins
///   with `hex:`.
/// * `-` or nothing (also `hex:` without digits) is no bound. There is no empty user key.
///
/// `parse(print(k)) == k` for every key.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyText(Vec<u8>);

/// Why a text is no key. The text is the user's to correct; nothing was done with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyTextError {
    /// An odd number of digits: half a byte is missing.
    #[error("{text:?} has an odd number of hexadecimal digits; every byte takes two")]
    OddDigits {
        /// The text as it was given.
        text: String,
    },
    /// Something other than 0-9, a-f, A-F after `hex:`.
    #[error("{text:?} holds {found:?}, which is no hexadecimal digit")]
    NotADigit {
        /// The text as it was given.
        text: String,
        /// The first character that is no digit.
        found: char,
    },
    /// `-` or nothing where one definite key is meant.
    #[error("a key is needed here, and the empty key does not exist (write hex:2d for the key \"-\")")]
    KeyNeeded,
}

impl KeyText {
    /// Wraps the bytes of a user key; empty bytes mean no bound.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        KeyText(bytes.into())
    }

    /// True if this is the absence of a bound.
    pub fn is_unbounded(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the user key; empty for no bound.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, where one definite key is meant.
    ///
    /// # Errors
    /// [`KeyTextError::KeyNeeded`] if this is the absence of a bound.
    pub fn into_key(self) -> Result<Vec<u8>, KeyTextError> {
        if self.0.is_empty() { Err(KeyTextError::KeyNeeded) } else { Ok(self.0) }
    }
}

impl FromStr for KeyText {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        if text.is_empty() || text == UNBOUNDED {
            return Ok(KeyText::default());
        }
        read_text_or_hex(text).map(KeyText)
    }
}

impl fmt::Display for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            f.pad(UNBOUNDED)
        } else if self.0 == UNBOUNDED.as_bytes() {
            f.pad(&write_hex(&self.0))
        } else {
            f.pad(&write_text_or_hex(&self.0))
        }
    }
}

impl Serialize for KeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads plain text or `hex:…` into bytes.
pub(crate) fn read_text_or_hex(text: &str) -> Result<Vec<u8>, KeyTextError> {
    let Some(digits) = text.strip_prefix(HEX_PREFIX) else {
        return Ok(text.as_bytes().to_vec());
    };
    let mut halves = Vec::with_capacity(digits.len());
    for found in digits.chars() {
        let half = found.to_digit(16).ok_or_else(|| KeyTextError::NotADigit { text: text.to_string(), found })?;
        halves.push(u8::try_from(half).unwrap_or_default());
    }
    let (pairs, rest) = halves.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(KeyTextError::OddDigits { text: text.to_string() });
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Prints bytes as plain text where that is readable and reads back as the same bytes, else as `hex:…`.
pub(crate) fn write_text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if is_plain(text) => text.to_string(),
        _ => write_hex(bytes),
    }
}

/// Only what a terminal shows as itself: no control or direction marks, no blanks that the eye would miss.
fn is_plain(text: &str) -> bool {
    !text.starts_with(HEX_PREFIX)
        && text.trim() == text
        && text.chars().all(|c| c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric()))
}

fn write_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut out = String::with_capacity(HEX_PREFIX.len() + bytes.len() * 2);
    out.push_str(HEX_PREFIX);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> KeyText {
        text.parse().unwrap()
    }

    #[test]
    fn the_three_spellings() {
        assert_eq!(read("abc").as_bytes(), b"abc");
        assert_eq!(read("hex:616263"), read("abc"));
        assert_eq!(read("hex:FF0a").as_bytes(), [0xff, 0x0a]);
        assert!(read("-").is_unbounded());
        assert!(read("").is_unbounded());
        assert!(read("hex:").is_unbounded());
        assert_eq!(read("--").as_bytes(), b"--");
    }

    #[test]
    fn printing_picks_the_readable_form() {
        for (bytes, text) in [
            (&b"user 1"[..], "user 1"),
            (b"", "-"),
            (b"-", "hex:2d"),
            (b"hex:61", "hex:6865783a3631"),
            (b"a\n", "hex:610a"),
            (b" a", "hex:2061"),
            (b"\xff", "hex:ff"),
            ("größe".as_bytes(), "größe"),
            ("a\u{202e}b".as_bytes(), "hex:61e280ae62"),
        ] {
            assert_eq!(KeyText::from_bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn wrong_texts_say_why() {
        assert!(matches!("hex:abc".parse::<KeyText>(), Err(KeyTextError::OddDigits { .. })));
        assert!(matches!("hex:zz".parse::<KeyText>(), Err(KeyTextError::NotADigit { found: 'z', .. })));
        assert_eq!(read("-").into_key(), Err(KeyTextError::KeyNeeded));
        assert_eq!(read("hex:2d").into_key(), Ok(b"-".to_vec()));
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_as_the_same_key(bytes: Vec<u8>) {
            let key = KeyText::from_bytes(bytes);
            prop_assert_eq!(key.to_string().parse::<KeyText>().unwrap(), key);
        }

        #[test]
        fn any_text_prints_and_reads_back(text: String) {
            let key = KeyText::from_bytes(text.into_bytes());
            prop_assert_eq!(key.to_string().parse::<KeyText>().unwrap(), key);
        }
    }
}
