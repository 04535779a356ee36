//! The little language of `nokv txn`: `put KEY VALUE`, `delete KEY`, `get KEY`, one after another.
//!
//! As arguments the operations are separated by `--`; on standard input each has a line, `#` begins a comment, and
//! words with blanks stand in double quotes (`\"` and `\\` inside them).

use crate::key_text::{KeyText, KeyTextError};
use crate::value_text::ValueText;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Set a key at commit.
    Put(Vec<u8>, Vec<u8>),
    /// Remove a key at commit.
    Delete(Vec<u8>),
    /// Read a key, own writes included.
    Get(Vec<u8>),
}

/// What is wrong with a script; nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub(super) struct ScriptError {
    /// "operation 2" or "line 7".
    place: String,
    problem: String,
}

/// The steps given as arguments, separated by `--`.
pub(super) fn from_arguments(arguments: &[String]) -> Result<Vec<Step>, ScriptError> {
    let operations = arguments.split(|word| word == "--").filter(|words| !words.is_empty());
    let steps = operations.enumerate().map(|(n, words)| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        step(&words).map_err(|problem| ScriptError { place: format!("operation {}", n + 1), problem })
    });
    steps.collect()
}

/// The steps given as lines.
pub(super) fn from_lines(text: &str) -> Result<Vec<Step>, ScriptError> {
    let mut steps = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let at = |problem| ScriptError { place: format!("line {}", n + 1), problem };
        let words = split_words(line).map_err(at)?;
        if !words.is_empty() {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            steps.push(step(&words).map_err(at)?);
        }
    }
    Ok(steps)
}

fn step(words: &[&str]) -> Result<Step, String> {
    let told = |error: KeyTextError| error.to_string();
    let key = |text: &str| text.parse::<KeyText>().and_then(KeyText::into_key).map_err(told);
    match words {
        ["put", name, value] => Ok(Step::Put(key(name)?, value.parse::<ValueText>().map_err(told)?.into_bytes())),
        ["delete", name] => Ok(Step::Delete(key(name)?)),
        ["get", name] => Ok(Step::Get(key(name)?)),
        ["put" | "delete" | "get", ..] => Err(format!(
            "{:?} has the wrong number of words; write put KEY VALUE, delete KEY or get KEY",
            words.join(" ")
        )),
        _ => Err(format!("unknown operation {:?}; there are put, delete and get", words.join(" "))),
    }
}

fn split_words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_word(quoted)?,
            None => {
                let (word, behind) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
                (word.to_string(), behind)
            }
        };
        if !behind.is_empty() && !behind.starts_with(char::is_whitespace) {
            return Err(format!("a blank is missing before {behind:?}"));
        }
        words.push(word);
        rest = behind.trim_start();
    }
    Ok(words)
}

/// The word up to the closing quote, and what is behind that.
fn quoted_word(text: &str) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return Ok((word, chars.as_str())),
            '\\' => match chars.next() {
                Some(escaped @ ('"' | '\\')) => word.push(escaped),
                _ => return Err("within quotes a \\ stands only before \" or \\; write bytes as hex:…".into()),
            },
            other => word.push(other),
        }
    }
    Err("a closing quote is missing".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Result<Vec<Step>, String> {
        let words: Vec<String> = text.split(' ').map(str::to_string).collect();
        from_arguments(&words).map_err(|error| error.to_string())
    }

    fn put(key: &str, value: &str) -> Step {
        Step::Put(key.into(), value.into())
    }

    #[test]
    fn operations_as_arguments() {
        let steps = [put("a", "1"), put("z", "2"), Step::Delete(b"b".to_vec()), Step::Get(b"\xff".to_vec())];
        assert_eq!(arguments("put a 1 -- put z 2 -- delete b -- get hex:ff").unwrap(), steps);
        assert_eq!(arguments("-- put a 1 --").unwrap(), [put("a", "1")]);
        assert_eq!(from_arguments(&[]).unwrap(), []);
        let blanks = ["put", "a b", ""].map(String::from);
        assert_eq!(from_arguments(&blanks).unwrap(), [put("a b", "")]);
    }

    #[test]
    fn operations_as_lines() {
        let text = "# a transfer\nput alice 90\n\n  put \"bob \\\"b\\\" \\\\\" \"\"  # to bob\r\ndelete hex:00\n";
        let steps = [put("alice", "90"), put("bob \"b\" \\", ""), Step::Delete(vec![0])];
        assert_eq!(from_lines(text).unwrap(), steps);
        assert_eq!(from_lines(" \n# nothing\n").unwrap(), []);
    }

    #[test]
    fn mistakes_name_their_place() {
        for (script, told) in [
            ("put a 1 -- put b", "operation 2: \"put b\" has the wrong number of words"),
            ("put a b c", "operation 1: \"put a b c\" has the wrong number of words"),
            ("inc a", "operation 1: unknown operation \"inc a\""),
            ("get -", "operation 1: a key is needed here"),
            ("put a hex:0", "operation 1: \"hex:0\" has an odd number"),
        ] {
            let error = arguments(script).unwrap_err();
            assert!(error.starts_with(told), "{error}");
        }
        for (script, told) in [
            ("\nput a \"1", "line 2: a closing quote is missing"),
            ("put \"a\"b 1", "line 1: a blank is missing before \"b 1\""),
            ("put a \"\\n\"", "line 1: within quotes"),
        ] {
            let error = from_lines(script).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
    }
}
