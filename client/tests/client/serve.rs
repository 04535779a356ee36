//! TinyKv's calls, and those of TiKV's that the client makes, on the fake cluster: each checks the context as a store
//! does, then lets the percolator core decide.
//! So the client meets the answers of the real rules, with no store and no raft behind them.

use std::future::pending;

use bytes::Bytes;
use nokv_client::{Reply, Rpc, RpcError};
use nokv_engine::{Cf, Cursor, Engine, KeyRange, ReadView, WriteBatch};
use nokv_percolator as percolator;
use nokv_percolator::{Key, KeyError, ReadPoint, Timestamp};
use nokv_proto::{errorpb, kvrpcpb, metapb, nokvpb, tinykvpb};

use crate::cluster::{Cluster, LATENCY, RegionState, State, address, holds};

impl Cluster {
    /// Receives one request, with everything that may go wrong about it.
    async fn receive<A: Answer>(&self, to: &str, request: &Received, run: impl Run<A>) -> Result<A, RpcError> {
        let store = (1..=9).find(|store| address(*store) == to).expect("an address of this cluster");
        if self.state.lock().down.contains(&store) {
            return Err(RpcError::Unreachable("connection refused".to_owned()));
        }
        tokio::time::sleep(LATENCY).await;
        let Received { call, context, .. } = request;
        let verdict = self.state.lock().strike(call, context.region_id);
        if let Some(delay) = verdict.late.or(verdict.again) {
            let (cluster, request, run) = (self.clone(), request.clone(), run.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                cluster.execute(store, &request, &run, None);
            });
        }
        if verdict.lose_request || verdict.late.is_some() {
            self.note(store, request, "lost");
            return Err(RpcError::Disconnected("reset by peer".to_owned()));
        }
        if let Some(error) = verdict.fail {
            return Err(error);
        }
        if verdict.swallow {
            self.note(store, request, "swallowed");
            pending::<()>().await;
        }
        let answer = self.execute(store, request, &run, verdict.error);
        if verdict.silent {
            pending::<()>().await;
        }
        if verdict.lose_reply {
            return Err(RpcError::Disconnected("reset by peer".to_owned()));
        }
        tokio::time::sleep(LATENCY).await;
        Ok(answer)
    }

    fn execute<A: Answer>(
        &self,
        store: u64,
        request: &Received,
        run: &impl Run<A>,
        error: Option<Box<errorpb::Error>>,
    ) -> A {
        let mut state = self.state.lock();
        let checked = match error {
            Some(error) => Err(error),
            None => state.check(store, &request.context, &request.keys),
        };
        let (answer, outcome) = match checked {
            Ok(region) => {
                let answer = run.clone()(&mut state, &region);
                let outcome = answer.outcome();
                (answer, outcome)
            }
            Err(error) => {
                let outcome = error.message.clone();
                (A::region_error(error), outcome)
            }
        };
        drop(state);
        self.note(store, request, &outcome);
        answer
    }

    fn note(&self, store: u64, request: &Received, outcome: &str) {
        let Received { call, context, shown, .. } = request;
        let line = format!("{call} region {} store {store} [{shown}]: {outcome}", context.region_id);
        self.state.lock().trace.push(line);
    }
}

/// A request as the checks see it.
#[derive(Clone)]
struct Received {
    call: &'static str,
    context: kvrpcpb::Context,
    /// Encoded as region bounds are.
    keys: Vec<Bytes>,
    shown: String,
}

impl Received {
    fn of<'a>(call: &'static str, context: Option<&kvrpcpb::Context>, keys: impl Iterator<Item = &'a Bytes>) -> Self {
        let users: Vec<&Bytes> = keys.collect();
        let shown: Vec<String> = users.iter().map(|key| key.escape_ascii().to_string()).collect();
        let keys = users.into_iter().map(|key| if call.starts_with("Raw") { key.clone() } else { encode(key) });
        let context = context.cloned().expect("every request has a context");
        Received { call, context, keys: keys.collect(), shown: shown.join(" ") }
    }
}

trait Run<A>: FnOnce(&mut State, &metapb::Region) -> A + Clone + Send + 'static {}
impl<A, F: FnOnce(&mut State, &metapb::Region) -> A + Clone + Send + 'static> Run<A> for F {}

