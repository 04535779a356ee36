//! The model test: random histories of transactions, interleaved command by command, with timestamps that clients chose
//! themselves and that collide. Every reply must equal the naive model's, and after every step all that is stored must
//! be exactly what the model says, and nothing that was decided may ever change.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

mod naive;
mod stored;

use std::collections::BTreeSet;

use naive::{Claim, Model, Wish};
use nokv_engine::{Engine, KeyRange, MemoryEngine};
use nokv_percolator::*;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;

/// In order; one is another's prefix, one fills its group.
const KEYS: [&str; 4] = ["a", "ab", "abcdefgh", "b"];

#[derive(Clone, Debug)]
enum Step {
    Prewrite(Claim),
    Commit {
        keys: BTreeSet<&'static str>,
        start_ts: Timestamp,
        commit_ts: Timestamp,
    },
    /// Prewrite and commit at once, so that keys get many versions.
    Write(Claim, Timestamp),
    RollBack {
        keys: BTreeSet<&'static str>,
        start_ts: Timestamp,
    },
    Cleanup {
        key: &'static str,
        start_ts: Timestamp,
        now: Timestamp,
    },
    Status(CheckTxnStatus, &'static str),
    Secondaries {
        keys: BTreeSet<&'static str>,
        start_ts: Timestamp,
    },
    HeartBeat {
        key: &'static str,
        start_ts: Timestamp,
        ttl_ms: u64,
        min_commit_ts: Timestamp,
    },
    Resolve {
        keys: Option<BTreeSet<&'static str>>,
        start_ts: Timestamp,
        commit_ts: Timestamp,
        limit: usize,
    },
    Collect {
        safe_point: Timestamp,
        records_max: usize,
        batch_bytes_max: usize,
    },
    Read {
        read: ReadPoint,
        from: usize,
        to: usize,
        limit: usize,
        max_ts: Timestamp,
    },
}

fn key(user: &str) -> Key {
    Key::encode(user.as_bytes())
}

fn keys(users: &BTreeSet<&'static str>) -> Vec<Key> {
    // Backwards and one twice: the order does not matter, and naming a key twice means it once.
    users.iter().rev().chain(users.first()).map(|user| key(user)).collect()
}

fn any_key() -> impl Strategy<Value = &'static str> {
    select(&KEYS[..])
}

fn some_keys() -> impl Strategy<Value = BTreeSet<&'static str>> {
    btree_set(any_key(), 0..=3)
}

/// Few enough that starts, commits, marks and reads fall on one another.
fn any_ts() -> impl Strategy<Value = Timestamp> {
    (1u64..9, 0u64..4).prop_map(|(physical_ms, logical)| Timestamp::compose(physical_ms, logical))
}

/// The transactions: fewer timestamps, so that commands meet.
fn start_ts() -> impl Strategy<Value = Timestamp> {
    (1u64..9, 0u64..2).prop_map(|(physical_ms, logical)| Timestamp::compose(physical_ms, logical * 2))
}

fn or_zero(ts: impl Strategy<Value = Timestamp>) -> impl Strategy<Value = Timestamp> {
    prop_oneof![1 => Just(Timestamp::ZERO), 2 => ts]
}

fn now() -> impl Strategy<Value = Timestamp> {
    prop_oneof![8 => any_ts(), 1 => Just(Timestamp::ZERO), 1 => Just(Timestamp::MAX)]
}

fn wish() -> impl Strategy<Value = Wish> {
    let value = || (any::<u8>(), prop_oneof![3 => 0usize..3, 1 => 254usize..258]);
    let op = prop_oneof![
        4 => value().prop_map(|(byte, len)| MutationOp::Put(vec![byte; len].into())),
        2 => Just(MutationOp::Delete),
        1 => Just(MutationOp::Lock),
        1 => value().prop_map(|(byte, len)| MutationOp::Insert(vec![byte; len].into())),
        1 => Just(MutationOp::CheckNotExists),
    ];
    let assertion =
        prop_oneof![10 => Just(Assertion::None), 1 => Just(Assertion::Exist), 1 => Just(Assertion::NotExist)];
    (any_key(), op, assertion).prop_map(|(key, op, assertion)| Wish { key, op, assertion })
}

