//! One mistake in a topology file: where it is and what is wrong.
//!
//! Findings are collected, never thrown one by one: whoever edits the file sees the whole list at once.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One mistake in a topology file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The line of the file, from 1, on which the offending value begins.
    pub line: usize,
    /// The field, for instance `regions[1].start_key`; empty for the file as a whole.
    pub field: String,
    /// What is wrong, for people.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            write!(f, "{}: {}", self.line, self.problem)
        } else {
            write!(f, "{}: {}: {}", self.line, self.field, self.problem)
        }
    }
}

/// Why there is no topology. Nothing can be started from such a file; the file is the user's to correct.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read at all.
    #[error("cannot read the topology file {}: {source}", path.display())]
    Unreadable {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file is larger than any topology is.
    #[error("the topology file {} is larger than {bytes_max} bytes; is it the right file?", path.display())]
    TooLarge {
        /// The file that was asked for.
        path: PathBuf,
        /// The bound, in bytes.
        bytes_max: u64,
    },
    /// The file was read and is wrong; every mistake is listed, by line.
    #[error("{}", list(file, findings))]
    Invalid {
        /// The file's name as it was given.
        file: String,
        /// At least one.
        findings: Vec<Finding>,
    },
}

fn list(file: &str, findings: &[Finding]) -> String {
    let count = findings.len();
    let noun = if count == 1 { "mistake" } else { "mistakes" };
    let mut out = format!("{count} {noun} in {file}:");
    for finding in findings {
        out.push_str(&format!("\n  {file}:{finding}"));
    }
    out
}
