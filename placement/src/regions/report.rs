//! A leader's report is taken in, or refused because something newer is known.
//!
//! The newest epoch wins, as PD has it: a report is old if the same region is known with a higher version, membership
//! version or term, or if a region that overlaps it is known with a higher version. Regions that a newer one overlaps
//! are forgotten: they were split or merged away. What they were is reported again by who has it.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use nokv_proto::metapb::{Peer, Region};
use nokv_raftstore::{PeerId, RegionExt as _, RegionId};

use super::{DownPeer, Flow, RegionInfo, RegionMap};

/// What a region's leader tells. The default but for `region` and `leader` tells of an idle, healthy region.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The region as its leader has applied it: range, epoch and members.
    pub region: Arc<Region>,
    /// Who tells; `None` for a region that is made known without a leader.
    pub leader: Option<Peer>,
    /// The leader's term; 0 = not told.
    pub term: u64,
    /// Members that have not caught up.
    pub pending: Vec<PeerId>,
    /// Members from which nothing is heard.
    pub down: Vec<DownPeer>,
    /// Its data, in bytes.
    pub size_bytes: u64,
    /// Its keys, about.
    pub keys: u64,
    /// What its requests move.
    pub flow: Flow,
}

/// Why a report was not taken in: this region is known, and newer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the report is old: region {} is known with version {}.{}", known.id, known.epoch().version, known.epoch().conf_ver
)]
pub struct StaleReport {
    /// The newer region.
    pub known: Arc<Region>,
}

/// What a report changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// The description itself is another one: it is to be kept.
    pub description: bool,
    /// There is another leader.
    pub leader: bool,
    /// Regions that are no more.
    pub removed: Vec<RegionId>,
}

impl RegionMap {
    /// Takes a report in.
    ///
    /// # Errors
    /// [`StaleReport`]; nothing is changed then.
    pub fn take_in(&mut self, report: Report, now_ms: u64) -> Result<TakenIn, StaleReport> {
        let id = report.region.region_id();
        let known = self.by_id.get(&id);
        if let Some(known) = known.filter(|known| is_older(&report, known)) {
            return Err(StaleReport { known: known.region.clone() });
        }
        let same_range = known.is_some_and(|known| known.region.range() == report.region.range());
        let overlapping = if same_range { Vec::new() } else { self.overlapping(&report.region) };
        for other in overlapping.iter().filter_map(|other| self.by_id.get(other)) {
            if other.region.epoch().version > report.region.epoch().version {
                return Err(StaleReport { known: other.region.clone() });
            }
        }
        let range_ms = known.filter(|_| same_range).map_or(now_ms, |known| known.range_ms);
        let description = known.is_none_or(|known| known.region != report.region);
        let leader = known.is_none_or(|known| known.leader != report.leader);
        // A description that did not change is shared with whoever holds it, not copied.
        let mut told = report;
        if let Some(known) = known.filter(|_| !description) {
            told.region = known.region.clone();
        }
        let removed: Vec<RegionId> = overlapping.into_iter().filter(|other| *other != id).collect();
        removed.iter().for_each(|other| {
            self.remove(*other);
        });
        self.remove(id);
        self.insert(id, RegionInfo { told, heard_ms: now_ms, range_ms });
        Ok(TakenIn { description, leader, removed })
    }

    /// The known regions that share a key with `region`, it itself included.
    fn overlapping(&self, region: &Region) -> Vec<RegionId> {
        let before = self.by_start.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&region.start_key[..])));
        let reaches = |id: &&RegionId| {
            let end = self.by_id.get(*id).map(|info| &info.region.end_key);
            end.is_some_and(|end| end.is_empty() || *end > region.start_key)
        };
        let mut found: Vec<RegionId> = before.last().map(|(_, id)| id).filter(reaches).copied().into_iter().collect();
        let end = if region.end_key.is_empty() { Bound::Unbounded } else { Bound::Excluded(&region.end_key[..]) };
        if ends_after(&region.end_key, &region.start_key) {
            found.extend(self.by_start.range::<[u8], _>((Bound::Included(&region.start_key[..]), end)).map(|it| *it.1));
        }
        found
    }
}

fn ends_after(end: &Bytes, start: &Bytes) -> bool {
    end.is_empty() || end > start
}

fn is_older(report: &Report, known: &RegionInfo) -> bool {
    let (told, known_epoch) = (report.region.epoch(), known.region.epoch());
    let older_epoch = told.version < known_epoch.version || told.conf_ver < known_epoch.conf_ver;
    older_epoch || (report.term != 0 && report.term < known.term)
}
