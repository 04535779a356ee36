//! What the engine is asked to do, step by step, and what it must hold after so many steps. A step is a batch of writes
//! to all column families, synced or not; now and then one that takes an import in, in the order in which a replica
//! takes an image in. Flushes, compactions, blob files and new logs come by themselves: everything is set small.

use std::collections::BTreeMap;
use std::path::Path;

use nokv_engine::{Cf, Cursor as _, Engine, Error, KeyRange, ReadView as _, RocksEngine, RocksOptions, WriteBatch};

use crate::record::{Event, Recording};

/// Every such step takes an import in.
const STEPS_PER_IMPORT: u64 = 60;
/// The keys that an import replaces, in the raw family.
const IMPORTED: KeyRange<'static> = KeyRange { start: b"i", end: b"j" };
/// How many steps are done.
const COUNT: &[u8] = b"count";
/// The step whose import is being taken in.
const INTENT: &[u8] = b"intent";

/// So small that everything an engine does in the background is done often.
pub fn options() -> RocksOptions {
    RocksOptions {
        block_cache_bytes: 1 << 20,
        write_buffer_bytes: 64 << 10,
        write_buffers_total_bytes: 256 << 10,
        wal_bytes_max: 128 << 10,
        blob_value_bytes_min: 3_000,
        blob_file_bytes: 32 << 10,
        bytes_per_sync: 16 << 10,
        wal_bytes_per_sync: 8 << 10,
        ..RocksOptions::default()
    }
}

/// All that an engine holds, by family and key.
pub type State = BTreeMap<(Cf, Vec<u8>), Vec<u8>>;

/// What the engine holds.
pub fn read(engine: &RocksEngine) -> State {
    let view = engine.view();
    let mut state = State::new();
    for cf in Cf::ALL {
        let mut cursor = view.cursor(cf, KeyRange::ALL).unwrap();
        cursor.seek_to_first().unwrap();
        while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
            state.insert((cf, key.to_vec()), value.to_vec());
            cursor.next().unwrap();
        }
    }
    state
}

/// What it must hold after the steps below `count`.
pub fn model(count: u64) -> State {
    let mut state = State::new();
    for step in 0..count {
        for change in changes(step) {
            match change {
                Change::Put(cf, key, value) => drop(state.insert((cf, key), value)),
                Change::Delete(cf, key) => drop(state.remove(&(cf, key))),
                Change::DeleteRange(cf, start, end) => {
                    state.retain(|(of, key), _| *of != cf || *key < start || *key >= end);
                }
            }
        }
        if is_import(step) {
            state.retain(|(cf, key), _| *cf == Cf::Raft || !IMPORTED.contains(key));
            state.extend(imported(step).into_iter().map(|(key, value)| ((Cf::Raw, key), value)));
        }
        state.insert((Cf::Raft, COUNT.to_vec()), (step + 1).to_be_bytes().to_vec());
    }
    state
}

enum Change {
    Put(Cf, Vec<u8>, Vec<u8>),
    Delete(Cf, Vec<u8>),
    DeleteRange(Cf, Vec<u8>, Vec<u8>),
}

/// Whether a step takes an import in.
pub fn is_import(step: u64) -> bool {
    step % STEPS_PER_IMPORT == STEPS_PER_IMPORT - 1
}

/// Whether a step is to be on disk before it is acknowledged.
fn is_synced(step: u64) -> bool {
    is_import(step) || random(step).u8(..).is_multiple_of(3)
}

fn random(step: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(step)
}

fn imported(step: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..30u8).map(|number| (vec![b'i', number], vec![step as u8; 300])).collect()
}