/// What the trace and the checks need of an answer.
trait Answer: Default + Send + 'static {
    fn region_error(error: Box<errorpb::Error>) -> Self;
    fn outcome(&self) -> String;
}

macro_rules! answer {
    ($($type:ty, $answer:ident => $outcome:expr;)*) => {
        $(impl Answer for $type {
            fn region_error(error: Box<errorpb::Error>) -> Self {
                Self { region_error: Some(error), ..Default::default() }
            }
            fn outcome(&self) -> String {
                let $answer = self;
                $outcome
            }
        })*
    };
}

answer! {
    kvrpcpb::GetResponse, answer => show(answer.error.as_deref());
    kvrpcpb::ScanResponse, answer => format!("{} pairs", answer.pairs.len());
    kvrpcpb::PrewriteResponse, answer => show(answer.errors.first());
    kvrpcpb::CommitResponse, answer => show(answer.error.as_deref());
    kvrpcpb::CheckSecondaryLocksResponse, answer => format!("{} locks", answer.locks.len());
    kvrpcpb::CheckTxnStatusResponse, answer => match (answer.lock_ttl, answer.commit_version) {
        (0, 0) => "rolled back".to_owned(),
        (0, _) => "committed".to_owned(),
        _ => "alive".to_owned(),
    };
    kvrpcpb::BatchRollbackResponse, answer => show(answer.error.as_deref());
    kvrpcpb::ResolveLockResponse, answer => show(answer.error.as_deref());
    kvrpcpb::RawGetResponse, _answer => "ok".to_owned();
    kvrpcpb::RawPutResponse, _answer => "ok".to_owned();
    kvrpcpb::RawDeleteResponse, _answer => "ok".to_owned();
    tinykvpb::RawScanResponse, answer => format!("{} pairs", answer.kvs.len());
}

fn show(error: Option<&kvrpcpb::KeyError>) -> String {
    let Some(error) = error else { return "ok".to_owned() };
    match error {
        kvrpcpb::KeyError { locked: Some(lock), .. } => format!("locked by {}", lock.primary_lock.escape_ascii()),
        kvrpcpb::KeyError { conflict: Some(_), .. } => "conflict".to_owned(),
        kvrpcpb::KeyError { abort, .. } if !abort.is_empty() => "abort".to_owned(),
        _ => "retryable".to_owned(),
    }
}

fn lock_to_wire(lock: percolator::LockInfo) -> kvrpcpb::LockInfo {
    kvrpcpb::LockInfo {
        primary_lock: lock.primary,
        lock_version: lock.start_ts.0,
        key: lock.key,
        lock_ttl: lock.ttl_ms,
        min_commit_ts: lock.min_commit_ts.0,
        use_async_commit: lock.use_async_commit,
        secondaries: lock.secondaries,
        ..Default::default()
    }
}

/// As the TinyKv service words the core's answers.
fn to_wire(error: KeyError) -> kvrpcpb::KeyError {
    let mut wire = kvrpcpb::KeyError::default();
    let text = error.to_string();
    match error {
        KeyError::Locked(lock) => {
            wire.locked = Some(lock_to_wire(lock));
        }
        KeyError::WriteConflict { start_ts, conflict_start_ts, key, primary, reason, .. } => {
            let reason = match reason {
                percolator::ConflictReason::Optimistic => kvrpcpb::write_conflict::Reason::Optimistic,
                percolator::ConflictReason::SelfRolledBack => kvrpcpb::write_conflict::Reason::SelfRolledBack,
            };
            wire.conflict = Some(kvrpcpb::WriteConflict {
                start_ts: start_ts.0,
                conflict_ts: conflict_start_ts.0,
                key,
                primary,
                reason: reason.into(),
                ..Default::default()
            });
        }
        KeyError::CommitTsExpired { start_ts, attempted_commit_ts, key, min_commit_ts } => {
            wire.commit_ts_expired = Some(kvrpcpb::CommitTsExpired {
                start_ts: start_ts.0,
                attempted_commit_ts: attempted_commit_ts.0,
                key,
                min_commit_ts: min_commit_ts.0,
            });
        }
        KeyError::RolledBack { .. } | KeyError::Committed { .. } | KeyError::BelowSafePoint { .. } => wire.abort = text,
        _ => wire.retryable = text,
    }
    wire
}

