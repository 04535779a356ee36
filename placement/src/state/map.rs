//! Reports of regions' leaders change the map; what describes a region is written down, what only measures it is not.
//! So a leader that begins knows every range and member at once, and leaders and sizes within a heartbeat.

use nokv_engine::WriteBatch;
use nokv_raftstore::RegionExt as _;

use super::records::Records;
use super::{Refusal, Reply, State};
use crate::regions::Report;

/// Ids from here on are never given: an absurd report must not use up those below.
const ID_MAX: u64 = 1 << 62;

impl State {
    pub(super) fn report(&mut self, report: Report, now_ms: u64, batch: &mut WriteBatch) -> Result<Reply, Refusal> {
        if !self.cluster.bootstrapped {
            return Err(Refusal::NotBootstrapped);
        }
        check_report(&report)?;
        let id = report.region.region_id();
        // Ids that came from elsewhere: a topology file, or a time before there was placement.
        let highest = report.region.peers.iter().map(|peer| peer.id).max().unwrap_or(0).max(id.0);
        let taken = self.regions.take_in(report, now_ms)?;
        self.reserve_id(highest, batch)?;
        let mut records = Records(batch);
        taken.removed.iter().for_each(|gone| records.no_region(*gone));
        if taken.description
            && let Some(info) = self.regions.get(id)
        {
            records.region(&info.region);
        }
        Ok(Reply::TakenIn(taken))
    }
}

fn check_report(report: &Report) -> Result<(), Refusal> {
    let region = &report.region;
    if region.id >= ID_MAX || region.peers.iter().any(|peer| peer.id >= ID_MAX) {
        return Err(Refusal::Wrong("ids of regions and peers are below 2^62"));
    }
    if region.id == 0 || region.peers.iter().any(|peer| peer.id == 0 || peer.store_id == 0) {
        return Err(Refusal::Wrong("a region and its peers have ids that are not 0"));
    }
    if region.peers.is_empty() || region.region_epoch.is_none() {
        return Err(Refusal::Wrong("a region has peers and an epoch"));
    }
    if !region.end_key.is_empty() && region.start_key >= region.end_key {
        return Err(Refusal::Wrong("a region ends behind its first key"));
    }
    if report.leader.is_some_and(|leader| region.peers.iter().all(|peer| peer.id != leader.id)) {
        return Err(Refusal::Wrong("a region is led by one of its peers"));
    }
    Ok(())
}
