//! A store leaves: it is told to, scheduling moves its peers away, and once it holds none it is buried.
//! Until then it may be told to stay. What cannot end well is refused before anything moves.

use nokv_engine::WriteBatch;
use nokv_proto::metapb::StoreState;
use nokv_raftstore::StoreId;

use super::records::Records;
use super::stores::set_state;
use super::{Refusal, Reply, State, StoreRecord};

impl State {
    pub(super) fn remove_store(&mut self, id: StoreId, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        let record = self.living(id)?;
        if record.state() == StoreState::Offline {
            return Ok(Reply::Done);
        }
        let sums = self.regions.on_store(id);
        let replicas = sums.ids().filter_map(|region| self.regions.get(region)).map(|info| info.region.peers.len());
        let replicas = replicas.max().unwrap_or(0);
        let remaining = self.stores_up().count() - 1;
        if remaining < replicas || remaining == 0 {
            return Err(Refusal::TooFewStores { store: id, remaining, replicas });
        }
        let drained_from = sums.peers() as u64;
        self.change_state(id, StoreState::Offline, drained_from, batch)
    }

    pub(super) fn keep_store(&mut self, id: StoreId, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        self.living(id)?;
        self.change_state(id, StoreState::Up, 0, batch)
    }

    pub(super) fn bury_store(&mut self, id: StoreId, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        let record = self.living(id)?;
        if record.state() != StoreState::Offline {
            return Err(Refusal::NotLeaving(id));
        }
        let peers = self.regions.on_store(id).peers();
        if peers != 0 {
            return Err(Refusal::NotEmpty { store: id, peers });
        }
        let drained_from = record.drained_from;
        self.change_state(id, StoreState::Tombstone, drained_from, batch)
    }

    /// How far a leaving store has come: peers still there, and peers there when it began.
    pub fn drain_progress(&self, id: StoreId) -> Option<(u64, u64)> {
        let record = self.store(id).filter(|record| record.state() == StoreState::Offline)?;
        let left = self.regions.on_store(id).peers() as u64;
        Some((left, record.drained_from.max(left)))
    }

    fn living(&self, id: StoreId) -> Result<&StoreRecord, Refusal> {
        let record = self.store(id).ok_or(Refusal::StoreNotFound(id))?;
        if record.state() == StoreState::Tombstone {
            return Err(Refusal::StoreTombstone(id));
        }
        Ok(record)
    }

    fn change_state(
        &mut self,
        id: StoreId,
        state: StoreState,
        drained_from: u64,
        batch: &mut WriteBatch,
    ) -> Result<Reply, Refusal> {
        let record = self.stores.get_mut(&id).ok_or(Refusal::StoreNotFound(id))?;
        if record.state() != state {
            set_state(record, state);
            record.drained_from = drained_from;
            Records(batch).store(record);
        }
        Ok(Reply::Done)
    }
}