/// Applies what a command decided and words its reply.
fn settle(
    state: &mut State,
    outcome: percolator::Result<percolator::Outcome<percolator::Reply<()>>>,
) -> Option<Box<kvrpcpb::KeyError>> {
    let outcome = outcome.unwrap();
    state.apply(&outcome.batch);
    outcome.reply.err().map(|error| Box::new(to_wire(error)))
}

fn encode(key: &[u8]) -> Bytes {
    Key::encode(key).into_encoded()
}

fn keys(keys: &[Bytes]) -> Vec<Key> {
    keys.iter().map(|key| Key::encode(key)).collect()
}

fn prewrite(state: &mut State, request: &kvrpcpb::PrewriteRequest) -> kvrpcpb::PrewriteResponse {
    let mutations = request.mutations.iter().map(|mutation| percolator::Mutation {
        key: Key::encode(&mutation.key),
        op: match mutation.op() {
            kvrpcpb::Op::Put => percolator::MutationOp::Put(mutation.value.clone()),
            kvrpcpb::Op::Del => percolator::MutationOp::Delete,
            kvrpcpb::Op::Lock => percolator::MutationOp::Lock,
            _ => panic!("no client asks for that"),
        },
        assertion: percolator::Assertion::None,
    });
    let mut command = percolator::Prewrite {
        mutations: mutations.collect(),
        primary: request.primary_lock.clone(),
        start_ts: Timestamp(request.start_version),
        ttl_ms: request.lock_ttl,
        txn_size: 0,
        min_commit_ts: Timestamp(request.min_commit_ts),
        commit_by: percolator::CommitBy::TwoPhases,
        assertion_level: percolator::AssertionLevel::Off,
    };
    if command.start_ts < state.safe_point {
        let refused = command.refuse_below(&state.engine.view(), state.safe_point).unwrap();
        return prewritten(refused);
    }
    // A request takes no time here, so nobody can meet what is announced.
    let wants_to = request.try_one_pc || request.use_async_commit;
    state.asked_to_choose += usize::from(wants_to);
    if wants_to
        && state.can_choose
        && let Some((bound, _)) = state.announcements.announce(&command, Timestamp(request.max_commit_ts))
    {
        command.min_commit_ts = bound;
        command.commit_by = match request.try_one_pc {
            true => percolator::CommitBy::OnePhase,
            false => percolator::CommitBy::Async { secondaries: request.secondaries.clone() },
        };
    }
    let outcome = command.execute(&state.engine.view()).unwrap();
    state.apply(&outcome.batch);
    prewritten(outcome.reply)
}

fn prewritten(reply: percolator::PrewriteReply) -> kvrpcpb::PrewriteResponse {
    kvrpcpb::PrewriteResponse {
        errors: reply.errors.into_iter().map(to_wire).collect(),
        min_commit_ts: reply.min_commit_ts.0,
        one_pc_commit_ts: reply.commit_ts.0,
        ..Default::default()
    }
}

fn check_txn_status(state: &mut State, request: &kvrpcpb::CheckTxnStatusRequest) -> kvrpcpb::CheckTxnStatusResponse {
    let command = percolator::CheckTxnStatus {
        primary: Key::encode(&request.primary_key),
        lock_ts: Timestamp(request.lock_ts),
        caller_start_ts: Timestamp(request.caller_start_ts),
        current_ts: Timestamp(request.current_ts),
        rollback_if_not_exist: request.rollback_if_not_exist
            && (Timestamp(request.lock_ts) >= state.safe_point || request.caller_start_ts != request.lock_ts),
        verify_is_primary: false,
        force_sync_commit: request.force_sync_commit,
    };
    let outcome = command.execute(&state.engine.view()).unwrap();
    state.apply(&outcome.batch);
    let mut answer = kvrpcpb::CheckTxnStatusResponse::default();
    match outcome.reply.map(|reply| reply.status) {
        Ok(percolator::TxnStatus::Alive(lock)) => {
            answer.lock_ttl = lock.ttl_ms;
            answer.lock_info = Some(lock_to_wire(lock));
        }
        Ok(percolator::TxnStatus::Committed(commit_ts)) => answer.commit_version = commit_ts.0,
        Ok(percolator::TxnStatus::RolledBack) => {}
        Err(error) => answer.error = Some(Box::new(to_wire(error))),
    }
    answer
}

