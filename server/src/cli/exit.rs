//! What a command leaves behind: an answer or a failure, each with the process's exit code.
//!
//! Exit codes are part of the interface: scripts tell "it failed" from "nobody knows whether it happened" by them.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::tso::ServeError;

/// For the end of `nokv --help`.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  an error; nothing of what was asked has taken effect
  2  the command line is wrong; nothing was tried
  3  undetermined: a write was sent and its outcome could not be found out; read before writing again

Keys are written alike everywhere: plain text, hex:6b6579 for bytes, - (or nothing) for no bound.";

/// A process's exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Ok,
    /// 1: an error; nothing of what was asked has taken effect.
    Error,
    /// 2: the command line is wrong; nothing was tried.
    Usage,
    /// 3: a write was sent and its outcome could not be found out.
    Undetermined,
}

/// What a command prints on standard output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Complete lines.
    pub text: Vec<u8>,
    /// Something worth knowing about the answer, printed on standard error; without a line end.
    pub note: Option<String>,
    /// Usually [`Exit::Ok`].
    pub exit: Exit,
}

/// Why a command did not do what it was asked; printed on standard error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong and what to do, for people; without a line end.
    pub text: String,
    /// Never [`Exit::Ok`].
    pub exit: Exit,
    /// What the person should do now.
    pub advice: Option<String>,
}

impl Answer {
    /// An answer after success.
    pub fn ok(text: impl Into<Vec<u8>>) -> Self {
        Answer { text: text.into(), note: None, exit: Exit::Ok }
    }

    /// The same answer with another exit code.
    pub fn with_exit(self, exit: Exit) -> Self {
        Answer { exit, ..self }
    }

    /// The same answer with a note on standard error.
    pub fn with_note(self, note: String) -> Self {
        Answer { note: Some(note), ..self }
    }

    /// A success that prints one JSON value on one line.
    pub fn json(value: &serde_json::Value) -> Self {
        Answer::ok(format!("{value}\n"))
    }
}

impl Failure {
    /// An error: nothing has taken effect.
    pub fn error(text: impl Into<String>) -> Self {
        Failure { text: text.into(), exit: Exit::Error, advice: None }
    }

    /// A mistake on the command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Failure { text: text.into(), exit: Exit::Usage, advice: None }
    }

    /// The text to print, without a line end.
    pub fn render(&self, json: bool) -> String {
        if json {
            let kind = match self.exit {
                Exit::Ok | Exit::Error => "error",
                Exit::Usage => "usage",
                Exit::Undetermined => "undetermined",
            };
            return serde_json::json!({ "error": self.text, "advice": self.advice, "kind": kind }).to_string();
        }
        match &self.advice {
            Some(advice) => format!("error: {}\nadvice: {advice}", self.text),
            None => format!("error: {}", self.text),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Ok => ExitCode::from(0),
            Exit::Error => ExitCode::from(1),
            Exit::Usage => ExitCode::from(2),
            Exit::Undetermined => ExitCode::from(3),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::error(error.to_string())
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        Failure::error(error.to_string())
    }
}
