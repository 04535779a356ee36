//! Runs every script under `testscripts/`: one behaviour each, with each command's reply and the writes it makes.
//! Regenerate with `UPDATE_GOLDENFILES=1 cargo test -p nokv-percolator --test scripts`, and read before committing.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod arguments;
mod show;

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::result::Result;

use arguments::Arguments;
use nokv_engine::{Cf, Cursor, Engine, KeyRange, MemoryEngine, ReadView};
use nokv_percolator::*;

test_each_file::test_each_path! { in "./percolator/testscripts" as scripts => run_script }

fn run_script(path: &Path) {
    goldenscript::run(&mut Runner { engine: MemoryEngine::new() }, path).unwrap();
}

/// One region's data; commands run on it one at a time, as under latches.
struct Runner {
    engine: MemoryEngine,
}

impl goldenscript::Runner for Runner {
    type Command = goldenscript::Command;

    fn run(&mut self, command: &goldenscript::Command, _: &goldenscript::Context) -> Result<String, Box<dyn Error>> {
        let mut arguments = Arguments::of(command);
        let output = match command.name.as_str() {
            "get" => self.get(&mut arguments),
            "batch_get" => self.batch_get(&mut arguments),
            "scan" => self.scan(&mut arguments),
            "prewrite" => self.prewrite(&mut arguments),
            "commit" => self.commit(&mut arguments),
            "rollback" => self.rollback(&mut arguments),
            "cleanup" => self.cleanup(&mut arguments),
            "status" => self.status(&mut arguments),
            "check_secondaries" => self.check_secondaries(&mut arguments),
            "heart_beat" => self.heart_beat(&mut arguments),
            "find_locks" => self.find_locks(&mut arguments),
            "resolve" => self.resolve(&mut arguments),
            "scan_lock" => self.scan_lock(&mut arguments),
            "collect" => self.collect(&mut arguments),
            "mvcc" => self.mvcc(&mut arguments),
            "dump" => self.dump(),
            name => Err(format!("unknown command {name}").into()),
        };
        arguments.reject_rest()?;
        output
    }
}

type Output = Result<String, Box<dyn Error>>;

impl Runner {
    /// Applies a command's writes and shows them behind its reply.
    fn apply<R>(&self, outcome: Outcome<R>, reply: impl FnOnce(&R) -> String) -> Output {
        let mut output = format!("{}\n", reply(&outcome.reply));
        for op in outcome.batch.ops() {
            writeln!(output, "  {}", show::op(op?))?;
        }
        self.engine.write(&outcome.batch, false)?;
        Ok(output)
    }

    fn get(&self, arguments: &mut Arguments) -> Output {
        let read = arguments.read_point()?;
        let mut output = String::new();
        for key in arguments.rest()? {
            let reply = Get { key: Key::encode(key.as_bytes()), read: read.clone() }.execute(&self.engine.view())?;
            writeln!(output, "{key} → {}", show::reply(&reply, |found| show::found(found.as_ref())))?;
        }
        Ok(output)
    }

    fn batch_get(&self, arguments: &mut Arguments) -> Output {
        let command = BatchGet { read: arguments.read_point()?, keys: arguments.keys()? };
        let pairs = command.execute(&self.engine.view())?;
        let output: String = pairs.iter().map(|pair| show::pair(pair) + "\n").collect();
        Ok(if output.is_empty() { "nothing\n".into() } else { output })
    }

    fn scan(&self, arguments: &mut Arguments) -> Output {
        let read = arguments.read_point()?;
        let (from, to) = arguments.range()?;
        let scan = Scan {
            range: KeyRange::new(&from, &to),
            read,
            limit: arguments.number("limit", 100)?,
            bytes_max: arguments.number("bytes_max", 0)?,
            key_only: arguments.flag("key_only")?,
            reverse: arguments.flag("reverse")?,
        };
        let reply = scan.execute(&self.engine.view())?;
        let mut output: String = reply.pairs.iter().map(|pair| show::pair(pair) + "\n").collect();
        if let Some(key) = reply.resume_at {
            writeln!(output, "more at {}", show::key(key.as_encoded()))?;
        } else if output.is_empty() {
            output.push_str("nothing\n");
        }
        Ok(output)
    }