fn claim() -> impl Strategy<Value = Claim> {
    let commit_by = prop_oneof![
        4 => Just(CommitBy::TwoPhases),
        1 => Just(CommitBy::OnePhase),
        1 => some_keys().prop_map(|keys| CommitBy::Async { secondaries: keys.into_iter().map(Into::into).collect() }),
    ];
    (start_ts(), any_key(), 0u64..5, or_zero(any_ts()), commit_by, vec(wish(), 0..5)).prop_map(
        |(start_ts, primary, ttl_ms, min_commit_ts, commit_by, wishes)| Claim {
            start_ts,
            primary,
            ttl_ms,
            min_commit_ts,
            commit_by,
            wishes,
        },
    )
}

fn read_point() -> impl Strategy<Value = ReadPoint> {
    let isolation = prop_oneof![5 => Just(Isolation::Snapshot), 1 => Just(Isolation::ReadCommitted)];
    (now(), isolation, vec(start_ts(), 0..3)).prop_map(|(version, isolation, bypass_locks)| ReadPoint {
        version,
        isolation,
        bypass_locks,
    })
}

fn status() -> impl Strategy<Value = Step> {
    let callers = prop_oneof![6 => any_ts(), 2 => Just(Timestamp::ZERO), 1 => Just(Timestamp::MAX)];
    (any_key(), start_ts(), callers, now(), any::<[bool; 3]>()).prop_map(
        |(user, lock_ts, caller_start_ts, current_ts, flags)| {
            let [rollback_if_not_exist, verify_is_primary, force_sync_commit] = flags;
            let primary = key(user);
            let ask = CheckTxnStatus {
                primary,
                lock_ts,
                caller_start_ts,
                current_ts,
                rollback_if_not_exist,
                verify_is_primary,
                force_sync_commit,
            };
            Step::Status(ask, user)
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => claim().prop_map(Step::Prewrite),
        6 => (some_keys(), start_ts(), any_ts())
            .prop_map(|(keys, start_ts, commit_ts)| Step::Commit { keys, start_ts, commit_ts }),
        3 => (claim(), any_ts()).prop_map(|(claim, commit_ts)| Step::Write(claim, commit_ts)),
        2 => (some_keys(), start_ts()).prop_map(|(keys, start_ts)| Step::RollBack { keys, start_ts }),
        1 => (any_key(), start_ts(), now()).prop_map(|(key, start_ts, now)| Step::Cleanup { key, start_ts, now }),
        3 => status(),
        1 => (some_keys(), start_ts()).prop_map(|(keys, start_ts)| Step::Secondaries { keys, start_ts }),
        1 => (any_key(), start_ts(), 0u64..8, or_zero(any_ts())).prop_map(|(key, start_ts, ttl_ms, min_commit_ts)| {
            Step::HeartBeat { key, start_ts, ttl_ms, min_commit_ts }
        }),
        2 => (proptest::option::of(some_keys()), start_ts(), or_zero(any_ts()), 1usize..4)
            .prop_map(|(keys, start_ts, commit_ts, limit)| Step::Resolve { keys, start_ts, commit_ts, limit }),
        1 => (any_ts(), 1usize..6, 1usize..200)
            .prop_map(|(safe_point, records_max, batch_bytes_max)| {
                Step::Collect { safe_point, records_max, batch_bytes_max }
            }),
        4 => (read_point(), 0usize..5, 0usize..5, 0usize..5, any_ts())
            .prop_map(|(read, from, to, limit, max_ts)| Step::Read { read, from, to, limit, max_ts }),
    ]
}

/// One transaction after the other, so that keys have more records than a scan steps over; most histories have none.
fn past() -> impl Strategy<Value = Vec<Step>> {
    let turn = (some_keys(), prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3)]);
    prop_oneof![2 => Just(vec![]), 1 => vec(turn, 0..16)].prop_map(|turns| {
        let instant = |at: usize| Timestamp::compose(1 + at as u64 / 4, at as u64 % 4);
        let turns = turns.into_iter().enumerate();
        turns
            .map(|(at, (users, kind))| {
                let (start_ts, commit_ts) = (instant(2 * at), instant(2 * at + 1));
                let op = match kind {
                    0 => MutationOp::Put(vec![at as u8].into()),
                    1 => MutationOp::Delete,
                    2 => MutationOp::Lock,
                    _ => return Step::RollBack { keys: users, start_ts },
                };
                let wishes =
                    users.into_iter().map(|key| Wish { key, op: op.clone(), assertion: Assertion::None }).collect();
                let (min_commit_ts, commit_by) = (Timestamp::ZERO, CommitBy::TwoPhases);
                let claim = Claim { start_ts, primary: "a", ttl_ms: 1, min_commit_ts, commit_by, wishes };
                Step::Write(claim, commit_ts)
            })
            .collect()
    })
}

