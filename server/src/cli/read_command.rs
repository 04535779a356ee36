//! `nokv get` and `nokv scan`: committed values, now or as of a timestamp; raw ones with `--raw`.
//!
//! A key that is not there is told apart from an empty value by the exit code and a note, never by an empty line alone.

use clap::Args;
use nokv_client::{Client, Pair, ScanRange, Timestamp};
use serde_json::json;

use super::connect::{ConnectArgs, Timestamps};
use super::exit::{Answer, Exit, Failure};
use crate::key_text::KeyText;
use crate::value_text::ValueText;

/// The most rows that one scan prints: all of them are held in memory.
const SCAN_LIMIT_MAX: u32 = 100_000;

#[derive(Clone, Debug, Args)]
pub(super) struct GetArgs {
    /// The key: plain text, or hex:6b6579 for bytes
    key: KeyText,
    #[command(flatten)]
    how: ReadArgs,
    /// Print the value's bytes as they are, without a line end
    #[arg(long, conflicts_with = "json")]
    bytes: bool,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ScanArgs {
    /// The first key; - for the beginning
    #[arg(default_value = "-")]
    start: KeyText,
    /// The first key behind the range; - for the end
    #[arg(default_value = "-")]
    end: KeyText,
    /// How many rows at most (1 to 100000)
    #[arg(long, default_value_t = 100, value_name = "ROWS",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(SCAN_LIMIT_MAX)))]
    limit: u32,
    #[command(flatten)]
    how: ReadArgs,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct ReadArgs {
    /// Read raw keys, which are apart from transactional ones
    #[arg(long)]
    raw: bool,
    /// Read as of this timestamp instead of now
    #[arg(long, value_name = "TIMESTAMP", conflicts_with = "raw", value_parser = clap::value_parser!(u64).range(1..))]
    at: Option<u64>,
}

impl ReadArgs {
    /// Whether a timestamp must be drawn, by this client's rules: a scan is a snapshot, a get is not.
    fn timestamps(self, snapshot: bool) -> Timestamps {
        if snapshot && !self.raw && self.at.is_none() { Timestamps::Needed } else { Timestamps::NotNeeded }
    }
}

pub(super) fn get(args: &GetArgs) -> Result<Answer, Failure> {
    let key = args.key.clone().into_key().map_err(|error| Failure::usage(error.to_string()))?;
    args.connect.with_client(args.how.timestamps(false), async |client: Client| {
        let found = match args.how {
            ReadArgs { raw: true, .. } => client.raw_get(key).await?,
            ReadArgs { at: Some(at), .. } => client.get_at(key, Timestamp(at)).await?,
            ReadArgs { .. } => client.get(key).await?,
        };
        let exit = if found.is_some() { Exit::Ok } else { Exit::Error };
        let value = found.as_ref().map(|bytes| ValueText::from_bytes(bytes.as_ref()));
        if args.connect.output.json {
            let answer = json!({ "key": args.key, "found": value.is_some(), "value": value });
            return Ok(Answer::json(&answer).with_exit(exit));
        }
        Ok(match (found, value) {
            (Some(bytes), _) if args.bytes => Answer::ok(bytes),
            (Some(_), Some(value)) => Answer::ok(format!("{value}\n")),
            _ => Answer::ok("").with_exit(exit).with_note(format!("{}: no such key", args.key)),
        })
    })
}

pub(super) fn scan(args: &ScanArgs) -> Result<Answer, Failure> {
    let range = ScanRange::new(args.start.as_bytes(), args.end.as_bytes());
    // One more than asked for tells whether there are more.
    let limit = args.limit as usize;
    args.connect.with_client(args.how.timestamps(true), async |client: Client| {
        let mut pairs = match args.how {
            ReadArgs { raw: true, .. } => client.raw_scan(range, limit + 1).await?,
            ReadArgs { at: Some(at), .. } => client.scan_at(range, limit + 1, Timestamp(at)).await?,
            ReadArgs { .. } => client.scan(range, limit + 1).await?,
        };
        let next = pairs.get(limit).map(|(key, _)| KeyText::from_bytes(key.as_ref()));
        pairs.truncate(limit);
        if args.connect.output.json {
            let rows: Vec<_> = pairs.iter().map(row_json).collect();
            return Ok(Answer::json(&json!({ "pairs": rows, "next": next })));
        }
        let answer = Answer::ok(pairs.iter().map(row_text).collect::<String>());
        Ok(match next {
            Some(next) => answer.with_note(format!("there are more rows; go on from {next}, or raise --limit")),
            None => answer,
        })
    })
}

/// A tab between key and value: neither ever shows one, for control characters are printed as hex.
fn row_text((key, value): &Pair) -> String {
    format!("{}\t{}\n", KeyText::from_bytes(key.as_ref()), ValueText::from_bytes(value.as_ref()))
}

fn row_json((key, value): &Pair) -> serde_json::Value {
    json!({ "key": KeyText::from_bytes(key.as_ref()), "value": ValueText::from_bytes(value.as_ref()) })
}