    fn prewrite(&self, arguments: &mut Arguments) -> Output {
        let start_ts = arguments.timestamp()?;
        let primary: String = arguments.text("primary").unwrap_or_else(|| "a".into());
        let command = Prewrite {
            start_ts,
            primary: primary.into_bytes().into(),
            ttl_ms: arguments.number("ttl", 3)?,
            txn_size: arguments.number("size", 0)?,
            min_commit_ts: arguments.named_timestamp("min_commit", Timestamp::ZERO)?,
            commit_by: arguments.commit_by()?,
            assertion_level: match arguments.text("assertions").as_deref() {
                None | Some("strict") => AssertionLevel::Strict,
                Some("fast") => AssertionLevel::Fast,
                Some("off") => AssertionLevel::Off,
                Some(level) => return Err(format!("unknown assertion level {level}").into()),
            },
            mutations: arguments.mutations()?,
        };
        self.apply(command.execute(&self.engine.view())?, |reply| {
            let errors: Vec<String> = reply.errors.iter().map(show::key_error).collect();
            if errors.is_empty() { show::prewritten(reply) } else { errors.join("\n") }
        })
    }

    fn commit(&self, arguments: &mut Arguments) -> Output {
        let (start_ts, commit_ts) = (arguments.timestamp()?, arguments.timestamp()?);
        let command = Commit { start_ts, commit_ts, keys: arguments.keys()? };
        self.apply(command.execute(&self.engine.view())?, show::done)
    }

    fn rollback(&self, arguments: &mut Arguments) -> Output {
        let command = BatchRollback { start_ts: arguments.timestamp()?, keys: arguments.keys()? };
        self.apply(command.execute(&self.engine.view())?, show::done)
    }

    fn cleanup(&self, arguments: &mut Arguments) -> Output {
        let start_ts = arguments.timestamp()?;
        let current_ts = arguments.named_timestamp("now", Timestamp::ZERO)?;
        let command = Cleanup { start_ts, current_ts, key: arguments.key()? };
        self.apply(command.execute(&self.engine.view())?, show::done)
    }

    fn status(&self, arguments: &mut Arguments) -> Output {
        let command = CheckTxnStatus {
            lock_ts: arguments.timestamp()?,
            caller_start_ts: arguments.named_timestamp("caller", Timestamp::ZERO)?,
            current_ts: arguments.named_timestamp("now", Timestamp::ZERO)?,
            rollback_if_not_exist: !arguments.flag("only_ask")?,
            verify_is_primary: arguments.flag("verify")?,
            force_sync_commit: arguments.flag("two_phases")?,
            primary: arguments.key()?,
        };
        self.apply(command.execute(&self.engine.view())?, |reply| show::reply(reply, show::status))
    }

    fn check_secondaries(&self, arguments: &mut Arguments) -> Output {
        let command = CheckSecondaryLocks { start_ts: arguments.timestamp()?, keys: arguments.keys()? };
        self.apply(command.execute(&self.engine.view())?, show::secondaries)
    }

    fn heart_beat(&self, arguments: &mut Arguments) -> Output {
        let command = TxnHeartBeat {
            start_ts: arguments.timestamp()?,
            advise_ttl_ms: arguments.number("ttl", 0)?,
            min_commit_ts: arguments.named_timestamp("min_commit", Timestamp::ZERO)?,
            primary: arguments.key()?,
        };
        self.apply(command.execute(&self.engine.view())?, |reply| show::reply(reply, |ttl| format!("ttl={ttl}")))
    }

    fn find_locks(&self, arguments: &mut Arguments) -> Output {
        let start_ts = arguments.timestamp()?;
        let (from, to) = arguments.range()?;
        let command =
            FindTxnLocks { range: KeyRange::new(&from, &to), start_ts, limit: arguments.number("limit", 100)? };
        let reply = command.execute(&self.engine.view())?;
        let keys: Vec<String> = reply.keys.iter().map(|key| show::key(key.as_encoded())).collect();
        Ok(format!("locked: {}{}\n", keys.join(" "), show::resume(reply.resume_at.as_ref())))
    }