/// The crate and the model side by side.
#[derive(Default)]
struct Twins {
    engine: MemoryEngine,
    model: Model,
}

impl Twins {
    fn apply<R>(&self, outcome: Outcome<R>) -> R {
        self.engine.write(&outcome.batch, false).unwrap();
        outcome.reply
    }

    fn prewrite(&mut self, claim: &Claim) {
        let mutation = |wish: &Wish| Mutation { key: key(wish.key), op: wish.op.clone(), assertion: wish.assertion };
        let command = Prewrite {
            mutations: claim.wishes.iter().map(mutation).collect(),
            primary: claim.primary.into(),
            start_ts: claim.start_ts,
            ttl_ms: claim.ttl_ms,
            txn_size: 0,
            min_commit_ts: claim.min_commit_ts,
            commit_by: claim.commit_by.clone(),
            assertion_level: AssertionLevel::Strict,
        };
        let outcome = command.execute(&self.engine.view()).unwrap();
        assert!(outcome.reply.errors.is_empty() || outcome.batch.is_empty());
        assert_eq!(self.apply(outcome), self.model.prewrite(claim));
    }

    fn commit(&mut self, users: &BTreeSet<&'static str>, start_ts: Timestamp, commit_ts: Timestamp) {
        let command = Commit { keys: keys(users), start_ts, commit_ts };
        let reply = self.apply(command.execute(&self.engine.view()).unwrap());
        assert_eq!(reply, self.model.commit(users, start_ts, commit_ts));
    }

    /// Ends the listed locks, or all of them in turns.
    fn resolve(
        &mut self,
        users: Option<&BTreeSet<&'static str>>,
        start_ts: Timestamp,
        commit_ts: Timestamp,
        limit: usize,
    ) {
        let mut from = Vec::new();
        loop {
            let (batch, resume_at) = match users {
                Some(users) => (keys(users), None),
                None => {
                    let range = KeyRange::new(&from, &[]);
                    let found = FindTxnLocks { range, start_ts, limit }.execute(&self.engine.view()).unwrap();
                    (found.keys, found.resume_at)
                }
            };
            let listed: BTreeSet<&'static str> = KEYS.into_iter().filter(|user| batch.contains(&key(user))).collect();
            let command = ResolveLock { keys: batch, start_ts, commit_ts };
            let reply = self.apply(command.execute(&self.engine.view()).unwrap());
            assert_eq!(reply, self.model.resolve(&listed, start_ts, commit_ts));
            match resume_at {
                Some(next) if reply.is_ok() => from = next.as_encoded().to_vec(),
                _ if reply.is_ok() && users.is_none() => {
                    assert_eq!(self.model.locked_by(start_ts), [""; 0], "a lock was passed over");
                    return;
                }
                _ => return,
            }
        }
    }

