//! What may happen in a life: one thing at a time, drawn from the seed.
//! Requests go to whoever believes to lead; that they are refused is a part of life.

use std::time::Duration;

use nokv_proto::metapb::{Peer, PeerRole, Region};
use nokv_raftstore::message::StoreMessage;
use nokv_raftstore::{MemberChange, RegionExt, Role};
use nokv_transport::memory::LinkFaults;
use nokv_transport::{PeerId, RegionId, StoreId};

use super::{Fate, Life, Request, What};

impl Life {
    pub(super) fn act(&mut self) {
        match self.random.u32(0..100) {
            0..40 => (0..self.random.u32(1..6)).for_each(|_| self.put()),
            40..50 => self.split(),
            50..70 => self.merge(),
            70..76 => self.transfer(),
            76..84 => self.members(),
            84..89 => self.crash(),
            89..94 => self.start(),
            94..97 => self.cut(),
            _ => self.weather(),
        }
    }

    /// Regions and the stores that believe to lead them.
    fn led(&mut self) -> Vec<(u64, Region)> {
        let mut led = Vec::new();
        for node in self.cluster.up() {
            let leads = node.handle.regions().into_iter().filter(|status| status.state.role == Role::Leader);
            led.extend(leads.map(|status| (node.store.0, Region::clone(&status.state.region))));
        }
        led
    }

    fn pick(&mut self) -> Option<(u64, Region)> {
        let led = self.led();
        self.random.choice(led)
    }

    fn key(&mut self) -> Vec<u8> {
        self.next_id += 1;
        format!("k{:02}-{}", self.random.u8(0..100), self.next_id).into_bytes()
    }

    fn put(&mut self) {
        let key = self.key();
        let led: Vec<_> = self.led().into_iter().filter(|(_, region)| region.range().contains(&key)).collect();
        let Some((store, region)) = self.random.choice(led) else { return };
        let told = self.cluster.node(store).put(region.id, &key, &key);
        self.writes.insert(key.clone(), Fate::Unknown);
        self.requests.push(Request { what: What::Put(key), name: "put".to_owned(), told });
    }

    fn split(&mut self) {
        let key = format!("k{:02}", self.random.u8(0..100)).into_bytes();
        let led: Vec<_> = self.led().into_iter().filter(|(_, region)| region.range().contains(&key)).collect();
        let Some((store, region)) = self.random.choice(led) else { return };
        self.next_id += 1;
        let new = self.next_id;
        let told = self.cluster.node(store).split(region.id, new, &key);
        let name = format!("split {} at {} into {new}, asked of {store}", region.id, String::from_utf8_lossy(&key));
        self.ask(What::Split, name, told);
    }

    fn merge(&mut self) {
        let Some((store, region)) = self.pick() else { return };
        let neighbours: Vec<u64> = self
            .cluster
            .node(store)
            .handle
            .regions()
            .iter()
            .map(|status| status.state.region.clone())
            .filter(|other| {
                let left = !other.end_key.is_empty() && other.end_key == region.start_key;
                left || (!region.end_key.is_empty() && region.end_key == other.start_key)
            })
            .map(|other| other.id)
            .collect();
        let Some(target) = self.random.choice(neighbours) else { return };
        let told = self.cluster.node(store).merge(region.id, target);
        self.ask(What::Merge, format!("merge {} into {target}, asked of {store}", region.id), told);
        // Now and then in one round with something that it must not meet halfway.
        match self.random.u8(0..6) {
            0 => self.split(),
            1 => self.merge(),
            2 => self.transfer(),
            3 => self.crash(),
            _ => {}
        }
    }

    fn transfer(&mut self) {
        let Some((store, region)) = self.pick() else { return };
        let (done, _told) = futures_channel::oneshot::channel();
        let to = Some(StoreId(self.random.u64(1..=4)));
        self.cluster.node(store).send(StoreMessage::TransferLeader { region: RegionId(region.id), to, done });
    }

    /// Mostly towards the stores 1 to 3, so that neighbours come to fit again.
    fn members(&mut self) {
        let Some((store, region)) = self.pick() else { return };
        let towards = self.random.u8(0..3) > 0;
        let missing: Vec<u64> =
            (1..=if towards { 3 } else { 4 }).filter(|store| region.peer_on(StoreId(*store)).is_none()).collect();
        let learners: Vec<Peer> = region
            .peers
            .iter()
            .filter(|peer| peer.role() == PeerRole::Learner && (!towards || peer.store_id < 4))
            .copied()
            .collect();
        let others: Vec<Peer> = region
            .peers
            .iter()
            .filter(|peer| peer.store_id != store && (!towards || peer.store_id == 4))
            .copied()
            .collect();
        let change = if let Some(learner) = self.random.choice(learners) {
            MemberChange::AddVoter { store: StoreId(learner.store_id), peer: PeerId(learner.id) }
        } else if let Some(other) = self.random.choice(others).filter(|_| region.peers.len() > 3) {
            MemberChange::Remove(PeerId(other.id))
        } else if let Some(missing) = self.random.choice(missing) {
            self.next_id += 1;
            MemberChange::AddLearner { store: StoreId(missing), peer: PeerId(1_000_000 + self.next_id) }
        } else {
            return;
        };
        let name = format!("members of {}: {change:?}, asked of {store}", region.id);
        let told = self.cluster.node(store).change_members(region.id, vec![change], false);
        self.ask(What::Members, name, told);
    }

    fn crash(&mut self) {
        let store = self.random.u64(1..=4);
        if self.down.contains(&store) || self.down.len() >= 2 {
            return;
        }
        let unsynced = self.cluster.unsynced(store);
        let keep = self.random.u64(0..=unsynced);
        self.note(format!("crash of {store}, keeping {keep} of {unsynced}"));
        self.cluster.crash(store, usize::try_from(keep).expect("a small number"));
        self.down.push(store);
    }

    fn start(&mut self) {
        if self.down.is_empty() {
            return;
        }
        let store = self.down.swap_remove(self.random.usize(0..self.down.len()));
        self.note(format!("start of {store}"));
        self.cluster.start(store);
    }

    fn cut(&mut self) {
        let (from, to) = (StoreId(self.random.u64(1..=4)), StoreId(self.random.u64(1..=4)));
        if from != to {
            self.note(format!("cut from {from} to {to}"));
            self.cluster.network.cut(from, to);
        }
    }

    fn weather(&mut self) {
        if self.random.bool() {
            return self.cluster.network.heal();
        }
        let faults = LinkFaults {
            drop_permille: self.random.u16(0..80),
            duplicate_permille: self.random.u16(0..80),
            reorder_permille: self.random.u16(0..80),
            delay_min: Duration::from_millis(1),
            delay_max: Duration::from_millis(self.random.u64(1..12)),
            reorder_by_max: Duration::from_millis(30),
        };
        self.cluster.network.set_faults_everywhere(faults);
    }

    fn ask(
        &mut self,
        what: What,
        name: String,
        told: futures_channel::oneshot::Receiver<Result<(), nokv_raftstore::RegionError>>,
    ) {
        self.note(name.clone());
        self.requests.push(Request { what, name, told });
    }
}