    /// Ends a transaction's locks: those on the given keys or, if none are given, on all keys in turns of `limit`.
    fn resolve(&self, arguments: &mut Arguments) -> Output {
        let start_ts = arguments.timestamp()?;
        let commit_ts = arguments.named_timestamp("commit", Timestamp::ZERO)?;
        let limit = arguments.number("limit", 100)?;
        let (from, to) = arguments.range()?;
        let keys = arguments.keys()?;
        if !keys.is_empty() {
            let command = ResolveLock { keys, start_ts, commit_ts };
            return self.apply(command.execute(&self.engine.view())?, show::done);
        }
        let (mut output, mut from) = (String::new(), from);
        loop {
            let find = FindTxnLocks { range: KeyRange::new(&from, &to), start_ts, limit };
            let found = find.execute(&self.engine.view())?;
            let command = ResolveLock { keys: found.keys, start_ts, commit_ts };
            let outcome = command.execute(&self.engine.view())?;
            let failed = outcome.reply.is_err();
            output.push_str(&self.apply(outcome, show::done)?);
            match found.resume_at {
                Some(next) if !failed => from = next.as_encoded().to_vec(),
                _ => return Ok(output),
            }
        }
    }

    fn scan_lock(&self, arguments: &mut Arguments) -> Output {
        let max_ts = arguments.timestamp()?;
        let (from, to) = arguments.range()?;
        let command = ScanLock { range: KeyRange::new(&from, &to), max_ts, limit: arguments.number("limit", 100)? };
        let reply = command.execute(&self.engine.view())?;
        let mut output: String = reply.locks.iter().map(|lock| show::lock_info(lock) + "\n").collect();
        writeln!(output, "{} found{}", reply.locks.len(), show::resume(reply.resume_at.as_ref()))?;
        Ok(output)
    }

    /// Collects below a safe point, in turns of `records` looked at and `bytes` of batch.
    fn collect(&self, arguments: &mut Arguments) -> Output {
        let safe_point = arguments.timestamp()?;
        let (from, to) = arguments.range()?;
        let mut command = Collect {
            range: KeyRange::new(&from, &to),
            safe_point,
            position: CollectPosition::default(),
            records_max: arguments.number("records", 100)?,
            batch_bytes_max: arguments.number("bytes", 10_000)?,
        };
        let (mut output, mut quiet) = (String::new(), Timestamp::MAX);
        loop {
            let outcome = command.execute(&self.engine.view())?;
            quiet = quiet.min(outcome.reply.quiet_up_to);
            let next = outcome.reply.next.clone();
            let turn = |reply: &CollectReply| format!("turn: {} seen, {} removed", reply.seen, reply.removed);
            output.push_str(&self.apply(outcome, turn)?);
            match next {
                Some(next) => command.position = next,
                None => break,
            }
        }
        writeln!(output, "quiet up to {}", show::ts(quiet))?;
        Ok(output)
    }

    fn mvcc(&self, arguments: &mut Arguments) -> Output {
        let command = MvccByKey { limit: arguments.number("limit", 100)?, key: arguments.key()? };
        Ok(show::mvcc(&command.execute(&self.engine.view())?))
    }

    /// Everything in the engine.
    fn dump(&self) -> Output {
        let view = self.engine.view();
        let mut output = String::new();
        for cf in [Cf::Lock, Cf::Write, Cf::Default] {
            let mut cursor = view.cursor(cf, KeyRange::ALL)?;
            cursor.seek_to_first()?;
            while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
                writeln!(output, "{}", show::entry(cf, key, value))?;
                cursor.next()?;
            }
        }
        if output.is_empty() {
            output.push_str("nothing\n");
        }
        Ok(output)
    }
}

/// A script that stays as it is whatever the code does shows nothing: these mistakes, planted, change these traces.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_mistakes_are_seen() {
    let seen_by = [
        ("commit what was rolled back", "commit/rolled_back"),
        ("collect a deletion before what it hides", "collect/what_goes"),
        ("forget the rollback mark", "rollback/marks_are_kept"),
        ("overlook newer commits", "prewrite/conflict"),
    ];
    for (mistake, script) in seen_by {
        let recorded = std::fs::read_to_string(format!("testscripts/{script}")).unwrap();
        nokv_engine::plant(Some(mistake));
        let trace = goldenscript::generate(&mut Runner { engine: MemoryEngine::new() }, &recorded);
        nokv_engine::plant(None);
        assert!(trace.is_err() || trace.is_ok_and(|trace| trace != recorded), "{script}: {mistake}");
    }
}
