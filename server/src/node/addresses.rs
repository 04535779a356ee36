//! Where the other stores of the cluster listen, kept in this store's directory: a node that starts again finds the
//! others even if all whom its flags name are gone, and if it is the first of them to be back.
//!
//! They are what placement said last. What the flags, the topology file or placement says later goes before them.

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, Engine, Error as EngineError, ReadView as _, WriteBatch, raft_keys};
use nokv_transport::StoreId;
use parking_lot::Mutex;

/// The version of the record, which its first byte is; the address follows, as text.
const VERSION: u8 = 1;

/// The other stores' addresses in one directory.
pub(crate) struct KeptAddresses<E> {
    engine: E,
    kept: Mutex<BTreeMap<StoreId, String>>,
}

impl<E: Engine> KeptAddresses<E> {
    /// Those that `engine` holds. A record of another version is left out: the cluster tells it anew.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn load(engine: E) -> Result<Self, EngineError> {
        let view = engine.view();
        let mut cursor = view.cursor(Cf::Raft, raft_keys::address_range())?;
        cursor.seek_to_first()?;
        let mut kept = BTreeMap::new();
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            if let (Some(store), Some(address)) = (raft_keys::store_of_address_key(key), decode(value)) {
                kept.insert(StoreId(store), address);
            }
            cursor.next()?;
        }
        drop(cursor);
        Ok(Self { engine, kept: Mutex::new(kept) })
    }

    /// Each store and where it listens.
    pub(crate) fn entries(&self) -> BTreeMap<StoreId, String> {
        self.kept.lock().clone()
    }

    /// Keeps these and no others. Nothing is written if they are what is kept. Synced.
    ///
    /// # Errors
    /// The disk fails.
    pub(crate) fn keep(&self, stores: BTreeMap<StoreId, String>) -> Result<(), EngineError> {
        let mut kept = self.kept.lock();
        if *kept == stores {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        for store in kept.keys().filter(|store| !stores.contains_key(store)) {
            batch.delete(Cf::Raft, &raft_keys::address_key(store.0));
        }
        for (store, address) in stores.iter().filter(|(store, address)| kept.get(store) != Some(address)) {
            batch.put(Cf::Raft, &raft_keys::address_key(store.0), &[&[VERSION], address.as_bytes()].concat());
        }
        self.engine.write(&batch, true)?;
        *kept = stores;
        Ok(())
    }
}

fn decode(value: &[u8]) -> Option<String> {
    let (version, address) = value.split_first()?;
    if *version != VERSION {
        return None;
    }
    String::from_utf8(Bytes::copy_from_slice(address).into()).ok()
}

impl<E> std::fmt::Debug for KeptAddresses<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptAddresses").field("kept", &self.kept).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use nokv_engine::MemoryEngine;

    use super::*;

    fn stores(pairs: &[(u64, &str)]) -> BTreeMap<StoreId, String> {
        pairs.iter().map(|(store, address)| (StoreId(*store), (*address).to_owned())).collect()
    }

    #[test]
    fn what_was_kept_last_is_found_again() {
        let engine = MemoryEngine::new();
        let addresses = KeptAddresses::load(engine.clone()).unwrap();
        assert!(addresses.entries().is_empty());
        addresses.keep(stores(&[(1, "one:1"), (300, "two:2")])).unwrap();
        addresses.keep(stores(&[(300, "two:3"), (7, "[::1]:9")])).unwrap();
        let again = KeptAddresses::load(engine.clone()).unwrap();
        assert_eq!(again.entries(), stores(&[(300, "two:3"), (7, "[::1]:9")]));
        let mut newer = WriteBatch::new();
        newer.put(Cf::Raft, &raft_keys::address_key(7), b"\x02what nobody knows yet");
        engine.write(&newer, true).unwrap();
        assert_eq!(KeptAddresses::load(engine).unwrap().entries(), stores(&[(300, "two:3")]));
    }
}
