//! Values as people write and read them: plain text, or `hex:…` for bytes that are no readable text.
//!
//! The same reading and printing as for keys ([`crate::key_text::KeyText`]), but that a value may be empty and `-` is
//! just that text.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::key_text::{KeyTextError, read_text_or_hex, write_text_or_hex};

/// A value with one way to read it and one way to print it; `parse(print(v)) == v`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueText(Vec<u8>);

impl ValueText {
    /// Wraps the bytes of a value.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        ValueText(bytes.into())
    }

    /// The bytes of the value.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl FromStr for ValueText {
    type Err = KeyTextError;

    fn from_str(text: &str) -> Result<Self, KeyTextError> {
        read_text_or_hex(text).map(ValueText)
    }
}

impl fmt::Display for ValueText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&write_text_or_hex(&self.0))
    }
}

impl Serialize for ValueText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_and_nothing() {
        for (bytes, text) in [(&b"hello"[..], "hello"), (b"", ""), (b"-", "-"), (b"\x00", "hex:00")] {
            let value = ValueText::from_bytes(bytes);
            assert_eq!(value.to_string(), text);
            assert_eq!(text.parse::<ValueText>().unwrap(), value);
        }
    }
}
