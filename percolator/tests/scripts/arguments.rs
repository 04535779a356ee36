//! Reads the arguments of script commands.
//!
//! A timestamp is a number, `P.L` (physical milliseconds and logical part) or `max`. Mutations are `put/KEY=VALUE`,
//! `insert/KEY=VALUE`, `delete/KEY`, `lock/KEY` and `absent/KEY`, the key followed by `@exist` or `@not_exist` for an
//! assertion. A value `large-X` stands for 300 times the letter X, too long to be kept inline.

use std::collections::VecDeque;
use std::error::Error;
use std::str::FromStr;

use bytes::Bytes;
use goldenscript::Argument;
use nokv_percolator::{Assertion, CommitBy, Isolation, Key, Mutation, MutationOp, ReadPoint, Timestamp};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

pub struct Arguments {
    rest: VecDeque<Argument>,
}

impl Arguments {
    pub fn of(command: &goldenscript::Command) -> Self {
        Self { rest: command.args.iter().cloned().collect() }
    }

    pub fn reject_rest(&self) -> Result<()> {
        match self.rest.front() {
            Some(argument) => Err(format!("unexpected argument {argument}").into()),
            None => Ok(()),
        }
    }

    /// The named argument, if given.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let at = self.rest.iter().position(|arg| matches!(arg, Argument::KeyValue(key, _) if key == name))?;
        match self.rest.remove(at) {
            Some(Argument::KeyValue(_, value)) => Some(value),
            _ => None,
        }
    }

    pub fn number<T: FromStr<Err: Error + 'static>>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(match self.text(name) {
            Some(text) => text.parse()?,
            None => default,
        })
    }

    pub fn flag(&mut self, name: &str) -> Result<bool> {
        self.number(name, false)
    }

    pub fn named_timestamp(&mut self, name: &str, default: Timestamp) -> Result<Timestamp> {
        self.text(name).map_or(Ok(default), |text| parse_timestamp(&text))
    }

    fn positional(&mut self) -> Result<String> {
        let at = self.rest.iter().position(|argument| matches!(argument, Argument::Positional(_)));
        match at.and_then(|at| self.rest.remove(at)) {
            Some(Argument::Positional(value)) => Ok(value),
            _ => Err("argument missing".into()),
        }
    }

    /// The next positional argument.
    pub fn timestamp(&mut self) -> Result<Timestamp> {
        parse_timestamp(&self.positional()?)
    }

    /// The next positional argument.
    pub fn key(&mut self) -> Result<Key> {
        Ok(Key::encode(self.positional()?.as_bytes()))
    }

    /// All positional arguments that are left.
    pub fn rest(&mut self) -> Result<Vec<String>> {
        let mut rest = Vec::new();
        while self.rest.iter().any(|argument| matches!(argument, Argument::Positional(_))) {
            rest.push(self.positional()?);
        }
        Ok(rest)
    }

    pub fn keys(&mut self) -> Result<Vec<Key>> {
        Ok(self.rest()?.iter().map(|key| Key::encode(key.as_bytes())).collect())
    }

    /// `from=KEY to=KEY`, encoded.
    pub fn range(&mut self) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut bound =
            |name| self.text(name).map(|key| Key::encode(key.as_bytes()).as_encoded().to_vec()).unwrap_or_default();
        Ok((bound("from"), bound("to")))
    }

    /// The version, then `isolation=rc` and `bypass=TS`.
    pub fn read_point(&mut self) -> Result<ReadPoint> {
        Ok(ReadPoint {
            version: self.timestamp()?,
            isolation: match self.text("isolation").as_deref() {
                Some("rc") => Isolation::ReadCommitted,
                None => Isolation::Snapshot,
                Some(other) => return Err(format!("unknown isolation {other}").into()),
            },
            bypass_locks: self.text("bypass").iter().map(|text| parse_timestamp(text)).collect::<Result<_>>()?,
        })
    }

    /// `by=one_phase`, or `by=async` and `secondaries=KEY,KEY`.
    pub fn commit_by(&mut self) -> Result<CommitBy> {
        let secondaries = self.text("secondaries").unwrap_or_default();
        let secondaries = secondaries.split(',').filter(|key| !key.is_empty()).map(|key| key.to_owned().into());
        Ok(match self.text("by").as_deref() {
            None => CommitBy::TwoPhases,
            Some("one_phase") => CommitBy::OnePhase,
            Some("async") => CommitBy::Async { secondaries: secondaries.collect() },
            Some(other) => return Err(format!("unknown way to commit {other}").into()),
        })
    }

    pub fn mutations(&mut self) -> Result<Vec<Mutation>> {
        self.rest.drain(..).map(|argument| parse_mutation(&argument)).collect()
    }
}

fn parse_mutation(argument: &Argument) -> Result<Mutation> {
    let (what, value) = match argument {
        Argument::KeyValue(what, value) => (what, Some(parse_value(value))),
        Argument::Positional(what) => (what, None),
        _ => return Err("an argument of a new kind".into()),
    };
    let (op, key) = what.split_once('/').ok_or("not a mutation")?;
    let (key, assertion) = match key.split_once('@') {
        Some((key, "exist")) => (key, Assertion::Exist),
        Some((key, "not_exist")) => (key, Assertion::NotExist),
        _ => (key, Assertion::None),
    };
    let op = match (op, value) {
        ("put", Some(value)) => MutationOp::Put(value),
        ("insert", Some(value)) => MutationOp::Insert(value),
        ("delete", None) => MutationOp::Delete,
        ("lock", None) => MutationOp::Lock,
        ("absent", None) => MutationOp::CheckNotExists,
        _ => return Err(format!("not a mutation: {argument}").into()),
    };
    Ok(Mutation { key: Key::encode(key.as_bytes()), op, assertion })
}

fn parse_value(text: &str) -> Bytes {
    match text.strip_prefix("large-") {
        Some(letter) => letter.repeat(300).into(),
        None => text.to_owned().into(),
    }
}

fn parse_timestamp(text: &str) -> Result<Timestamp> {
    Ok(match text.split_once('.') {
        Some((physical_ms, logical)) => Timestamp::compose(physical_ms.parse()?, logical.parse()?),
        None if text == "max" => Timestamp::MAX,
        None => Timestamp(text.parse()?),
    })
}