fn check_secondary_locks(
    state: &mut State,
    request: &kvrpcpb::CheckSecondaryLocksRequest,
) -> kvrpcpb::CheckSecondaryLocksResponse {
    let start_ts = Timestamp(request.start_version);
    let command = percolator::CheckSecondaryLocks { keys: keys(&request.keys), start_ts };
    let outcome = command.execute(&state.engine.view()).unwrap();
    state.apply(&outcome.batch);
    let mut answer = kvrpcpb::CheckSecondaryLocksResponse::default();
    match outcome.reply {
        percolator::SecondaryLocks::AllLocked(locks) => answer.locks = locks.into_iter().map(lock_to_wire).collect(),
        percolator::SecondaryLocks::Committed(at) => answer.commit_ts = at.0,
        percolator::SecondaryLocks::RolledBack => {}
    }
    answer
}

fn resolve_lock(
    state: &mut State,
    region: &metapb::Region,
    request: &kvrpcpb::ResolveLockRequest,
) -> kvrpcpb::ResolveLockResponse {
    let start_ts = Timestamp(request.start_version);
    let view = state.engine.view();
    let keys = if request.keys.is_empty() {
        let range = KeyRange::new(&region.start_key, &region.end_key);
        percolator::FindTxnLocks { range, start_ts, limit: 1_000 }.execute(&view).unwrap().keys
    } else {
        keys(&request.keys)
    };
    let command = percolator::ResolveLock { keys, start_ts, commit_ts: Timestamp(request.commit_version) };
    let error = settle(state, command.execute(&view));
    kvrpcpb::ResolveLockResponse { error, ..Default::default() }
}

fn scan(state: &State, region: &metapb::Region, request: &kvrpcpb::ScanRequest) -> kvrpcpb::ScanResponse {
    let start = encode(&request.start_key);
    let range = KeyRange::new(&start, &region.end_key);
    let read = ReadPoint::snapshot(Timestamp(request.version));
    state.announcements.raise(read.version);
    let limit = request.limit as usize;
    let command = percolator::Scan { range, read, limit, bytes_max: 0, key_only: false, reverse: false };
    let pairs = command.execute(&state.engine.view()).unwrap().pairs.into_iter().map(|pair| match pair.result {
        Ok(found) => kvrpcpb::KvPair { key: pair.key, value: found.value, ..Default::default() },
        Err(error) => kvrpcpb::KvPair { key: pair.key, error: Some(Box::new(to_wire(error))), ..Default::default() },
    });
    kvrpcpb::ScanResponse { pairs: pairs.collect(), ..Default::default() }
}

fn raw_scan(state: &State, region: &metapb::Region, request: &tinykvpb::RawScanRequest) -> tinykvpb::RawScanResponse {
    let view = state.engine.view();
    let mut cursor = view.cursor(Cf::Raw, KeyRange::new(&request.start_key, &region.end_key)).unwrap();
    cursor.seek_to_first().unwrap();
    let mut kvs = Vec::new();
    while let (true, Some(key), Some(value)) = (kvs.len() < request.limit as usize, cursor.key(), cursor.value()) {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        kvs.push(kvrpcpb::KvPair { key, value, ..Default::default() });
        cursor.next().unwrap();
    }
    tinykvpb::RawScanResponse { kvs, ..Default::default() }
}

