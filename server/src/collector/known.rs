//! What is known of regions that were looked through: up to which safe point nothing more is to be had there, as long
//! as nobody writes. It spares an idle region everything, and is never needed for being right.

use std::collections::BTreeMap;

use nokv_percolator::Timestamp;
use nokv_raftstore::{RegionExt as _, RegionStatus};
use nokv_transport::RegionId;

/// Regions that were looked through.
#[derive(Debug, Default)]
pub(super) struct Known {
    regions: BTreeMap<RegionId, Region>,
}

#[derive(Debug)]
struct Region {
    /// The version of the range.
    version: u64,
    /// The last entry that had written data before it was looked through.
    written_index: u64,
    /// Up to this safe point nothing goes, whatever is written.
    done: Timestamp,
    /// Up to this one nothing goes, if nothing is written.
    quiet_up_to: Timestamp,
}

impl Known {
    /// Whether something may go at `safe_point`.
    pub(super) fn is_due(&self, status: &RegionStatus, safe_point: Timestamp) -> bool {
        let Some(known) = self.regions.get(&status.state.region.region_id()) else { return true };
        if known.version != status.state.region.epoch().version {
            return true;
        }
        let is_quiet = known.written_index == status.written_index && safe_point <= known.quiet_up_to;
        safe_point > known.done && !is_quiet
    }

    /// It was looked through, from the state `status` on, and nothing went.
    pub(super) fn looked_through(&mut self, status: &RegionStatus, safe_point: Timestamp, quiet_up_to: Timestamp) {
        let region = &status.state.region;
        let version = region.epoch().version;
        let known = Region { version, written_index: status.written_index, done: safe_point, quiet_up_to };
        self.regions.insert(region.region_id(), known);
    }

    /// Something went: what the next safe point finds is not known.
    pub(super) fn collected(&mut self, status: &RegionStatus, safe_point: Timestamp) {
        self.looked_through(status, safe_point, safe_point);
    }

    /// Nothing is known of it any more.
    pub(super) fn forget(&mut self, region: RegionId) {
        self.regions.remove(&region);
    }

    /// Forgets regions that are not here any more.
    pub(super) fn keep_only(&mut self, here: &[RegionStatus]) {
        let is_here = |id: &RegionId| here.binary_search_by_key(id, |status| status.state.region.region_id()).is_ok();
        self.regions.retain(|id, _| is_here(id));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nokv_proto::metapb::{self, RegionEpoch};
    use nokv_raftstore::gate::GateState;
    use nokv_raftstore::{LoadTotals, Role};

    use super::*;

    fn status(region: u64, version: u64, written_index: u64) -> RegionStatus {
        let region_epoch = Some(RegionEpoch { version, conf_ver: 1 });
        let region = Arc::new(metapb::Region { id: region, region_epoch, ..Default::default() });
        let state = GateState { region, peer: metapb::Peer::default(), role: Role::Leader, term: 6, leader: None };
        RegionStatus {
            state: Arc::new(state),
            applied_index: 99,
            written_index,
            committed_index: 99,
            last_index: 99,
            is_asleep: false,
            size: None,
            load: LoadTotals::default(),
            merging_into: None,
            lease_ms: 0,
        }
    }

    #[test]
    fn a_region_is_due_unless_it_is_known_to_be_quiet() {
        let mut known = Known::default();
        let at = Timestamp;
        assert!(known.is_due(&status(1, 1, 9), at(10)));
        known.looked_through(&status(1, 1, 9), at(10), at(30));
        assert!(!known.is_due(&status(1, 1, 9), at(10)));
        assert!(!known.is_due(&status(1, 1, 9), at(30)), "nothing was written");
        assert!(known.is_due(&status(1, 1, 9), at(31)));
        assert!(known.is_due(&status(1, 1, 10), at(11)), "something was");
        assert!(!known.is_due(&status(1, 1, 10), at(10)), "not below what was done");
        assert!(known.is_due(&status(1, 2, 9), at(10)), "another range");
        known.collected(&status(1, 1, 9), at(20));
        assert!(!known.is_due(&status(1, 1, 12), at(20)));
        assert!(known.is_due(&status(1, 1, 12), at(21)));
        known.keep_only(&[status(2, 1, 1)]);
        assert!(known.is_due(&status(1, 1, 9), at(10)));
    }
}
