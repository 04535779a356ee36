//! Which of raft's log lines an operator sees. raft-rs writes some ten lines an election, one for each vote and each
//! refusal; what matters of them is who leads since when.

use slog::{Drain, Level, LevelFilter, Logger, Never, OwnedKVList, Record, o};

/// What raft-rs says when a peer begins to lead.
const LEADS: &str = "became leader";

/// A logger for raft: everything if `log` takes debug records, else warnings and the beginnings of leaderships.
pub(super) fn raft_log(log: &Logger) -> Logger {
    if log.is_enabled(Level::Debug) {
        return log.clone();
    }
    Logger::root(Quiet { leads: log.clone(), warnings: LevelFilter::new(log.clone(), Level::Warning) }, o!())
}

struct Quiet {
    leads: Logger,
    warnings: LevelFilter<Logger>,
}

impl Drain for Quiet {
    type Ok = ();
    type Err = Never;

    fn log(&self, record: &Record<'_>, values: &OwnedKVList) -> Result<(), Never> {
        if record.level() == Level::Info && record.msg().to_string().starts_with(LEADS) {
            return Drain::log(&self.leads, record, values);
        }
        self.warnings.log(record, values).map(|_| ())
    }
}
