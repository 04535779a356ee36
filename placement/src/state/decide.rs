//! One command is decided: the part that knows it changes the state and says what is to be written.
//! Until the cluster is founded there is nothing to be decided, and a refused command writes nothing.

use nokv_engine::WriteBatch;

use super::records::Records;
use super::{Command, Refusal, Reply, Settings, State};

impl State {
    /// Decides `command` at `now_ms` (since 1970), adding what it writes to `batch`. The reply holds when the batch is
    /// applied.
    ///
    /// # Errors
    /// [`Refusal`]; neither the state nor the batch was changed.
    pub fn decide(&mut self, command: Command, now_ms: u64, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        if let Command::Found { cluster_id } = command {
            return self.found(cluster_id, batch);
        }
        if self.cluster.id == 0 {
            return Err(Refusal::NotFounded);
        }
        match command {
            Command::Found { .. } => Err(Refusal::Wrong("a cluster is founded once")),
            Command::Bootstrap { store, region } => self.bootstrap(store, region, batch),
            Command::PutStore { store, directory } => self.put_store(store, directory, batch),
            Command::RemoveStore(store) => self.remove_store(store, batch),
            Command::KeepStore(store) => self.keep_store(store, batch),
            Command::BuryStore(store) => self.bury_store(store, batch),
            Command::AllocateIds { count } => self.allocate_ids(count, batch),
            Command::RaiseTimestampBound { bound_ms } => Ok(self.raise_timestamp_bound(bound_ms, batch)),
            Command::Report(report) => self.report(*report, now_ms, batch),
            Command::PutSettings(settings) => self.put_settings(settings, batch),
            Command::AdvanceSafePoint { target } => Ok(self.advance_safe_point(target, now_ms, batch)),
            Command::HoldSafePoint { holder, safe_point, ttl_s } => {
                self.hold_safe_point(holder, safe_point, ttl_s, now_ms, batch)
            }
            Command::CreateSnapshot { name, timestamp } => self.create_snapshot(name, timestamp, now_ms, batch),
            Command::DropSnapshot { name } => self.drop_snapshot(name, batch),
            Command::PutValue { key, value } => self.put_value(key, value, batch),
        }
    }

    /// A bound never falls, whoever asks.
    fn raise_timestamp_bound(&mut self, bound_ms: u64, batch: &mut WriteBatch) -> Reply {
        if bound_ms > self.timestamp_bound_ms {
            self.timestamp_bound_ms = bound_ms;
            Records(batch).timestamp_bound(bound_ms);
        }
        Reply::Done
    }

    fn put_settings(&mut self, settings: Settings, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        settings.check().map_err(Refusal::Wrong)?;
        if settings != self.settings {
            Records(batch).settings(&settings);
            self.settings = settings;
        }
        Ok(Reply::Done)
    }
}
