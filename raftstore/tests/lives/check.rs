//! What must never be, and what must be in the end.
//! Ranges of replicas on one store never overlap, nor do those that are read under a lease anywhere.

use nokv_engine::KeyRange;
use nokv_proto::metapb::Region;
use nokv_raftstore::{RegionExt, Role};
use nokv_transport::StoreId;

use super::{Fate, Life};

impl Life {
    /// At any time.
    pub(super) fn never(&mut self) -> Result<(), String> {
        let mut served: Vec<(u64, Region)> = Vec::new();
        for node in self.cluster.up() {
            let here = node.handle.regions();
            for (number, one) in here.iter().enumerate() {
                for other in here.iter().skip(number + 1) {
                    let (one, other) = (&one.state.region, &other.state.region);
                    if overlap(one.range(), other.range()) {
                        return Err(format!("store {}: {one:?} overlaps {other:?}", node.store));
                    }
                }
            }
            let leased = here.iter().filter(|status| status.lease_ms > 0 && status.state.role == Role::Leader);
            served.extend(leased.map(|status| (node.store.0, Region::clone(&status.state.region))));
        }
        for (number, (store, one)) in served.iter().enumerate() {
            let twice = |(_, other): &&(u64, Region)| overlap(one.range(), other.range());
            if let Some((other_store, other)) = served.iter().skip(number + 1).find(twice) {
                return Err(format!("read under two leases: {one:?} on {store}, {other:?} on {other_store}"));
            }
        }
        Ok(())
    }

    /// In the end: the led regions tile the keyspace, all their members hold the same, and nobody holds anything else.
    pub(super) fn whole(&mut self) -> Result<(), String> {
        let mut led: Vec<(u64, Region)> = Vec::new();
        for node in self.cluster.up() {
            for status in node.handle.regions() {
                let region = Region::clone(&status.state.region);
                if status.state.role == Role::Leader && status.applied_index == status.last_index {
                    led.push((node.store.0, region));
                }
            }
        }
        led.sort_by(|(_, one), (_, other)| one.start_key.cmp(&other.start_key));
        let mut at = Some(bytes::Bytes::new());
        for (_, region) in &led {
            if at.as_ref() != Some(&region.start_key) {
                return Err(format!("a gap or an overlap before {region:?}"));
            }
            at = Some(region.end_key.clone()).filter(|end| !end.is_empty());
        }
        if at.is_some() {
            return Err("nobody leads the end of the keyspace".to_owned());
        }
        for (store, region) in &led {
            let digest = self.cluster.node(*store).digest(region.id);
            for peer in &region.peers {
                let node = self.cluster.node(peer.store_id);
                let there = node.find(region.id).map(|status| status.state.region.epoch());
                if there != region.region_epoch || node.digest(region.id) != digest {
                    return Err(format!("region {} is another on store {}: {there:?}", region.id, peer.store_id));
                }
            }
        }
        self.no_strays(&led)
    }

    fn no_strays(&mut self, led: &[(u64, Region)]) -> Result<(), String> {
        for node in self.cluster.up() {
            for status in node.handle.regions() {
                let region = &status.state.region;
                let known = led.iter().find(|(_, known)| known.id == region.id);
                if known.is_none_or(|(_, known)| known.peer_on(node.store) != Some(&status.state.peer)) {
                    return Err(format!("store {} holds {region:?}, of which it is no member", node.store));
                }
            }
        }
        Ok(())
    }

    pub(super) fn nothing_lost(&mut self) -> Result<(), String> {
        let led = (1..=4).flat_map(|store| {
            let regions = self.cluster.node(store).handle.regions();
            regions
                .into_iter()
                .filter(|status| status.state.role == Role::Leader)
                .map(move |status| (store, status.state.region.clone()))
        });
        let led: Vec<_> = led.collect();
        for (key, fate) in self.writes.clone() {
            let Some((store, _)) = led.iter().find(|(_, region)| region.range().contains(&key)) else {
                return Err("nobody leads a key".to_owned());
            };
            let found = self.cluster.node(*store).value(&key);
            let right = match fate {
                Fate::Acknowledged => found.as_deref() == Some(&key),
                Fate::Unknown => true,
                Fate::Refused => found.is_none(),
            };
            if !right {
                return Err(format!(
                    "{} is {fate:?}, and found: {}, on {}",
                    String::from_utf8_lossy(&key),
                    found.is_some(),
                    StoreId(*store)
                ));
            }
        }
        Ok(())
    }
}

/// Whether some key can lie in both.
fn overlap(one: KeyRange<'_>, other: KeyRange<'_>) -> bool {
    let before = |end: &[u8], start: &[u8]| !end.is_empty() && end <= start;
    !before(one.end, other.start) && !before(other.end, one.start)
}
