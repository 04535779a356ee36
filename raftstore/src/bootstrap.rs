//! A directory's first day: it is given its store's identity and its share of the topology, in one synced write.
//! On every later day the directory is held against what it is started with, and refused if they do not fit.

use std::collections::{BTreeMap, BTreeSet};

use nokv_engine::{Cf, Cursor as _, Engine, LogBatch, LogOp, RaftLog, ReadView as _, raft_keys};
use nokv_proto::metapb::Region;
use nokv_transport::{RegionId, StoreId};

use crate::records::{ApplyRecord, Liveness, RegionRecord, StoreIdent, encode_hard_state, initial_hard_state};
use crate::{RegionExt, StoreError};

/// Makes an empty directory this store's, or checks that it is. Returns whether it was empty.
///
/// # Errors
/// [`StoreError::Mismatch`] with a text for people: another store's directory, or regions that do not fit `regions`.
pub fn bootstrap(
    engine: &impl Engine,
    log: &dyn RaftLog,
    store: StoreId,
    regions: &[Region],
) -> Result<bool, StoreError> {
    let here: Vec<&Region> = regions.iter().filter(|region| region.peer_on(store).is_some()).collect();
    match StoreIdent::load(engine)? {
        Some(ident) if ident.store != store => Err(StoreError::Mismatch(format!(
            "the directory belongs to store {}, not to store {store}; start it with --store-id {} or name another \
             directory",
            ident.store, ident.store
        ))),
        Some(_) => check_fits(&load_regions(engine)?, &here, store).map(|()| false),
        None => write_first_day(log, store, &here).map(|()| true),
    }
}

/// All regions recorded in `engine`, tombstones too.
///
/// # Errors
/// If one is unreadable.
pub fn load_regions(engine: &impl Engine) -> Result<BTreeMap<RegionId, RegionRecord>, StoreError> {
    let view = engine.view();
    let mut cursor = view.cursor(Cf::Raft, raft_keys::region_state_range())?;
    cursor.seek_to_first()?;
    let mut regions = BTreeMap::new();
    while let Some(value) = cursor.value() {
        let record = RegionRecord::decode(bytes::Bytes::copy_from_slice(value))
            .ok_or(StoreError::Unreadable { region: RegionId(0), what: "a region's description" })?;
        regions.insert(record.region.region_id(), record);
        cursor.next()?;
    }
    Ok(regions)
}

fn write_first_day(log: &dyn RaftLog, store: StoreId, regions: &[&Region]) -> Result<(), StoreError> {
    let mut batch = LogBatch::default();
    let ident = StoreIdent { cluster: 0, store };
    batch.data.put(Cf::Raft, &raft_keys::store_ident_key(), &ident.encode());
    for region in regions {
        let record = RegionRecord { liveness: Liveness::Normal, region: Region::clone(region) };
        record.put(&mut batch.data);
        ApplyRecord::initial().put(region.region_id(), &mut batch.data);
        batch.ops.push(LogOp::State { group: region.id, state: encode_hard_state(&initial_hard_state()) });
    }
    Ok(log.write(&batch, true)?)
}

/// The directory wins over the topology file, so the file must describe the same regions and peers, as they are or as
/// they were once: a region that it does not name must have come by a split or a change of members, and one that it
/// names must be here, or have been.
fn check_fits(kept: &BTreeMap<RegionId, RegionRecord>, wanted: &[&Region], store: StoreId) -> Result<(), StoreError> {
    let mismatch = |what: String| {
        Err(StoreError::Mismatch(format!(
            "the topology does not fit the directory of store {store}: {what}; start it with the topology that it was \
             made with, or name another directory"
        )))
    };
    for region in wanted {
        let Some(record) = kept.get(&region.region_id()) else {
            return mismatch(format!("region {} is not in the directory", region.id));
        };
        if matches!(record.liveness, Liveness::Tombstone | Liveness::Leaving) {
            // It was removed, which the file need not know.
            continue;
        }
        let (kept, wanted) = (record.region.epoch(), region.epoch());
        if kept.conf_ver == wanted.conf_ver && record.region.peer_on(store) != region.peer_on(store) {
            return mismatch(format!("region {} has another peer here", region.id));
        }
        if kept == wanted && (record.region.range() != region.range() || record.region.peers != region.peers) {
            return mismatch(format!("region {} has another range or other members", region.id));
        }
    }
    let wanted: BTreeSet<RegionId> = wanted.iter().map(|region| region.region_id()).collect();
    let known = |id: &RegionId| wanted.contains(id);
    // What was removed before it had anything knows no epoch.
    let first_epoch = |record: &RegionRecord| {
        let epoch = record.region.epoch();
        record.liveness != Liveness::Tombstone && epoch.version <= 1 && epoch.conf_ver <= 1
    };
    match kept.iter().find(|(id, record)| !known(id) && first_epoch(record)) {
        Some((extra, _)) => mismatch(format!("the directory holds region {extra}, which the topology does not name")),
        None => Ok(()),
    }
}
