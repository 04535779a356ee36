//! Another process on the same directory: this test binary, told by the environment what to do. It reports on its
//! standard output, one line an event, and is ended by its parent.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nokv_engine::{Cf, Engine, Error, RocksEngine, RocksOptions, WriteBatch};

const TASK: &str = "NOKV_ENGINE_TEST_TASK";
const DIRECTORY: &str = "NOKV_ENGINE_TEST_DIRECTORY";

/// The value that the child writes with each key.
pub const VALUE_BYTES: usize = 1000;

/// What another process shall do.
#[derive(Clone, Copy)]
pub enum Task {
    /// Open the directory, say `open`, and stay.
    Hold,
    /// Write key after key, every third one synced, say `ok N` after each; at a failure `failed TEXT`, then try once
    /// more, unsynced, and say `again TEXT`.
    Write,
}

/// A running child; killed when dropped.
pub struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts `task` on `directory`; with `file_bytes_max` no file of the child can grow beyond that.
    pub fn start(task: Task, directory: &Path, file_bytes_max: Option<u64>) -> Self {
        // The limit is the shell's, in blocks of 512 bytes; a write beyond it is an error, not the end, when the
        // signal is ignored.
        let limit = file_bytes_max.map_or(String::new(), |bytes| format!("ulimit -f {}; trap '' XFSZ; ", bytes / 512));
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(format!("{limit}exec \"$0\" --exact child::run --ignored --nocapture --test-threads 1"))
            .arg(std::env::current_exe().unwrap())
            .env(TASK, if matches!(task, Task::Hold) { "hold" } else { "write" })
            .env(DIRECTORY, directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits for the next line that begins with `word` and returns what follows; `None` when the child has ended.
    pub fn line(&mut self, word: &str) -> Option<String> {
        self.lines.find_map(|line| line.unwrap().strip_prefix(word).map(|rest| rest.trim().to_owned()))
    }

    /// Ends the child with `kill -9`, and returns what it had said until then, as far as it begins with `word`.
    pub fn kill(mut self, word: &str) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.line(word)).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The key that the child writes as its `number`-th, counted from 0.
pub fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

#[test]
#[ignore = "the other process of other tests"]
fn run() {
    let task = std::env::var(TASK).expect("set by the parent");
    let directory = std::env::var(DIRECTORY).expect("set by the parent");
    let engine = RocksEngine::open(directory, &RocksOptions::default()).unwrap();
    say("open");
    if task == "write" {
        write_until_failure(&engine);
    }
    // Until the parent kills this process, or is gone itself.
    std::io::stdin().lines().for_each(drop);
}

fn write_until_failure(engine: &RocksEngine) {
    let write = |number: u64, sync: bool| -> Result<(), Error> {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raft, &key(number), b"log");
        batch.put(Cf::Raw, &key(number), &[number as u8; VALUE_BYTES]);
        engine.write(&batch, sync)
    };
    for number in 0.. {
        match write(number, number % 3 == 0) {
            Ok(()) => say(&format!("ok {number}")),
            Err(error) => {
                say(&format!("failed {error}"));
                say(&format!("again {}", write(u64::MAX, false).unwrap_err()));
                return;
            }
        }
    }
}

fn say(line: &str) {
    // The parent may be gone: then nobody listens, and this process is about to end.
    let _ = writeln!(std::io::stdout(), "\n{line}");
}
