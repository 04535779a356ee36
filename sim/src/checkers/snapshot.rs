//! Whether a snapshot that is read twice shows the same.
//! Broken by garbage that is collected too early, and by versions that come below one that was read.

use std::collections::BTreeMap;

/// The first key at which two readings of one snapshot differ; `None` if they are the same.
pub fn difference(first: &BTreeMap<Vec<u8>, Vec<u8>>, again: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<String> {
    let gone = first.iter().find(|(key, value)| again.get(*key) != Some(value));
    let came = again.keys().find(|key| !first.contains_key(*key));
    let shown = |value: Option<&Vec<u8>>| value.map(|value| value.escape_ascii().to_string());
    let key = gone.map(|(key, _)| key).or(came)?;
    let (before, after) = (shown(first.get(key)), shown(again.get(key)));
    Some(format!("{} was {before:?} and is {after:?}", key.escape_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_difference_is_found() {
        let reading = |pairs: &[(&str, &str)]| -> BTreeMap<Vec<u8>, Vec<u8>> {
            pairs.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
        };
        let first = reading(&[("a", "1"), ("b", "2")]);
        assert_eq!(difference(&first, &first), None);
        assert!(difference(&first, &reading(&[("a", "1")])).is_some());
        assert!(difference(&first, &reading(&[("a", "1"), ("b", "3")])).is_some());
        assert!(difference(&first, &reading(&[("a", "1"), ("b", "2"), ("c", "3")])).is_some());
    }
}
