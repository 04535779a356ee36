//! `nokv put` and `nokv delete`: one key, in a transaction of its own, or raw.
//!
//! The answer is printed only once the write is acknowledged; an outcome that cannot be known is exit code 3.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use nokv_client::{Client, Timestamp};
use serde_json::json;

use super::connect::{ConnectArgs, Timestamps};
use super::exit::{Answer, Failure};
use crate::key_text::KeyText;
use crate::value_text::ValueText;

/// No value that a store takes is larger; a file beyond it is not read to its end.
const FILE_BYTES_MAX: u64 = 256 << 20;

#[derive(Clone, Debug, Args)]
pub(super) struct PutArgs {
    /// The key: plain text, or hex:6b6579 for bytes
    key: KeyText,
    /// The value: plain text, or hex:76616c7565 for bytes
    #[arg(required_unless_present = "value_file")]
    value: Option<ValueText>,
    /// Take the value from this file, byte by byte; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "value")]
    value_file: Option<PathBuf>,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct DeleteArgs {
    /// The key: plain text, or hex:6b6579 for bytes
    key: KeyText,
    #[command(flatten)]
    kind: KindArgs,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct KindArgs {
    /// Write a raw key: no transaction, no versions, apart from transactional keys
    #[arg(long)]
    raw: bool,
}

impl KindArgs {
    fn timestamps(self) -> Timestamps {
        if self.raw { Timestamps::NotNeeded } else { Timestamps::Needed }
    }
}

pub(super) fn put(args: &PutArgs) -> Result<Answer, Failure> {
    let key = definite(&args.key)?;
    let value = match (&args.value, &args.value_file) {
        (Some(value), _) => value.clone().into_bytes(),
        (None, Some(path)) => read_value(path)?,
        (None, None) => return Err(Failure::usage("a value is missing: give VALUE or --value-file")),
    };
    args.connect.with_client(args.kind.timestamps(), async |client: Client| {
        let commit_ts = if args.kind.raw {
            client.raw_put(key, value).await?;
            None
        } else {
            Some(client.put(key, value).await?)
        };
        Ok(written(args.connect.output.json, commit_ts))
    })
}

pub(super) fn delete(args: &DeleteArgs) -> Result<Answer, Failure> {
    let key = definite(&args.key)?;
    args.connect.with_client(args.kind.timestamps(), async |client: Client| {
        let commit_ts = if args.kind.raw {
            client.raw_delete(key).await?;
            None
        } else {
            Some(client.delete(key).await?)
        };
        Ok(written(args.connect.output.json, commit_ts))
    })
}

fn written(json: bool, commit_ts: Option<Timestamp>) -> Answer {
    match (json, commit_ts) {
        (true, commit_ts) => Answer::json(&json!({ "ok": true, "commit_ts": commit_ts.map(|ts| ts.0) })),
        (false, Some(ts)) => Answer::ok(format!("ok commit_ts {ts}\n")),
        (false, None) => Answer::ok("ok\n"),
    }
}

fn definite(key: &KeyText) -> Result<Vec<u8>, Failure> {
    key.clone().into_key().map_err(|error| Failure::usage(error.to_string()))
}

fn read_value(path: &PathBuf) -> Result<Vec<u8>, Failure> {
    let mut value = Vec::new();
    let read = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_end(&mut value)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut value))
    };
    read.map_err(|error| Failure::error(format!("cannot read the value from {}: {error}", path.display())))?;
    if value.len() as u64 > FILE_BYTES_MAX {
        let path = path.display();
        return Err(Failure::error(format!("{path} is larger than {FILE_BYTES_MAX} bytes, and so than any value")));
    }
    Ok(value)
}
