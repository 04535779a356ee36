//! Whose directory this is, and which directories the other stores have: by that a store learns that it was here before
//! with another directory, whose promises it knows nothing of.

use bytes::{Buf, BufMut};
use nokv_engine::{Cf, Engine, WriteBatch, raft_keys};
use nokv_transport::{PeerId, StoreId};

use crate::StoreError;

const VERSION: u8 = 2;
/// Without directory, state and floor.
const OLDER_VERSION: u8 = 1;

/// Whose directory this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreIdent {
    /// The cluster; 0 while no placement service has given one.
    pub cluster: u64,
    /// The store.
    pub store: StoreId,
    /// Drawn at random when the directory was made; 0 in one that is older than that.
    pub directory: u64,
    /// Whether another store has heard of this directory and had known no other of this store.
    pub met: bool,
    /// Peers up to this id belonged to an earlier directory of this store: none of them ever lives in this one.
    pub peer_floor: PeerId,
}

impl StoreIdent {
    /// A new directory's.
    pub fn new(store: StoreId, directory: u64) -> Self {
        Self { cluster: 0, store, directory, met: false, peer_floor: PeerId(0) }
    }

    /// Version byte; cluster, store, directory, each as little-endian u64; 1 if met; floor as u64.
    pub fn encode(&self) -> [u8; 34] {
        let mut out = [0; 34];
        let mut rest = out.as_mut_slice();
        rest.put_u8(VERSION);
        rest.put_u64_le(self.cluster);
        rest.put_u64_le(self.store.0);
        rest.put_u64_le(self.directory);
        rest.put_u8(u8::from(self.met));
        rest.put_u64_le(self.peer_floor.0);
        out
    }

    fn decode(mut bytes: &[u8]) -> Option<Self> {
        let version = bytes.try_get_u8().ok()?;
        let cluster = bytes.try_get_u64_le().ok()?;
        let mut ident = Self::new(StoreId(bytes.try_get_u64_le().ok()?), 0);
        ident.cluster = cluster;
        match version {
            OLDER_VERSION => ident.met = true,
            VERSION => {
                ident.directory = bytes.try_get_u64_le().ok()?;
                ident.met = bytes.try_get_u8().ok()? != 0;
                ident.peer_floor = PeerId(bytes.try_get_u64_le().ok()?);
            }
            _ => return None,
        }
        bytes.is_empty().then_some(ident)
    }

    /// The identity kept in `engine`, or `None` if it was never given one.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if the record is of another version.
    pub fn load(engine: &impl Engine) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = engine.get(Cf::Raft, &raft_keys::store_ident_key())? else {
            return Ok(None);
        };
        Self::decode(&bytes).map(Some).ok_or_else(|| {
            StoreError::Mismatch("the directory's identity record is of another version of this program".to_owned())
        })
    }

    /// Adds the record to `batch`.
    pub fn put(&self, batch: &mut WriteBatch) {
        batch.put(Cf::Raft, &raft_keys::store_ident_key(), &self.encode());
    }
}

/// Notes which directory another store has, if none is known of it, and returns the one that is known from then on: if
/// that is another, the store has lost its first one. Synced.
///
/// # Errors
/// If the disk fails.
pub fn meet(engine: &impl Engine, store: StoreId, directory: u64) -> Result<u64, StoreError> {
    match acquaintance(engine, store)? {
        Some(known) => Ok(known),
        None => note(engine, store, directory).map(|()| directory),
    }
}

/// Notes that another store has this directory instead of the one that was known.
///
/// # Errors
/// If the disk fails.
pub fn note(engine: &impl Engine, store: StoreId, directory: u64) -> Result<(), StoreError> {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raft, &raft_keys::acquaintance_key(store.0), &directory.to_le_bytes());
    Ok(engine.write(&batch, true)?)
}

fn acquaintance(engine: &impl Engine, store: StoreId) -> Result<Option<u64>, StoreError> {
    let Some(bytes) = engine.get(Cf::Raft, &raft_keys::acquaintance_key(store.0))? else { return Ok(None) };
    let known = <[u8; 8]>::try_from(bytes.as_ref()).map(u64::from_le_bytes);
    known.map(Some).map_err(|_| StoreError::Mismatch(format!("what is kept of store {store} cannot be read")))
}

#[cfg(test)]
mod tests {
    use nokv_engine::MemoryEngine;

    use super::*;

    #[test]
    fn an_identity_comes_back_as_it_was_also_an_older_one() {
        let ident = StoreIdent { cluster: 3, met: true, peer_floor: PeerId(9), ..StoreIdent::new(StoreId(7), 0xabc) };
        assert_eq!(StoreIdent::decode(&ident.encode()), Some(ident));
        assert_eq!(StoreIdent::decode(&ident.encode()[..33]), None);
        let mut older = vec![OLDER_VERSION];
        older.put_u64_le(3);
        older.put_u64_le(7);
        let older = StoreIdent::decode(&older).unwrap();
        assert_eq!((older.cluster, older.store, older.directory, older.met), (3, StoreId(7), 0, true));
    }

    #[test]
    fn the_first_directory_that_a_store_shows_is_the_one_that_is_known() {
        let engine = MemoryEngine::new();
        assert_eq!(meet(&engine, StoreId(2), 77).unwrap(), 77);
        assert_eq!(meet(&engine, StoreId(2), 78).unwrap(), 77);
        note(&engine, StoreId(2), 78).unwrap();
        assert_eq!(meet(&engine, StoreId(2), 78).unwrap(), 78);
        assert_eq!(meet(&engine, StoreId(3), 5).unwrap(), 5);
    }
}
