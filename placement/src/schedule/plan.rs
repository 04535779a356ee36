//! A decision, before it is admitted: for which regions, why, and by which steps.
//! Whatever is moved, the replacement votes before the one that goes is removed, and a leader hands over first.

use bytes::Bytes;
use nokv_raftstore::{RegionId, StoreId};

use super::{Kind, Step};
use crate::regions::RegionInfo;

/// See the file's head.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) reason: String,
    pub(super) region: RegionId,
    pub(super) steps: Vec<Step>,
    /// A region that has to hold still meanwhile.
    pub(super) partner: Option<RegionId>,
    /// Where it is cut, if it is; none = where its load halves.
    pub(super) cuts: Vec<Bytes>,
}

impl Plan {
    pub(super) fn new(kind: Kind, reason: impl Into<String>, info: &RegionInfo, steps: Vec<Step>) -> Self {
        Self { kind, reason: reason.into(), region: info.id(), steps, partner: None, cuts: Vec::new() }
    }
}

/// A new voter.
pub(super) fn add_voter(to: StoreId) -> Vec<Step> {
    vec![Step::AddLearner(to), Step::Promote(to)]
}

/// The peer on `from` goes; if it leads, `heir` leads from then on.
pub(super) fn remove(info: &RegionInfo, from: StoreId, heir: Option<StoreId>) -> Option<Vec<Step>> {
    if info.leader_store() != Some(from) {
        return Some(vec![Step::Remove(from)]);
    }
    Some(vec![Step::Transfer(heir?), Step::Remove(from)])
}

/// The voter on `from` is replaced by one on `to`; if it leads, the new one does from then on.
pub(super) fn replace(info: &RegionInfo, from: StoreId, to: StoreId) -> Vec<Step> {
    let mut steps = add_voter(to);
    if info.leader_store() == Some(from) {
        steps.push(Step::Transfer(to));
    }
    steps.push(Step::Remove(from));
    steps
}
