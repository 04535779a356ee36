//! Stores that meet: each says which directory it has, and each remembers that of the others for good. So a store that
//! comes with a new directory learns that it was here before with another one, even if nobody told its operator.
//!
//! Why it matters: a replica's votes and log entries are promises, and a directory that is gone cannot keep them. What
//! begins anew under the same peer ids would take them back without anybody noticing, and acknowledged writes with
//! them.

use nokv_engine::Engine;
use nokv_proto::nokvpb::{MeetRequest, MeetResponse};
use nokv_raftstore::{StoreError, StoreId, StoreIdent, ident};
use nokv_transport::AddressBook;
use parking_lot::Mutex;
use std::sync::Arc;

/// What a store knows of itself and of the directories of the others. Cheap to clone; clones share what they know.
pub struct Meeting<E: Engine> {
    shared: Arc<Shared<E>>,
}

struct Shared<E> {
    engine: E,
    ident: Mutex<StoreIdent>,
    book: AddressBook,
}

impl<E: Engine> Meeting<E> {
    /// A store with the identity that `engine` holds. Where others listen who are not in `book` is entered there.
    ///
    /// # Errors
    /// The directory has no identity, or it cannot be read.
    pub fn new(engine: E, book: AddressBook) -> Result<Self, StoreError> {
        let no_ident = || StoreError::Mismatch("the directory has no identity yet".to_owned());
        let ident = StoreIdent::load(&engine)?.ok_or_else(no_ident)?;
        Ok(Self { shared: Arc::new(Shared { engine, ident: Mutex::new(ident), book }) })
    }

    /// This store's identity.
    pub fn ident(&self) -> StoreIdent {
        *self.shared.ident.lock()
    }

    /// Reads the identity anew, after it was changed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn reload(&self) -> Result<(), StoreError> {
        if let Some(ident) = StoreIdent::load(&self.shared.engine)? {
            *self.shared.ident.lock() = ident;
        }
        Ok(())
    }

    /// Notes that some store knew of this directory, and of no other.
    ///
    /// # Errors
    /// The disk fails.
    pub fn was_met(&self) -> Result<(), StoreError> {
        let mut ident = self.shared.ident.lock();
        if !ident.met {
            let mut batch = nokv_engine::WriteBatch::new();
            StoreIdent { met: true, ..*ident }.put(&mut batch);
            self.shared.engine.write(&batch, true)?;
            ident.met = true;
        }
        Ok(())
    }

    /// Notes the cluster of this directory, if none is known yet. Whether it is that one.
    ///
    /// # Errors
    /// The disk fails.
    pub fn belongs_to(&self, cluster: u64) -> Result<bool, StoreError> {
        let mut ident = self.shared.ident.lock();
        if ident.cluster == 0 {
            let mut batch = nokv_engine::WriteBatch::new();
            StoreIdent { cluster, ..*ident }.put(&mut batch);
            self.shared.engine.write(&batch, true)?;
            ident.cluster = cluster;
        }
        Ok(ident.cluster == cluster)
    }

    /// Takes in who another store is, and says who this one is and which directory is known of the other.
    ///
    /// # Errors
    /// The disk fails.
    pub fn answer(&self, other: &MeetRequest) -> Result<MeetResponse, StoreError> {
        let (store, engine) = (StoreId(other.store_id), &self.shared.engine);
        let me = self.ident();
        let mut known = other.directory_id;
        if store != me.store && other.directory_id != 0 {
            // Two at a time must not both be the first.
            let _one = self.shared.ident.lock();
            known = ident::meet(engine, store, other.directory_id)?;
            if known != other.directory_id && known == other.succeeds_directory_id {
                ident::note(engine, store, other.directory_id)?;
                known = other.directory_id;
            }
        }
        if known == other.directory_id && self.shared.book.get(store).is_none() {
            // One that is no address is of no use, and its own store's to correct.
            let _ = self.shared.book.set(store, &other.address);
        }
        Ok(MeetResponse { store_id: me.store.0, directory_id: me.directory, known_directory_id: known })
    }
}

impl<E: Engine> Clone for Meeting<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<E: Engine> std::fmt::Debug for Meeting<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meeting").field("ident", &self.ident()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use nokv_engine::{MemoryEngine, SharedRaftLog};
    use nokv_raftstore::bootstrap_as;

    use super::*;

    fn store_one() -> Meeting<MemoryEngine> {
        let engine = MemoryEngine::new();
        let log = SharedRaftLog::new(engine.clone());
        bootstrap_as(&engine, &log, &StoreIdent::new(StoreId(1), 11), &[]).unwrap();
        Meeting::new(engine, AddressBook::new()).unwrap()
    }

    fn hello(directory_id: u64, succeeds_directory_id: u64) -> MeetRequest {
        MeetRequest { store_id: 2, directory_id, succeeds_directory_id, address: "two:1".to_owned() }
    }

    #[test]
    fn a_directory_belongs_to_one_cluster_for_ever() {
        let meeting = store_one();
        assert!(meeting.belongs_to(7).unwrap());
        assert!(!meeting.belongs_to(8).unwrap());
        meeting.reload().unwrap();
        assert_eq!(meeting.ident().cluster, 7);
    }

    #[test]
    fn another_directory_of_a_known_store_is_told_of_the_first_until_it_says_that_it_succeeds_it() {
        let meeting = store_one();
        let known = |request: &MeetRequest| meeting.answer(request).unwrap().known_directory_id;
        assert_eq!(known(&hello(21, 0)), 21);
        assert_eq!(known(&hello(21, 0)), 21);
        assert_eq!(known(&hello(22, 0)), 21, "the first one's promises are gone");
        assert_eq!(known(&hello(23, 99)), 21, "one that succeeds another knows nothing of it");
        assert_eq!(known(&hello(22, 21)), 22);
        assert_eq!(known(&hello(21, 0)), 22, "and the first one, should it turn up again, must not go on");
        assert_eq!(meeting.shared.book.get(StoreId(2)).as_deref(), Some("two:1"));
    }
}
