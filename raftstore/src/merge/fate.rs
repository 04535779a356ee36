//! What became of a merged region, as stores that know it tell a peer of it that does not.
//! It travels in the answer to whatever that peer sent.

use bytes::{Buf, BufMut, Bytes};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_transport::RegionId;

use super::Successor;

/// A merged region's fate.
#[derive(Clone, Debug, PartialEq)]
pub struct Fate {
    /// Its members when it ended: who is none of them was removed before.
    pub members: Vec<Peer>,
    /// What it was merged into.
    pub first: Successor,
    /// What that was merged into, and so on.
    pub later: Vec<Successor>,
    /// The last of these has no peer on the store that asks.
    pub absent: bool,
}

impl Fate {
    /// All that it became, in order.
    pub fn successors(&self) -> impl Iterator<Item = &Successor> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// Whether the region's range belongs to `target` in `version`, or did.
    pub fn leads_to(&self, target: RegionId, version: u64) -> bool {
        self.successors().any(|successor| successor.region == target && successor.version <= version)
    }

    /// Puts it into an answer.
    pub fn put(&self, message: &mut RaftMessage) {
        let mut context = vec![u8::from(self.absent)];
        for successor in &self.later {
            context.put_u64_le(successor.region.0);
            context.put_u64_le(successor.version);
        }
        let epoch = RegionEpoch { version: self.first.version, conf_ver: 0 };
        let target = Region {
            id: self.first.region.0,
            region_epoch: Some(epoch),
            peers: self.members.clone(),
            ..Region::default()
        };
        message.merge_target = Some(Box::new(target));
        message.extra_ctx = context.into();
    }

    /// Reads it from an answer; `None` if that is none.
    pub fn of(message: &RaftMessage) -> Option<Self> {
        let target = message.merge_target.as_ref().filter(|_| message.is_tombstone)?;
        let version = target.region_epoch.unwrap_or_default().version;
        let mut context: Bytes = message.extra_ctx.clone();
        let absent = context.try_get_u8().ok()? == 1;
        let mut later = Vec::new();
        while !context.is_empty() {
            let region = RegionId(context.try_get_u64_le().ok()?);
            later.push(Successor { region, version: context.try_get_u64_le().ok()? });
        }
        let first = Successor { region: RegionId(target.id), version };
        Some(Self { members: target.peers.clone(), first, later, absent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fate_comes_back_as_it_was_told() {
        let successor = |region, version| Successor { region: RegionId(region), version };
        let members = vec![Peer { id: 21, store_id: 1, ..Peer::default() }];
        let fate = Fate { members, first: successor(3, 4), later: vec![successor(5, 9)], absent: true };
        let mut message = RaftMessage { is_tombstone: true, ..RaftMessage::default() };
        fate.put(&mut message);
        assert_eq!(Fate::of(&message), Some(fate.clone()));
        assert!(fate.leads_to(RegionId(5), 9) && !fate.leads_to(RegionId(5), 8) && !fate.leads_to(RegionId(6), 99));
        message.is_tombstone = false;
        assert_eq!(Fate::of(&message), None);
    }
}
