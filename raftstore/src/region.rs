//! What is asked of a region's description: its range, its epoch, its members.
//! The description itself is the wire's own `metapb::Region`, so that it is never converted on the way out.

use bytes::Bytes;
use nokv_engine::KeyRange;
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_transport::{PeerId, RegionId, StoreId};

use crate::RegionError;

/// Questions to a region's description.
pub trait RegionExt {
    /// Its id.
    fn region_id(&self) -> RegionId;
    /// Its epoch; all zero if there is none.
    fn epoch(&self) -> RegionEpoch;
    /// Its range of encoded keys.
    fn range(&self) -> KeyRange<'_>;
    /// Its peer on `store`.
    fn peer_on(&self, store: StoreId) -> Option<&Peer>;
    /// Its peer with this id.
    fn peer(&self, peer: PeerId) -> Option<&Peer>;

    /// Refuses a key outside of the range.
    ///
    /// # Errors
    /// [`RegionError::KeyNotInRegion`].
    fn check_key(&self, key: &[u8]) -> Result<(), RegionError>;
}

impl RegionExt for Region {
    fn region_id(&self) -> RegionId {
        RegionId(self.id)
    }

    fn epoch(&self) -> RegionEpoch {
        self.region_epoch.unwrap_or_default()
    }

    fn range(&self) -> KeyRange<'_> {
        KeyRange::new(&self.start_key, &self.end_key)
    }

    fn peer_on(&self, store: StoreId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.store_id == store.0)
    }

    fn peer(&self, id: PeerId) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.id == id.0)
    }

    fn check_key(&self, key: &[u8]) -> Result<(), RegionError> {
        if self.range().contains(key) {
            return Ok(());
        }
        Err(RegionError::KeyNotInRegion {
            key: Bytes::copy_from_slice(key),
            region: self.region_id(),
            start_key: self.start_key.clone(),
            end_key: self.end_key.clone(),
        })
    }
}