fn changes(step: u64) -> Vec<Change> {
    let mut random = random(step);
    let synced = random.u8(..);
    debug_assert_eq!(is_import(step) || synced.is_multiple_of(3), is_synced(step));
    let key = |random: &mut fastrand::Rng| vec![random.u8(b'a'..b'p'), random.u8(..12)];
    let mut changes = Vec::new();
    for _ in 0..random.usize(1..6) {
        let cf = random.choice(Cf::ALL).unwrap();
        let (one, other) = (key(&mut random), key(&mut random));
        match random.u8(..20) {
            0 => changes.push(Change::DeleteRange(cf, one.clone().min(other.clone()), one.max(other))),
            1..5 => changes.push(Change::Delete(cf, one)),
            _ => {
                let bytes = if random.u8(..10) == 0 { random.usize(3_000..9_000) } else { random.usize(..600) };
                changes.push(Change::Put(cf, one, (0..bytes).map(|_| random.u8(..)).collect()));
            }
        }
    }
    changes
}

/// Does the steps below `count`, until one fails. Each is noted when it begins; what is on disk is acknowledged.
pub fn perform(engine: &RocksEngine, count: u64, recording: &Recording) -> Result<(), Error> {
    for step in 0..count {
        recording.note(Event::Begun(step));
        let mut batch = WriteBatch::new();
        for change in changes(step) {
            match change {
                Change::Put(cf, key, value) => batch.put(cf, &key, &value),
                Change::Delete(cf, key) => batch.delete(cf, &key),
                Change::DeleteRange(cf, start, end) => batch.delete_range(cf, &start, &end),
            }
        }
        if is_import(step) {
            begin_import(engine, step, batch)?;
            recording.note(Event::Acknowledged(step));
            end_import(engine, step)?;
            engine.discard_import(&name(step))?;
            continue;
        }
        batch.put(Cf::Raft, COUNT, &(step + 1).to_be_bytes());
        engine.write(&batch, is_synced(step))?;
        if is_synced(step) {
            recording.note(Event::Acknowledged(step));
        }
    }
    Ok(())
}

fn name(step: u64) -> String {
    format!("image-{step}")
}

/// The import is made durable, then that it is to be taken in; from then on it must be.
fn begin_import(engine: &RocksEngine, step: u64, mut batch: WriteBatch) -> Result<(), Error> {
    let mut importer = engine.importer(&name(step))?;
    for (key, value) in imported(step) {
        importer.add(Cf::Raw, &key, &value)?;
    }
    importer.finish()?;
    batch.put(Cf::Raft, INTENT, &step.to_be_bytes());
    engine.write(&batch, true)
}

fn end_import(engine: &RocksEngine, step: u64) -> Result<(), Error> {
    engine.ingest(&name(step), &[IMPORTED])?;
    let mut batch = WriteBatch::new();
    batch.delete(Cf::Raft, INTENT);
    batch.put(Cf::Raft, COUNT, &(step + 1).to_be_bytes());
    // Synced, since the import is gone afterwards.
    engine.write(&batch, true)
}

/// Opens what a power cut left, ends an import that was begun, and returns how many steps are there; everything that
/// the engine holds must be of exactly these.
///
/// # Errors
/// What is wrong.
pub fn recover(directory: &Path) -> Result<u64, String> {
    let engine = RocksEngine::open(directory, &options()).map_err(|error| format!("does not open: {error}"))?;
    let number = |key: &[u8]| {
        let value = engine.get(Cf::Raft, key).map_err(|error| error.to_string())?;
        Ok::<_, String>(value.map(|value| u64::from_be_bytes(value.as_ref().try_into().unwrap())))
    };
    if let Some(step) = number(INTENT)? {
        end_import(&engine, step).map_err(|error| format!("the import of step {step}: {error}"))?;
    }
    let count = number(COUNT)?.unwrap_or(0);
    let (held, expected) = (read(&engine), model(count));
    if held == expected {
        return Ok(count);
    }
    let missing = expected.iter().find(|(key, value)| held.get(*key) != Some(value)).map(|(key, _)| key);
    let surplus = held.keys().find(|key| !expected.contains_key(*key));
    Err(format!("is not what {count} steps make: missing or other {missing:?}, too much {surplus:?}"))
}