    fn read(&self, read: &ReadPoint, from: usize, to: usize, limit: usize) {
        let view = self.engine.view();
        for user in KEYS {
            let got = Get { key: key(user), read: read.clone() }.execute(&view).unwrap();
            assert_eq!(got, self.model.get(user, read));
        }
        let all = BatchGet { keys: KEYS.map(key).to_vec(), read: read.clone() }.execute(&view).unwrap();
        assert_eq!(all, self.model.scan(KEYS.into_iter(), read, KEYS.len()));
        let bound = |at: usize| KEYS.get(at).map(|user| key(user).as_encoded().to_vec()).unwrap_or_default();
        let (start, end) = (if from == 0 { Vec::new() } else { bound(from) }, bound(to));
        // A bound behind the last key is the empty one, which as a start means the beginning.
        let inside = |at: &usize| (from >= KEYS.len() || *at >= from) && *at < to;
        for reverse in [false, true] {
            let mut users: Vec<&str> = (0..KEYS.len()).filter(inside).map(|at| KEYS[at]).collect();
            if reverse {
                users.reverse();
            }
            let expected = self.model.scan(users.into_iter(), read, limit);
            let range = KeyRange::new(&start, &end);
            let scan = Scan { range, read: read.clone(), limit, bytes_max: 0, key_only: false, reverse };
            assert_eq!(scan.execute(&view).unwrap(), ScanReply { pairs: expected.clone(), resume_at: None });
            self.read_in_pieces(&scan, &expected);
        }
    }

    /// The same range in pieces of a byte: what one piece says of the rest is where the next one goes on.
    fn read_in_pieces(&self, scan: &Scan<'_>, expected: &[Pair]) {
        let (mut start, mut end) = (scan.range.start.to_vec(), scan.range.end.to_vec());
        let mut pairs = Vec::new();
        while pairs.len() < scan.limit {
            let piece = Scan {
                range: KeyRange::new(&start, &end),
                limit: scan.limit - pairs.len(),
                bytes_max: 1,
                ..scan.clone()
            };
            let mut reply = piece.execute(&self.engine.view()).unwrap();
            pairs.append(&mut reply.pairs);
            let Some(next) = reply.resume_at else { break };
            *if scan.reverse { &mut end } else { &mut start } = next.as_encoded().to_vec();
        }
        assert_eq!(pairs, expected);
    }

