//! Stores say who and where they are. One id is one directory, one address is one store, and a store that has left for
//! good stays gone: each of these mistakes would have two replicas speak as one.

use nokv_engine::WriteBatch;
use nokv_proto::metapb::{NodeState, Store, StoreState};
use nokv_raftstore::StoreId;

use super::records::{Records, StoreRecord};
use super::{Refusal, Reply, State};

/// Stores of this major version understand each other.
pub const VERSION_MAJOR: u64 = 0;
/// The most stores that there ever were in a cluster, the gone ones included.
const STORES_MAX: usize = 10_000;
/// The most labels of a store.
const LABELS_MAX: usize = 32;

impl State {
    pub(super) fn put_store(&mut self, store: Store, directory: u64, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        if !self.cluster.bootstrapped {
            return Err(Refusal::NotBootstrapped);
        }
        let id = StoreId(store.id);
        self.check_store(&store)?;
        let record = match self.stores.get(&id) {
            Some(known) if known.state() == StoreState::Tombstone => return Err(Refusal::StoreTombstone(id)),
            Some(known) if known.directory != 0 && directory != 0 && known.directory != directory => {
                return Err(Refusal::OtherDirectory(id));
            }
            Some(known) => told_again(known, store, directory),
            None if self.stores.len() >= STORES_MAX => {
                return Err(Refusal::Full { what: "stores", count: STORES_MAX });
            }
            None => {
                self.reserve_id(store.id, batch)?;
                let mut record = StoreRecord { store, directory, drained_from: 0 };
                set_state(&mut record, StoreState::Up);
                record
            }
        };
        if self.stores.get(&id) != Some(&record) {
            Records(batch).store(&record);
            self.stores.insert(id, record);
        }
        Ok(Reply::Done)
    }

    fn check_store(&self, store: &Store) -> Result<(), Refusal> {
        if store.id == 0 {
            return Err(Refusal::Wrong("a store's id is not 0"));
        }
        if !store.address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(Refusal::Wrong("a store's address is like host:port"));
        }
        if store.labels.len() > LABELS_MAX || store.labels.iter().any(|label| label.key.is_empty()) {
            return Err(Refusal::Wrong("a store has at most 32 labels, and each has a key"));
        }
        let there = |known: &&StoreRecord| {
            known.store.id != store.id && known.store.address == store.address && known.state() != StoreState::Tombstone
        };
        if let Some(other) = self.stores().find(there) {
            return Err(Refusal::AddressTaken { store: other.id(), address: store.address.clone() });
        }
        // Clients of other makers tell the version of their own product, or none: only a number is held against ours.
        let major = store.version.trim_start_matches('v').split('.').next();
        match major.and_then(|major| major.parse::<u64>().ok()) {
            Some(major) if major != VERSION_MAJOR => {
                Err(Refusal::Version { version: store.version.clone(), ours: VERSION_MAJOR })
            }
            _ => Ok(()),
        }
    }
}

/// What is known of a store, with what it now says of itself; its state and directory are not its to change.
fn told_again(known: &StoreRecord, store: Store, directory: u64) -> StoreRecord {
    let mut record = StoreRecord {
        store,
        directory: if known.directory == 0 { directory } else { known.directory },
        drained_from: known.drained_from,
    };
    set_state(&mut record, known.state());
    record
}

/// Both forms of the state, which clients of different ages read.
pub(super) fn set_state(record: &mut StoreRecord, state: StoreState) {
    record.store.set_state(state);
    record.store.set_node_state(match state {
        StoreState::Up => NodeState::Serving,
        StoreState::Offline => NodeState::Removing,
        StoreState::Tombstone => NodeState::Removed,
    });
}
