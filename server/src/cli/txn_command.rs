//! `nokv txn`: the steps of a script in one transaction, committed at once or not at all.
//!
//! Reads are of one snapshot and see the script's own earlier writes; they are printed only once the commit is known.

use std::io::Read as _;

use clap::Args;
use nokv_client::{Client, Timestamp};
use serde_json::json;

use super::connect::{ConnectArgs, Timestamps};
use super::exit::{Answer, Failure};
use super::txn_script::{Step, from_arguments, from_lines};
use crate::key_text::KeyText;
use crate::value_text::ValueText;

/// The longest script on standard input.
const SCRIPT_BYTES_MAX: u64 = 256 << 20;

/// Runs put KEY VALUE, delete KEY and get KEY as one transaction: as arguments, separated by `--`
/// (nokv txn --config F put a 1 -- put z 2 -- delete b), or without any as lines on standard input, where # begins a
/// comment and words with blanks stand in double quotes. Flags come before the first operation.
#[derive(Clone, Debug, Args)]
pub(super) struct TxnArgs {
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
    /// The operations, separated by `--`; none: they are read from standard input, one a line
    #[arg(trailing_var_arg = true, value_name = "OPERATION")]
    script: Vec<String>,
}

/// What a transaction that has committed leaves to be told.
struct Committed {
    start_ts: Timestamp,
    /// The start timestamp where nothing was written.
    commit_ts: Timestamp,
    reads: Vec<(KeyText, Option<ValueText>)>,
    writes: usize,
}

pub(super) fn run(args: &TxnArgs) -> Result<Answer, Failure> {
    let script = if args.script.is_empty() { from_lines(&read_script()?) } else { from_arguments(&args.script) };
    let steps = script.map_err(|error| Failure::usage(error.to_string()))?;
    if steps.is_empty() {
        return Err(Failure::usage("the transaction is empty; write for instance: nokv txn … put a 1 -- delete b"));
    }
    args.connect.with_client(Timestamps::Needed, async |client: Client| {
        let committed = execute(&client, steps).await?;
        Ok(if args.connect.output.json { committed.json() } else { committed.text() })
    })
}

async fn execute(client: &Client, steps: Vec<Step>) -> Result<Committed, Failure> {
    let mut transaction = client.begin().await?;
    let start_ts = transaction.start_ts();
    let mut reads = Vec::new();
    let mut writes = 0;
    for step in steps {
        match step {
            Step::Put(key, value) => transaction.put(key, value)?,
            Step::Delete(key) => transaction.delete(key)?,
            Step::Get(key) => {
                let value = transaction.get(&key).await?;
                reads.push((KeyText::from_bytes(key), value.map(|bytes| ValueText::from_bytes(bytes.as_ref()))));
                continue;
            }
        }
        writes += 1;
    }
    let commit_ts = transaction.commit().await?;
    Ok(Committed { start_ts, commit_ts, reads, writes })
}

impl Committed {
    fn json(&self) -> Answer {
        let reads: Vec<_> = self.reads.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
        let (start_ts, commit_ts) = (self.start_ts.0, self.commit_ts.0);
        Answer::json(&json!({ "start_ts": start_ts, "commit_ts": commit_ts, "writes": self.writes, "reads": reads }))
    }

    fn text(&self) -> Answer {
        let mut text = String::new();
        let mut missing = Vec::new();
        for (key, value) in &self.reads {
            match value {
                Some(value) => text.push_str(&format!("{key}\t{value}\n")),
                None => missing.push(format!("{key}: no such key")),
            }
        }
        let (start_ts, commit_ts, writes) = (self.start_ts, self.commit_ts, self.writes);
        text.push_str(&format!("committed start_ts {start_ts} commit_ts {commit_ts} writes {writes}\n"));
        let answer = Answer::ok(text);
        if missing.is_empty() { answer } else { answer.with_note(missing.join("; ")) }
    }
}

fn read_script() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(SCRIPT_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::error(format!("cannot read the script from standard input: {error}")))?;
    if text.len() as u64 > SCRIPT_BYTES_MAX {
        return Err(Failure::usage(format!("the script is longer than {SCRIPT_BYTES_MAX} bytes")));
    }
    Ok(text)
}
