//! A decision under way: its steps, why it was taken, and until when it is waited for.
//! It ends by itself when its steps are done, when its time is over, or when the region has become another one.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use nokv_proto::metapb::RegionEpoch;
use nokv_raftstore::{PeerId, RegionExt as _, RegionId, StoreId};

use super::{Order, Step};
use crate::regions::{RegionInfo, RegionMap};

/// What a decision is for. The order is that of urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A replica is missing, too many, badly placed, or on a store that is given up.
    Repair,
    /// A store leaves.
    Drain,
    /// A store has more data than others.
    Balance,
    /// A store leads more regions than others.
    Leader,
    /// A region is busier than others.
    Hot,
    /// A region is small.
    Merge,
    /// Somebody asked that regions be spread.
    Scatter,
    /// Somebody asked that a region be cut.
    Cut,
}

/// How an operator ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// All its steps are done.
    Done,
    /// Its time is over.
    TimedOut,
    /// It does not fit the region any more, or has no point.
    Cancelled,
}

/// See the file's head.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// Whose steps these are.
    pub region: RegionId,
    /// What it is for.
    pub kind: Kind,
    /// Why, for people.
    pub reason: String,
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// The step that is under way.
    pub at: usize,
    /// The region's epoch when it was decided.
    pub epoch: RegionEpoch,
    /// When it was decided, in milliseconds.
    pub began_ms: u64,
    /// When it is given up, in milliseconds.
    pub until_ms: u64,
    pub(super) new_peers: BTreeMap<StoreId, PeerId>,
    pub(super) cuts: Vec<Bytes>,
}

/// An operator that is no more.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// It.
    pub operator: Operator,
    /// How it ended.
    pub outcome: Outcome,
    /// Why, for people; empty if it is done.
    pub why: &'static str,
    /// When, in milliseconds.
    pub at_ms: u64,
}

impl Operator {
    pub(super) fn new_peer(&self, store: StoreId) -> Option<PeerId> {
        self.new_peers.get(&store).copied()
    }

    /// The step that is under way; `None` = all are done.
    pub fn current(&self) -> Option<Step> {
        self.steps.get(self.at).copied()
    }

    /// The steps that are not known to be done.
    pub fn remaining(&self) -> &[Step] {
        self.steps.get(self.at..).unwrap_or_default()
    }

    /// What the region's leader is to do now.
    pub(super) fn order(&self, info: &RegionInfo, map: &RegionMap) -> Option<Order> {
        let step = self.current()?.order(self, info, map)?;
        Some(Order { region: self.region, epoch: info.region.epoch(), leader: info.leader?, step })
    }

    /// Passes over what is done.
    pub(super) fn advance(&mut self, info: &RegionInfo) {
        while self.current().is_some_and(|step| step.is_done(self, info)) {
            self.at += 1;
        }
    }

    /// Why the operator has to end with this region, if it has to.
    pub(super) fn misfit(&self, info: &RegionInfo) -> Option<&'static str> {
        let current = self.current()?;
        let epoch = info.region.epoch();
        let done = self.steps.iter().take(self.at);
        let expected = self.epoch.conf_ver + done.map(|step| step.membership_changes()).sum::<u64>();
        if epoch.version != self.epoch.version {
            return Some("the region's range changed");
        }
        if epoch.conf_ver != expected && !info.is_joint() {
            return Some("somebody else changed the region's members");
        }
        current.is_vain(info)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Repair => "repair",
            Kind::Drain => "drain",
            Kind::Balance => "balance",
            Kind::Leader => "leader",
            Kind::Hot => "hot",
            Kind::Merge => "merge",
            Kind::Scatter => "scatter",
            Kind::Cut => "cut",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Done => "done",
            Outcome::TimedOut => "timed out",
            Outcome::Cancelled => "cancelled",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::AddLearner(store) => write!(f, "add a learner on store {store}"),
            Step::Promote(store) => write!(f, "make the peer on store {store} a voter"),
            Step::Transfer(store) => write!(f, "transfer the leader to store {store}"),
            Step::Remove(store) => write!(f, "remove the peer on store {store}"),
            Step::Split => f.write_str("split"),
            Step::MergeInto(region) => write!(f, "merge into region {region}"),
            Step::TakeIn(region) => write!(f, "take region {region} in"),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "region {} {} ({}):", self.region, self.kind, self.reason)?;
        for (at, step) in self.steps.iter().enumerate() {
            f.write_str(if at == 0 { " " } else { ", " })?;
            if at == self.at {
                f.write_str("> ")?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}
