//! A directory's first day: it is given its store's identity and its share of the topology, in one synced write.
//! On every later day the directory is held against what it is started with, and refused if they do not fit.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use nokv_engine::{Cf, Cursor as _, Engine, LogBatch, LogOp, RaftLog, ReadView as _, raft_keys};
use nokv_proto::metapb::Region;
use nokv_transport::{PeerId, RegionId, StoreId};

use crate::ident::StoreIdent;
use crate::records::{ApplyRecord, Liveness, RegionRecord, delete_applied, encode_hard_state, initial_hard_state};
use crate::{RegionExt, StoreError};

/// Makes an empty directory this store's, or checks that it is. Returns whether it was empty. The caller knows that the
/// store never had another directory.
///
/// # Errors
/// [`StoreError::Mismatch`] with a text for people: another store's directory, or regions that do not fit `regions`.
pub fn bootstrap(
    engine: &impl Engine,
    log: &dyn RaftLog,
    store: StoreId,
    regions: &[Region],
) -> Result<bool, StoreError> {
    bootstrap_as(engine, log, &StoreIdent { met: true, ..StoreIdent::new(store, 0) }, regions)
}

/// As [`bootstrap`], with all of the identity that an empty directory is given.
///
/// # Errors
/// As [`bootstrap`].
pub fn bootstrap_as(
    engine: &impl Engine,
    log: &dyn RaftLog,
    new: &StoreIdent,
    regions: &[Region],
) -> Result<bool, StoreError> {
    let store = new.store;
    let here: Vec<&Region> = regions.iter().filter(|region| region.peer_on(store).is_some()).collect();
    match StoreIdent::load(engine)? {
        Some(ident) if ident.store != store => Err(StoreError::Mismatch(format!(
            "the directory belongs to store {}, not to store {store}; start it with --store-id {} or name another \
             directory",
            ident.store, ident.store
        ))),
        // The regions of the topology lived in an earlier directory.
        Some(ident) if ident.peer_floor > PeerId(0) => Ok(false),
        Some(_) => check_fits(&load_regions(engine)?, &here, store).map(|()| false),
        None => write_first_day(log, new, &here).map(|()| true),
    }
}

/// Makes a directory the successor of an earlier one of its store: it begins without regions, and no peer up to
/// `peer_floor` ever lives in it. Only one that has taken part in nothing yet can be that.
///
/// # Errors
/// [`StoreError::Mismatch`] with a text for people if it has taken part in something.
pub fn succeed(engine: &impl Engine, log: &dyn RaftLog, peer_floor: PeerId) -> Result<(), StoreError> {
    let no_ident = || StoreError::Mismatch("the directory has no identity yet".to_owned());
    let ident = StoreIdent::load(engine)?.ok_or_else(no_ident)?;
    let mut batch = LogBatch::default();
    for id in load_regions(engine)?.into_keys() {
        if log.bounds(id.0)?.is_some() || log.state(id.0)?.is_some_and(|state| state != first_state()) {
            return Err(StoreError::Mismatch(format!(
                "store {} was here before with another directory, whose promises are lost, and has taken part in \
                 region {id} with this one since; delete this directory, and start the store while others of the \
                 cluster run",
                ident.store
            )));
        }
        batch.data.delete(Cf::Raft, &raft_keys::region_state_key(id.0));
        delete_applied(id, &mut batch.data);
        batch.ops.push(LogOp::Remove { group: id.0, first: 0, last: 0 });
    }
    StoreIdent { met: true, peer_floor, ..ident }.put(&mut batch.data);
    Ok(log.write(&batch, true)?)
}

fn first_state() -> Bytes {
    encode_hard_state(&initial_hard_state())
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

fn write_first_day(log: &dyn RaftLog, ident: &StoreIdent, regions: &[&Region]) -> Result<(), StoreError> {
    let mut batch = LogBatch::default();
    ident.put(&mut batch.data);
    for region in regions {
        let record = RegionRecord { liveness: Liveness::Normal, region: Region::clone(region) };
        record.put(&mut batch.data);
        ApplyRecord::initial().put(region.region_id(), &mut batch.data);
        batch.ops.push(LogOp::State { group: region.id, state: first_state() });
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