/// TinyKV's prewrite as TiKV's.
fn from_tiny(request: tinykvpb::PrewriteRequest) -> kvrpcpb::PrewriteRequest {
    let tinykvpb::PrewriteRequest { context, mutations, primary_lock, start_version, lock_ttl } = request;
    let mutations = mutations.into_iter().map(|mutation| {
        let op = match mutation.op() {
            tinykvpb::Op::Put => kvrpcpb::Op::Put,
            tinykvpb::Op::Del => kvrpcpb::Op::Del,
            tinykvpb::Op::Lock => kvrpcpb::Op::Lock,
            tinykvpb::Op::Rollback => panic!("no client asks for that"),
        };
        kvrpcpb::Mutation { op: op.into(), key: mutation.key, value: mutation.value, ..Default::default() }
    });
    let mutations = mutations.collect();
    kvrpcpb::PrewriteRequest { context, mutations, primary_lock, start_version, lock_ttl, ..Default::default() }
}

macro_rules! serve {
    ($($method:ident, $call:literal: $request:ty => $response:ty,
       |$asked:ident| $keys:expr, |$state:ident, $region:ident| $run:expr;)*) => {
        impl Rpc for Cluster {
            fn kv_prewrite<'a>(
                &'a self,
                address: &'a str,
                request: tinykvpb::PrewriteRequest,
            ) -> Reply<'a, kvrpcpb::PrewriteResponse> {
                self.txn_prewrite(address, from_tiny(request))
            }

            fn kv_check_txn_status<'a>(
                &'a self,
                address: &'a str,
                request: tinykvpb::CheckTxnStatusRequest,
            ) -> Reply<'a, tinykvpb::CheckTxnStatusResponse> {
                let tinykvpb::CheckTxnStatusRequest { context, primary_key, lock_ts, current_ts } = request;
                let rollback_if_not_exist = true;
                let request = kvrpcpb::CheckTxnStatusRequest {
                    context, primary_key, lock_ts, current_ts, rollback_if_not_exist, ..Default::default()
                };
                let answer = self.txn_status(address, request);
                Box::pin(async move {
                    let kvrpcpb::CheckTxnStatusResponse { region_error, lock_ttl, commit_version, action, .. } =
                        answer.await?;
                    Ok(tinykvpb::CheckTxnStatusResponse { region_error, lock_ttl, commit_version, action })
                })
            }

            $(fn $method<'a>(&'a self, address: &'a str, $asked: $request) -> Reply<'a, $response> {
                let received = Received::of($call, $asked.context.as_ref(), $keys);
                Box::pin(async move {
                    self.receive(address, &received, move |$state: &mut State, $region: &metapb::Region| $run).await
                })
            })*

            fn region_at<'a>(
                &'a self,
                address: &'a str,
                asked: nokvpb::RegionAtRequest,
            ) -> Reply<'a, nokvpb::RegionAtResponse> {
                Box::pin(self.tell_region(address, asked))
            }
        }
    };
}

impl Cluster {
    /// What a store says of a key: all of them have a replica of every region.
    async fn tell_region(
        &self,
        to: &str,
        asked: nokvpb::RegionAtRequest,
    ) -> Result<nokvpb::RegionAtResponse, RpcError> {
        let store = (1..=9).find(|store| address(*store) == to).expect("an address of this cluster");
        if self.state.lock().down.contains(&store) {
            return Err(RpcError::Unreachable("connection refused".to_owned()));
        }
        tokio::time::sleep(LATENCY).await;
        let state = self.state.lock();
        if !state.tells_regions {
            return Err(RpcError::Unimplemented("RegionAt".to_owned()));
        }
        let found = state.regions.values().find(|known| holds(&known.region, &asked.key));
        let leader =
            |known: &RegionState| known.region.peers.iter().find(|peer| Some(peer.store_id) == known.leader).copied();
        Ok(nokvpb::RegionAtResponse {
            region: found.map(|known| known.region.clone()),
            leader: found.and_then(leader),
            leads: found.is_some_and(|known| known.leader == Some(store)),
        })
    }
}

