//! What leaders do on paper: they carry orders out, and when their store dies, another peer leads.
//! A region whose leader's store is dead is led anew within a heartbeat, by any voter that lives.

use std::sync::Arc;

use nokv_placement::regions::{Flow, Report};
use nokv_placement::schedule::{Order, OrderStep};
use nokv_proto::metapb::{PeerRole, Region, RegionEpoch};
use nokv_raftstore::{PeerId, RegionId, StoreId};

use crate::world::World;

impl World {
    pub fn carry_out(&mut self, order: &Order) {
        let Some(info) = self.state.regions().get(order.region) else { return };
        let mut report = Self::as_it_is(info);
        let region = Arc::make_mut(&mut report.region);
        let mut members_change = true;
        match &order.step {
            OrderStep::AddLearner(peer) => {
                region.peers.push(*peer);
                report.pending.push(PeerId(peer.id));
            }
            OrderStep::Promote(peer) => {
                region.peers.iter_mut().filter(|it| it.id == peer.id).for_each(|it| it.set_role(PeerRole::Voter));
            }
            OrderStep::Remove(peer) => region.peers.retain(|it| it.id != peer.id),
            OrderStep::Transfer(peer) => {
                report.leader = Some(*peer);
                members_change = false;
            }
            OrderStep::Split(_) => return self.split(order.region),
            OrderStep::MergeInto(_) => panic!("merges are switched off here"),
        }
        if members_change {
            let epoch = Arc::make_mut(&mut report.region).region_epoch.as_mut().unwrap();
            epoch.conf_ver += 1;
        }
        self.report(report);
    }

    /// The region is cut in the middle of its keys, data and load.
    fn split(&mut self, id: RegionId) {
        let info = self.state.regions().get(id).unwrap();
        let whole = Self::as_it_is(info);
        let (start, end) = (whole.region.start_key.clone(), &whole.region.end_key);
        let below_end = |middle: &Vec<u8>| end.is_empty() || *middle < *end;
        let between = (0..7).map(|bit| [&start[..], &[0x80 >> bit]].concat()).find(below_end);
        let middle = between.expect("no range is split that often");
        let epoch = whole.region.region_epoch.unwrap();
        let epoch = Some(RegionEpoch { version: epoch.version + 1, ..epoch });
        let mut half = Report { size_bytes: whole.size_bytes / 2, keys: whole.keys / 2, ..whole.clone() };
        let Flow { write_bytes, records, read_bytes, lookups } = half.flow;
        half.flow = Flow {
            write_bytes: write_bytes / 2,
            records: records / 2,
            read_bytes: read_bytes / 2,
            lookups: lookups / 2,
        };
        let left = Region {
            start_key: start,
            end_key: middle.clone().into(),
            region_epoch: epoch,
            ..Region::clone(&whole.region)
        };
        let mut right = Region {
            id: self.fresh_id(),
            start_key: middle.into(),
            region_epoch: epoch,
            ..Region::clone(&whole.region)
        };
        right.peers.iter_mut().for_each(|peer| peer.id = self.fresh_id());
        let leader_store = whole.leader.unwrap().store_id;
        let leader = right.peers.iter().find(|peer| peer.store_id == leader_store).copied();
        self.report(Report { region: left.into(), ..half.clone() });
        self.report(Report { region: right.into(), leader, ..half });
    }

    /// A store answers nothing any more.
    pub fn die(&mut self, store: StoreId) {
        self.dead.insert(store);
        let led: Vec<RegionId> = self.state.regions().on_store(store).leaders.iter().copied().collect();
        for id in led {
            let info = self.state.regions().get(id).unwrap();
            let alive: Vec<_> =
                info.voters().filter(|peer| !self.dead.contains(&StoreId(peer.store_id))).copied().collect();
            let leader = alive.get(self.random.usize(0..alive.len().max(1))).copied();
            let report = Report { leader, term: info.term + 1, ..Self::as_it_is(info) };
            self.report(report);
        }
    }
}
