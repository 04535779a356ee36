//! Logging for every long-running command: to standard error, for a terminal or as JSON lines, off the caller's thread.
//!
//! Standard output is left to what a command prints. A full log queue drops records and says how many, rather than
//! stall whoever logs; dropping [`LogGuard`] writes out what is still queued.

use std::io::{self, IsTerminal as _};

use slog::{Drain, Level, LevelFilter, Logger, OwnedKVList, Record, o};
use slog_async::{AsyncGuard, OverflowStrategy};

/// Records that may wait to be written.
const QUEUE_RECORDS_MAX: usize = 8_192;

/// How log records look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One line a record for people, coloured on a terminal.
    #[default]
    Terminal,
    /// One JSON object a line, for programs.
    Json,
}

/// The least important records that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// The process cannot go on.
    Critical,
    /// Something failed and somebody must look.
    Error,
    /// Something is wrong and copes with itself.
    Warning,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything; only in builds for development.
    Trace,
}

/// The logging flags that long-running commands share.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub struct LogArgs {
    /// How log lines on standard error look
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// The least important log lines that are written
    #[arg(long, value_enum, default_value_t, value_name = "LEVEL")]
    pub log_level: LogLevel,
}

/// Keeps the log's writer alive; dropping it writes out everything queued. Hold it until the very end of `main`.
#[must_use = "dropping the guard ends the log"]
pub struct LogGuard {
    _writer: AsyncGuard,
}

impl LogArgs {
    /// Starts logging. The logger may be cloned freely; what is logged after the guard is dropped is lost.
    pub fn start(self) -> (Logger, LogGuard) {
        let (drain, guard) = match self.log_format {
            LogFormat::Terminal => {
                if io::stderr().is_terminal() {
                    let decorator = slog_term::TermDecorator::new().stderr().build();
                    let format = slog_term::FullFormat::new(decorator).use_utc_timestamp().build();
                    queued(self.log_level, WriteErrorsIgnored(std::sync::Mutex::new(format)))
                } else {
                    // A record in one write: standard output may go to the same file, and its lines must stay whole.
                    let decorator = slog_term::PlainSyncDecorator::new(io::stderr());
                    let format = slog_term::FullFormat::new(decorator).use_utc_timestamp().build();
                    queued(self.log_level, WriteErrorsIgnored(std::sync::Mutex::new(format)))
                }
            }
            LogFormat::Json => {
                let format = slog_json::Json::new(whole_lines()).add_default_keys().set_flush(true).build();
                queued(self.log_level, WriteErrorsIgnored(std::sync::Mutex::new(format)))
            }
        };
        (Logger::root(drain, o!()), LogGuard { _writer: guard })
    }
}

/// Standard error, written to a record at a time.
fn whole_lines() -> io::LineWriter<io::Stderr> {
    const LINE_BYTES: usize = 64 << 10;
    io::LineWriter::with_capacity(LINE_BYTES, io::stderr())
}

type Filtered = slog::Fuse<LevelFilter<slog_async::Async>>;

fn queued<D>(level: LogLevel, drain: D) -> (Filtered, AsyncGuard)
where
    D: Drain<Ok = (), Err = slog::Never> + Send + 'static,
{
    let (queue, guard) = slog_async::Async::new(drain)
        .chan_size(QUEUE_RECORDS_MAX)
        .overflow_strategy(OverflowStrategy::DropAndReport)
        .thread_name("log".into())
        .build_with_guard();
    (LevelFilter::new(queue, level.into()).fuse(), guard)
}

/// A closed or full standard error must not end a server: what cannot be written is lost.
struct WriteErrorsIgnored<D>(std::sync::Mutex<D>);

impl<D: Drain> Drain for WriteErrorsIgnored<D> {
    type Ok = ();
    type Err = slog::Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), slog::Never> {
        // A poisoned lock means that formatting a record panicked; the drain itself holds no state worth protecting.
        let drain = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = drain.log(record, values);
        Ok(())
    }
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Level {
        match level {
            LogLevel::Critical => Level::Critical,
            LogLevel::Error => Level::Error,
            LogLevel::Warning => Level::Warning,
            LogLevel::Info => Level::Info,
            LogLevel::Debug => Level::Debug,
            LogLevel::Trace => Level::Trace,
        }
    }
}