serve! {
    kv_get, "KvGet": kvrpcpb::GetRequest => kvrpcpb::GetResponse, |asked| [&asked.key].into_iter(),
    |state, _region| {
        let read = ReadPoint::snapshot(Timestamp(asked.version));
        state.announcements.raise(read.version);
        let reply = percolator::Get { key: Key::encode(&asked.key), read }.execute(&state.engine.view()).unwrap();
        match reply {
            Ok(Some(found)) => kvrpcpb::GetResponse { value: found.value, ..Default::default() },
            Ok(None) => kvrpcpb::GetResponse { not_found: true, ..Default::default() },
            Err(error) => kvrpcpb::GetResponse { error: Some(Box::new(to_wire(error))), ..Default::default() },
        }
    };
    kv_scan, "KvScan": kvrpcpb::ScanRequest => kvrpcpb::ScanResponse, |asked| [&asked.start_key].into_iter(),
    |state, region| scan(state, region, &asked);
    txn_prewrite, "KvPrewrite": kvrpcpb::PrewriteRequest => kvrpcpb::PrewriteResponse,
    |asked| asked.mutations.iter().map(|mutation| &mutation.key),
    |state, _region| prewrite(state, &asked);
    kv_commit, "KvCommit": kvrpcpb::CommitRequest => kvrpcpb::CommitResponse, |asked| asked.keys.iter(),
    |state, _region| {
        let (start_ts, commit_ts) = (Timestamp(asked.start_version), Timestamp(asked.commit_version));
        if std::mem::take(&mut state.refuse_commit) {
            let error = kvrpcpb::KeyError { retryable: "not now".to_owned(), ..Default::default() };
            return kvrpcpb::CommitResponse { error: Some(Box::new(error)), ..Default::default() };
        }
        let command = percolator::Commit { keys: keys(&asked.keys), start_ts, commit_ts };
        let outcome = command.execute(&state.engine.view());
        kvrpcpb::CommitResponse { error: settle(state, outcome), ..Default::default() }
    };
    txn_status, "KvCheckTxnStatus": kvrpcpb::CheckTxnStatusRequest => kvrpcpb::CheckTxnStatusResponse,
    |asked| [&asked.primary_key].into_iter(),
    |state, _region| check_txn_status(state, &asked);
    check_secondary_locks, "KvCheckSecondaryLocks":
        kvrpcpb::CheckSecondaryLocksRequest => kvrpcpb::CheckSecondaryLocksResponse,
    |asked| asked.keys.iter(),
    |state, _region| check_secondary_locks(state, &asked);
    kv_batch_rollback, "KvBatchRollback": kvrpcpb::BatchRollbackRequest => kvrpcpb::BatchRollbackResponse,
    |asked| asked.keys.iter(),
    |state, _region| {
        let command = percolator::BatchRollback { keys: keys(&asked.keys), start_ts: Timestamp(asked.start_version) };
        let outcome = command.execute(&state.engine.view());
        kvrpcpb::BatchRollbackResponse { error: settle(state, outcome), ..Default::default() }
    };
    kv_resolve_lock, "KvResolveLock": kvrpcpb::ResolveLockRequest => kvrpcpb::ResolveLockResponse,
    |asked| asked.keys.iter(),
    |state, region| resolve_lock(state, region, &asked);
    raw_get, "RawGet": kvrpcpb::RawGetRequest => kvrpcpb::RawGetResponse, |asked| [&asked.key].into_iter(),
    |state, _region| {
        let value = state.engine.get(Cf::Raw, &asked.key).unwrap();
        kvrpcpb::RawGetResponse { not_found: value.is_none(), value: value.unwrap_or_default(), ..Default::default() }
    };
    raw_put, "RawPut": kvrpcpb::RawPutRequest => kvrpcpb::RawPutResponse, |asked| [&asked.key].into_iter(),
    |state, _region| {
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, &asked.key, &asked.value);
        state.apply(&batch);
        kvrpcpb::RawPutResponse::default()
    };
    raw_delete, "RawDelete": kvrpcpb::RawDeleteRequest => kvrpcpb::RawDeleteResponse, |asked| [&asked.key].into_iter(),
    |state, _region| {
        let mut batch = WriteBatch::new();
        batch.delete(Cf::Raw, &asked.key);
        state.apply(&batch);
        kvrpcpb::RawDeleteResponse::default()
    };
    raw_scan, "RawScan": tinykvpb::RawScanRequest => tinykvpb::RawScanResponse, |asked| [&asked.start_key].into_iter(),
    |state, region| raw_scan(state, region, &asked);
}
