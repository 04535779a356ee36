//! What applied entries did to replicas is carried out: logs are cut, regions split, members come and go.
//! Peers that are removed are buried here.

use nokv_proto::metapb::Region;

use super::Store;
use crate::apply::{Applied, ApplyTask, Change};
use crate::merge::{Cause, Claim, Source, Successor};
use crate::message::StoreMessage;
use crate::peer::{Addressed, Peer};
use crate::records::{ApplyRecord, Liveness};
use crate::round::Round;
use crate::{MonotonicTime, RegionExt, StoreError};
use nokv_transport::RegionId;

impl Store {
    /// Entries of a region were applied: carries out what they did to replicas, then tells the peer.
    pub(super) fn applied(&mut self, report: &Applied, now: MonotonicTime) -> Result<(), StoreError> {
        let mut offered = false;
        for change in &report.changes {
            match change {
                Change::CutLog { index, term } => {
                    if let Some(peer) = self.wake(report.region_id) {
                        peer.cut_log(*index, *term);
                    }
                }
                Change::Split(regions) => self.split(regions, now)?,
                Change::Members { change, region } => {
                    if let Some(peer) = self.wake(report.region_id) {
                        peer.change_members(change, region)?;
                    }
                }
                Change::Image => self.image_taken_in(report.region_id),
                Change::Prepared(prepared, region) => {
                    if let Some(peer) = self.wake(report.region_id) {
                        peer.prepared(prepared.clone(), region.clone());
                    }
                    offered = true;
                }
                Change::RolledBack(region) => {
                    if let Some(peer) = self.wake(report.region_id) {
                        peer.rolled_back(region.clone());
                    }
                }
                Change::Awaits(source) => {
                    let (target, id) = (report.region_id, source.region.region_id());
                    let claim = Claim { source: id, target, cause: Cause::Commit(Source::clone(source)) };
                    self.tell(id, StoreMessage::Claim(Box::new(claim)));
                }
                Change::Merged { source, region } => self.took_over(source, region),
            }
        }
        if let Some(peer) = self.look_at(report.region_id) {
            peer.applied(report);
        }
        if offered {
            self.step_merge(report.region_id);
        }
        Ok(())
    }

    /// A region became these; the new ones come to life here, and campaign at once where their parent led.
    fn split(&mut self, regions: &[Region], now: MonotonicTime) -> Result<(), StoreError> {
        let Some((first, new)) = regions.split_first() else { return Ok(()) };
        let Some(led) = self.peers.get(&first.region_id()).map(Peer::leads) else { return Ok(()) };
        for region in new {
            let record = ApplyRecord::initial();
            // Its gate is there before the parent's shows a smaller range: to whoever wants a range, it is never free.
            let mut peer = Peer::load(&self.context, region.clone(), &record, now)?;
            self.tasks.push(ApplyTask::Insert(peer.region().clone(), record));
            if led {
                peer.campaign()?;
            }
            if let Some(message) = self.early.remove(&region.region_id())
                && peer.addressed(&message) == Addressed::Me
            {
                peer.step(&message, now)?;
            }
            self.dirty.insert(region.region_id());
            self.peers.insert(region.region_id(), peer);
        }
        if let Some(parent) = self.wake(first.region_id()) {
            parent.set_region(first.clone());
            parent.has_given_birth();
        }
        Ok(())
    }

    /// A region took its neighbour over: it shows both ranges before the neighbour's peer goes, so that to whoever
    /// wants a range, it is never free.
    fn took_over(&mut self, source: &Region, region: &Region) {
        let id = region.region_id();
        if let Some(peer) = self.wake(id) {
            peer.set_region(region.clone());
        }
        let successor = Successor { region: id, version: region.epoch().version };
        self.tell(source.region_id(), StoreMessage::Merged(source.region_id(), successor));
    }

    /// A dying peer goes; its tombstone, with its log, goes to disk with this round.
    pub(super) fn bury(&mut self, region: RegionId, round: &mut Round) {
        let Some(peer) = self.peers.remove(&region) else { return };
        let id = peer.id();
        let record = peer.leave(round);
        match record.liveness {
            Liveness::Leaving => self.context.gates.leave(&record.region, id),
            Liveness::Merged(successor) => {
                self.context.gates.bury_merged(&record.region, self.context.gates.store(), Some(successor));
            }
            _ => self.context.gates.bury(&record.region, self.context.gates.store()),
        }
        self.early.remove(&region);
    }
}
