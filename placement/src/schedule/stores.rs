//! How stores are, by their heartbeats: who is well, who is silent, who is given up, who is full or slow.
//! A leader that has just begun has heard of nobody, and counts silence from its own beginning.

use std::collections::BTreeMap;
use std::sync::Arc;

use nokv_proto::metapb::StoreState;
use nokv_raftstore::StoreId;

use super::Scheduler;
use crate::state::{Settings, State};

/// Slower than this (of 100), a store is not to lead.
const SLOW_SCORE: u64 = 80;

/// What a store tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreReport {
    /// Bytes of its disk; 0 = not told.
    pub capacity_bytes: u64,
    /// Bytes free.
    pub available_bytes: u64,
    /// How many peers it has.
    pub peers: u64,
    /// It takes in nothing more at the moment.
    pub busy: bool,
    /// It is about to stop.
    pub stopping: bool,
    /// How slow its disk is, from 1 to 100.
    pub slow_score: u64,
}

/// How a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// It is heard of.
    Well,
    /// It was not heard of for a moment: nothing is given to it, nothing is taken from it.
    Silent,
    /// It was not heard of for long: it is given up, until it is heard of again.
    Down,
    /// It is to leave.
    Leaving,
    /// It has left, or nobody knows it.
    Gone,
}

/// The last word of each store.
#[derive(Clone, Debug)]
pub(super) struct Heartbeats {
    began_ms: u64,
    heard: BTreeMap<StoreId, (u64, StoreReport)>,
}

impl Heartbeats {
    pub(super) fn new(began_ms: u64) -> Self {
        Self { began_ms, heard: BTreeMap::new() }
    }

    pub(super) fn silent_ms(&self, store: StoreId, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.heard.get(&store).map_or(self.began_ms, |(at_ms, _)| *at_ms))
    }

    pub(super) fn report(&self, store: StoreId) -> StoreReport {
        self.heard.get(&store).map(|(_, report)| *report).unwrap_or_default()
    }

    pub(super) fn condition(&self, state: &State, store: StoreId, now_ms: u64) -> Condition {
        let silent_ms = self.silent_ms(store, now_ms);
        let settings = state.settings();
        match state.store(store).map(|record| record.state()) {
            None | Some(StoreState::Tombstone) => Condition::Gone,
            Some(_) if silent_ms >= settings.store_down_ms => Condition::Down,
            Some(StoreState::Offline) => Condition::Leaving,
            Some(StoreState::Up) if silent_ms >= settings.store_silent_ms => Condition::Silent,
            Some(StoreState::Up) => Condition::Well,
        }
    }

    /// Whether its disk and its own word allow that peers come to it.
    pub(super) fn has_room(&self, settings: &Settings, store: StoreId) -> bool {
        let report = self.report(store);
        let needed = u128::from(report.capacity_bytes) * u128::from(settings.free_permille_min) / 1_000;
        let needed = needed.min(settings.free_bytes_enough.into());
        !report.busy && !report.stopping && u128::from(report.available_bytes) >= needed
    }

    /// Whether it may be given leaders.
    pub(super) fn may_lead(&self, store: StoreId) -> bool {
        let report = self.report(store);
        !report.stopping && report.slow_score < SLOW_SCORE
    }
}

impl Scheduler {
    /// A store was heard of.
    pub fn on_store(&mut self, store: StoreId, report: StoreReport, now_ms: u64) {
        Arc::make_mut(&mut self.heartbeats).heard.insert(store, (now_ms, report));
    }

    /// How a store is.
    pub fn condition(&self, state: &State, store: StoreId, now_ms: u64) -> Condition {
        self.heartbeats.condition(state, store, now_ms)
    }

    /// For how long a store was not heard of, in milliseconds; at most since this leader began.
    pub fn silent_ms(&self, store: StoreId, now_ms: u64) -> u64 {
        self.heartbeats.silent_ms(store, now_ms)
    }

    /// What a store said last, and for how long it has been silent, in milliseconds; `None` if it never was heard of.
    pub fn last_word(&self, store: StoreId, now_ms: u64) -> Option<(StoreReport, u64)> {
        let (at_ms, report) = self.heartbeats.heard.get(&store)?;
        Some((*report, now_ms.saturating_sub(*at_ms)))
    }
}
