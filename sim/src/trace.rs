//! What happened in a run, line by line. Its hash is always kept; the text only if somebody wants to read it.
//! Two runs of one seed have the same trace, byte for byte.

use std::fmt::Write as _;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::Xxh3;

/// Collects the trace of one run.
pub struct Trace {
    state: Mutex<State>,
}

struct State {
    hash: Xxh3,
    lines: u64,
    line: String,
    sink: Sink,
}

/// What becomes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    /// Only its hash is kept.
    Hash,
    /// It is printed as it is written.
    Print,
    /// It is kept.
    Keep(Vec<String>),
}

impl Trace {
    /// An empty trace.
    pub fn new(sink: Sink) -> Self {
        Trace { state: Mutex::new(State { hash: Xxh3::new(), lines: 0, line: String::new(), sink }) }
    }

    /// Adds a line.
    pub fn note(&self, at: Duration, what: std::fmt::Arguments<'_>) {
        let mut state = self.state.lock();
        let State { hash, lines, line, sink } = &mut *state;
        line.clear();
        // Writing to a String cannot fail.
        let _ = writeln!(line, "{:>12} {what}", at.as_micros());
        hash.update(line.as_bytes());
        *lines += 1;
        match sink {
            Sink::Hash => {}
            Sink::Print => print!("{line}"),
            Sink::Keep(kept) => kept.push(line.clone()),
        }
    }

    /// Shows a line to whoever reads along; it is no part of the trace.
    pub fn aside(&self, at: Duration, what: impl FnOnce() -> String) {
        let state = self.state.lock();
        if state.sink == Sink::Print {
            println!("{:>12} . {}", at.as_micros(), what());
        }
    }

    /// The hash of all lines, and how many there are.
    pub fn digest(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.hash.digest(), state.lines)
    }

    /// The lines kept so far.
    pub fn lines(&self) -> Vec<String> {
        match &self.state.lock().sink {
            Sink::Keep(kept) => kept.clone(),
            Sink::Hash | Sink::Print => Vec::new(),
        }
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hash, lines) = self.digest();
        write!(f, "Trace({lines} lines, {hash:016x})")
    }
}