    /// Collects in turns, and holds what every reader at the safe point or above sees against what it saw before.
    fn collect(&mut self, safe_point: Timestamp, records_max: usize, batch_bytes_max: usize) {
        let seen = |engine: &MemoryEngine| -> Vec<ScanReply> {
            let moments = (0..10).flat_map(|ms| (0..4).map(move |logical| Timestamp::compose(ms, logical)));
            let versions = moments.filter(|ts| *ts >= safe_point).chain([Timestamp::MAX]);
            let read = |isolation| move |version| ReadPoint { version, isolation, ..ReadPoint::default() };
            let points =
                versions.clone().map(read(Isolation::Snapshot)).chain(versions.map(read(Isolation::ReadCommitted)));
            let all =
                |read| Scan { range: KeyRange::ALL, read, limit: 100, bytes_max: 0, key_only: false, reverse: false };
            points.map(|read| all(read).execute(&engine.view()).unwrap()).collect()
        };
        let before = seen(&self.engine);
        let mut command = Collect {
            range: KeyRange::ALL,
            safe_point,
            position: CollectPosition::default(),
            records_max,
            batch_bytes_max,
        };
        let mut quiet_up_to = Timestamp::MAX;
        loop {
            let reply = self.apply(command.execute(&self.engine.view()).unwrap());
            quiet_up_to = quiet_up_to.min(reply.quiet_up_to);
            assert_eq!(seen(&self.engine), before, "a reader at {safe_point} or above lost something on the way");
            match reply.next {
                Some(next) => command.position = next,
                None => break,
            }
        }
        self.model.collect(safe_point);
        let whole = |safe_point| Collect {
            range: KeyRange::ALL,
            safe_point,
            position: CollectPosition::default(),
            records_max: usize::MAX,
            batch_bytes_max: usize::MAX,
        };
        let again = whole(safe_point.max(quiet_up_to)).execute(&self.engine.view()).unwrap();
        assert_eq!(again.reply.removed, 0, "it said that nothing goes up to {quiet_up_to}");
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Prewrite(claim) => self.prewrite(claim),
            Step::Commit { keys, start_ts, commit_ts } => self.commit(keys, *start_ts, *commit_ts),
            Step::Write(claim, commit_ts) => {
                self.prewrite(claim);
                let held = self.model.locked_by(claim.start_ts).into_iter().collect();
                self.commit(&held, claim.start_ts, *commit_ts);
            }
            Step::RollBack { keys: users, start_ts } => {
                let command = BatchRollback { keys: keys(users), start_ts: *start_ts };
                let reply = self.apply(command.execute(&self.engine.view()).unwrap());
                assert_eq!(reply, self.model.roll_back(users, *start_ts));
            }
            Step::Cleanup { key: user, start_ts, now } => {
                let command = Cleanup { key: key(user), start_ts: *start_ts, current_ts: *now };
                let reply = self.apply(command.execute(&self.engine.view()).unwrap());
                assert_eq!(reply, self.model.cleanup(user, *start_ts, *now));
            }
            Step::Status(ask, user) => {
                let reply = self.apply(ask.execute(&self.engine.view()).unwrap());
                assert_eq!(reply, self.model.status(ask, user));
            }
            Step::Secondaries { keys: users, start_ts } => {
                let command = CheckSecondaryLocks { keys: keys(users), start_ts: *start_ts };
                let reply = self.apply(command.execute(&self.engine.view()).unwrap());
                assert_eq!(reply, self.model.secondaries(users, *start_ts));
            }
            Step::HeartBeat { key: user, start_ts, ttl_ms, min_commit_ts } => {
                let (primary, start_ts, min_commit_ts) = (key(user), *start_ts, *min_commit_ts);
                let command = TxnHeartBeat { primary, start_ts, advise_ttl_ms: *ttl_ms, min_commit_ts };
                let reply = self.apply(command.execute(&self.engine.view()).unwrap());
                assert_eq!(reply, self.model.heart_beat(user, start_ts, *ttl_ms, min_commit_ts));
            }
            Step::Resolve { keys, start_ts, commit_ts, limit } => {
                self.resolve(keys.as_ref(), *start_ts, *commit_ts, *limit);
            }
            Step::Collect { safe_point, records_max, batch_bytes_max } => {
                self.collect(*safe_point, *records_max, *batch_bytes_max);
            }
            Step::Read { read, from, to, limit, max_ts } => {
                self.read(read, *from, *to, *limit);
                let scan = ScanLock { range: KeyRange::ALL, max_ts: *max_ts, limit: 100 };
                assert_eq!(scan.execute(&self.engine.view()).unwrap().locks, self.model.scan_lock(*max_ts));
            }
        }
    }

    /// What holds after every step.
    fn check(&self, before: &Model, has_collected: bool) {
        assert_eq!(stored::read(&self.engine), stored::expected(&self.model));
        for (user, versions) in &self.model.versions {
            for (commit_ts, version) in versions {
                assert!(*commit_ts > version.start_ts, "law 7: a commit is after its start");
                assert!(!self.model.rolled_back.contains(&(*user, version.start_ts)), "committed and rolled back");
            }
        }
        if has_collected {
            return;
        }
        for (user, versions) in &before.versions {
            for (commit_ts, version) in versions {
                assert_eq!(self.model.versions[user].get(commit_ts), Some(version), "a commit was lost");
            }
        }
        assert!(before.rolled_back.is_subset(&self.model.rolled_back), "a mark was lost");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_reply_and_every_record_is_the_models(past in past(), steps in vec(step(), 1..120)) {
        let mut twins = Twins::default();
        for step in past.iter().chain(&steps) {
            let before = twins.model.clone();
            twins.step(step);
            twins.check(&before, matches!(step, Step::Collect { .. }));
        }
        for physical_ms in 0..10 {
            for logical in 0..4 {
                twins.read(&ReadPoint::snapshot(Timestamp::compose(physical_ms, logical)), 0, KEYS.len(), KEYS.len());
            }
        }
    }
}
