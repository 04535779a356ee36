//! What a message that announces an image says of it: version byte, safe point as little-endian u64, then the region as
//! protobuf. It stands where raft keeps a snapshot's data.

use bytes::{Buf, BufMut, Bytes};
use nokv_proto::metapb::Region;
use prost::Message as _;
use raft::eraftpb::Snapshot;

const VERSION: u8 = 1;

/// What an image is of.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageHead {
    /// The region as of the image.
    pub region: Region,
    /// The sender's safe point: below it, the image's data may be missing.
    pub safe_point: u64,
}

impl ImageHead {
    /// The head in `snapshot`; `None` if it is not one of ours.
    pub fn of(snapshot: &Snapshot) -> Option<Self> {
        let head = Self::decode(snapshot.data.clone())?;
        (head.region.id != 0 && snapshot.get_metadata().index != 0).then_some(head)
    }

    /// Its bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(9 + self.region.encoded_len());
        out.put_u8(VERSION);
        out.put_u64_le(self.safe_point);
        self.region.encode(&mut out).expect("a Vec grows as needed");
        out.into()
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        (bytes.try_get_u8().ok()? == VERSION).then_some(())?;
        let safe_point = bytes.try_get_u64_le().ok()?;
        Some(Self { safe_point, region: Region::decode(bytes).ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_as_it_was_and_nothing_else_is_one() {
        let head = ImageHead { region: Region { id: 7, ..Region::default() }, safe_point: 99 };
        let mut snapshot = Snapshot { data: head.encode(), ..Snapshot::default() };
        assert_eq!(ImageHead::of(&snapshot), None, "raft's snapshots have an index");
        snapshot.mut_metadata().index = 5;
        assert_eq!(ImageHead::of(&snapshot), Some(head.clone()));
        snapshot.data = head.region.encode_to_vec().into();
        assert_eq!(ImageHead::of(&snapshot), None);
    }
}
