//! What the transaction core does with a view, on both engines: 10,000 keys with five versions each, all committed
//! through the same commands that are measured.

use bytes::Bytes;
use criterion::Criterion;
use nokv_engine::{Engine, KeyRange, MemoryEngine, RocksEngine, RocksOptions};
use nokv_percolator::{
    Assertion, AssertionLevel, Commit, CommitBy, Get, Key, Mutation, MutationOp, Prewrite, ReadPoint, Scan, Timestamp,
};

use crate::measure;

const KEYS: u64 = 10_000;
const VERSIONS: u64 = 5;
/// Timestamps of version v: start at 10 v, commit at 10 v + 5.
const STEP: u64 = 10;
/// Keys from here on are locked and not committed.
const LOCKED_FROM: u64 = KEYS;
const LOCKED_TS: Timestamp = Timestamp(STEP * (VERSIONS + 1));

pub fn run(criterion: &mut Criterion) {
    on_engine(criterion, "memory", &MemoryEngine::new());
    let folder = tempfile::tempdir().unwrap();
    on_engine(criterion, "rocksdb", &RocksEngine::open(folder.path(), &RocksOptions::default()).unwrap());
}

fn on_engine<E: Engine>(criterion: &mut Criterion, name: &str, engine: &E) {
    fill(engine);
    let mut numbers = (0..).map(|i: u64| i * 7_919 % KEYS);
    let mut next = || numbers.next().unwrap();
    let after_all = Timestamp(STEP * (VERSIONS + 2));
    for (what, version) in [("newest", after_all), ("third newest", Timestamp(STEP * (VERSIONS - 2) - 1))] {
        measure(criterion, &format!("{name}: view and get, {what} of 5 versions"), || {
            let get = Get { key: key(next()), read: ReadPoint::snapshot(version) };
            get.execute(&engine.view()).unwrap().unwrap().expect("every key has every version")
        });
    }
    measure(criterion, &format!("{name}: view and scan of 100 rows with 5 versions"), || {
        let (start, end) = (key(next().min(KEYS - 100)), key(LOCKED_FROM));
        let scan = Scan {
            range: KeyRange::new(start.as_encoded(), end.as_encoded()),
            read: ReadPoint::snapshot(after_all),
            limit: 100,
            bytes_max: 0,
            key_only: false,
            reverse: false,
        };
        let pairs = scan.execute(&engine.view()).unwrap().pairs;
        assert_eq!(pairs.len(), 100);
        pairs
    });
    for keys in [1, 8] {
        measure(criterion, &format!("{name}: view and prewrite of {keys}"), || {
            let first = next();
            let outcome = prewrite((first..first + keys).map(|number| number % KEYS), after_all);
            let outcome = outcome.execute(&engine.view()).unwrap();
            assert!(outcome.reply.errors.is_empty());
            outcome
        });
        measure(criterion, &format!("{name}: view and commit of {keys}"), || {
            let first = LOCKED_FROM + next() % 1_000;
            let keys = (first..first + keys).map(key).collect();
            let commit = Commit { keys, start_ts: LOCKED_TS, commit_ts: after_all };
            let outcome = commit.execute(&engine.view()).unwrap();
            assert!(outcome.reply.is_ok());
            outcome
        });
    }
}

fn key(number: u64) -> Key {
    Key::encode(format!("a{number:015}").as_bytes())
}

fn prewrite(numbers: impl Iterator<Item = u64>, start_ts: Timestamp) -> Prewrite {
    let put = |number| Mutation {
        key: key(number),
        op: MutationOp::Put(Bytes::from_static(&[0x5a; 256])),
        assertion: Assertion::None,
    };
    Prewrite {
        mutations: numbers.map(put).collect(),
        primary: Bytes::from_static(b"a000000000000000"),
        start_ts,
        ttl_ms: 3_000,
        txn_size: 0,
        min_commit_ts: Timestamp(0),
        commit_by: CommitBy::TwoPhases,
        assertion_level: AssertionLevel::Off,
    }
}

fn fill<E: Engine>(engine: &E) {
    for version in 1..=VERSIONS {
        let (start_ts, commit_ts) = (Timestamp(STEP * version), Timestamp(STEP * version + STEP / 2));
        for first in (0..KEYS).step_by(1_000) {
            let numbers = first..first + 1_000;
            let prewritten = prewrite(numbers.clone(), start_ts).execute(&engine.view()).unwrap();
            engine.write(&prewritten.batch, false).unwrap();
            let commit = Commit { keys: numbers.map(key).collect(), start_ts, commit_ts };
            engine.write(&commit.execute(&engine.view()).unwrap().batch, false).unwrap();
        }
    }
    let locked = prewrite(LOCKED_FROM..LOCKED_FROM + 1_010, LOCKED_TS).execute(&engine.view()).unwrap();
    engine.write(&locked.batch, false).unwrap();
}
