//! The calls that every client makes: their requests, answers, and both kinds of error.
//! Each message is compared with bytes in full, so that no number can move unseen.

use nokv_proto::kvrpcpb::{self, Action, Assertion, Op};
use nokv_proto::{errorpb, metapb};

use crate::bytes::{assert_wire, block, number};

#[test]
fn a_context_says_where_the_client_believes_the_data_is() {
    let context = kvrpcpb::Context {
        region_id: 1,
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 2, version: 3 }),
        peer: Some(metapb::Peer { id: 4, store_id: 5, role: metapb::PeerRole::Learner as i32, is_witness: false }),
        term: 6,
        replica_read: true,
        resolved_locks: vec![7, 300],
        stale_read: true,
        api_version: kvrpcpb::ApiVersion::V2 as i32,
        request_source: "test".into(),
        keyspace_id: 9,
        cluster_id: 10,
        ..Default::default()
    };
    let fields = [
        number(1, 1),
        block(2, [number(1, 2), number(2, 3)].concat()),
        block(3, [number(1, 4), number(2, 5), number(3, 1)].concat()),
        number(5, 6),
        number(12, 1),
        block(13, [7, 0xac, 0x02]),
        number(17, 1),
        number(21, 2),
        block(24, "test"),
        number(32, 9),
        number(35, 10),
    ];
    assert_wire(&context, &fields);
}

#[test]
fn a_get_tells_an_empty_value_from_none() {
    let request = kvrpcpb::GetRequest { key: "k".into(), version: 7, ..Default::default() };
    assert_wire(&request, &[block(2, "k"), number(3, 7)]);
    assert_wire(
        &kvrpcpb::GetResponse { value: "v".into(), commit_ts: 3, ..Default::default() },
        &[block(3, "v"), number(7, 3)],
    );
    assert_wire(&kvrpcpb::GetResponse::default(), &[]);
    assert_wire(&kvrpcpb::GetResponse { not_found: true, ..Default::default() }, &[number(4, 1)]);
}

#[test]
fn a_scan_asks_for_pairs_that_may_each_be_an_error() {
    let request = kvrpcpb::ScanRequest {
        start_key: "a".into(),
        limit: 2,
        version: 3,
        key_only: true,
        reverse: true,
        end_key: "b".into(),
        ..Default::default()
    };
    let fields = [block(2, "a"), number(3, 2), number(4, 3), number(5, 1), number(6, 1), block(7, "b")];
    assert_wire(&request, &fields);

    let locked = kvrpcpb::LockInfo {
        primary_lock: "p".into(),
        lock_version: 1,
        key: "k".into(),
        lock_ttl: 3000,
        min_commit_ts: 2,
        ..Default::default()
    };
    let lock_fields = [block(1, "p"), number(2, 1), block(3, "k"), number(4, 3000), number(9, 2)].concat();
    let error = kvrpcpb::KeyError { locked: Some(locked), ..Default::default() };
    let response = kvrpcpb::ScanResponse {
        pairs: vec![
            kvrpcpb::KvPair { key: "j".into(), value: "v".into(), ..Default::default() },
            kvrpcpb::KvPair { error: Some(Box::new(error)), key: "k".into(), ..Default::default() },
        ],
        ..Default::default()
    };
    let first = block(2, [block(2, "j"), block(3, "v")].concat());
    let second = block(2, [block(1, block(1, lock_fields)), block(2, "k")].concat());
    assert_wire(&response, &[first, second]);
}

#[test]
fn a_prewrite_carries_all_that_fast_commits_need() {
    let request = kvrpcpb::PrewriteRequest {
        mutations: vec![kvrpcpb::Mutation {
            op: Op::Insert as i32,
            key: "k".into(),
            value: "v".into(),
            assertion: Assertion::NotExist as i32,
        }],
        primary_lock: "p".into(),
        start_version: 1,
        lock_ttl: 2,
        txn_size: 3,
        for_update_ts: 4,
        min_commit_ts: 5,
        use_async_commit: true,
        secondaries: vec!["s".into(), "t".into()],
        try_one_pc: true,
        max_commit_ts: 6,
        ..Default::default()
    };
    let fields = [
        block(2, [number(1, 4), block(2, "k"), block(3, "v"), number(4, 2)].concat()),
        block(3, "p"),
        number(4, 1),
        number(5, 2),
        number(8, 3),
        number(9, 4),
        number(10, 5),
        number(11, 1),
        block(12, "s"),
        block(12, "t"),
        number(13, 1),
        number(14, 6),
    ];
    assert_wire(&request, &fields);
    let response = kvrpcpb::PrewriteResponse { min_commit_ts: 7, one_pc_commit_ts: 8, ..Default::default() };
    assert_wire(&response, &[number(3, 7), number(4, 8)]);
}

#[test]
fn the_second_phase_and_the_care_of_locks() {
    let keys = vec!["k".into()];
    let commit = kvrpcpb::CommitRequest { start_version: 1, keys, commit_version: 2, ..Default::default() };
    assert_wire(&commit, &[number(2, 1), block(3, "k"), number(4, 2)]);
    let rollback = kvrpcpb::BatchRollbackRequest { start_version: 1, keys: vec!["k".into()], ..Default::default() };
    assert_wire(&rollback, &[number(2, 1), block(3, "k")]);
    let resolve = kvrpcpb::ResolveLockRequest {
        start_version: 1,
        commit_version: 2,
        txn_infos: vec![kvrpcpb::TxnInfo { txn: 3, status: 4, ..Default::default() }],
        keys: vec!["k".into()],
        ..Default::default()
    };
    let fields = [number(2, 1), number(3, 2), block(4, [number(1, 3), number(2, 4)].concat()), block(5, "k")];
    assert_wire(&resolve, &fields);
    let heart_beat = kvrpcpb::TxnHeartBeatRequest {
        primary_lock: "p".into(),
        start_version: 1,
        advise_lock_ttl: 2,
        ..Default::default()
    };
    assert_wire(&heart_beat, &[block(2, "p"), number(3, 1), number(4, 2)]);
    let scan = kvrpcpb::ScanLockRequest {
        max_version: 1,
        start_key: "a".into(),
        limit: 2,
        end_key: "b".into(),
        ..Default::default()
    };
    assert_wire(&scan, &[number(2, 1), block(3, "a"), number(4, 2), block(5, "b")]);
}

#[test]
fn key_errors_have_their_members_where_clients_look() {
    let conflict = kvrpcpb::WriteConflict {
        start_ts: 1,
        conflict_ts: 2,
        key: "k".into(),
        primary: "p".into(),
        conflict_commit_ts: 3,
        reason: kvrpcpb::write_conflict::Reason::SelfRolledBack as i32,
    };
    let error = kvrpcpb::KeyError {
        retryable: "r".into(),
        abort: "a".into(),
        conflict: Some(conflict),
        already_exist: Some(kvrpcpb::AlreadyExist { key: "k".into() }),
        deadlock: Some(kvrpcpb::Deadlock { lock_ts: 1, ..Default::default() }),
        commit_ts_expired: Some(kvrpcpb::CommitTsExpired { min_commit_ts: 9, ..Default::default() }),
        txn_not_found: Some(kvrpcpb::TxnNotFound { start_ts: 1, primary_key: "p".into() }),
        commit_ts_too_large: Some(kvrpcpb::CommitTsTooLarge { commit_ts: 1 }),
        assertion_failed: Some(kvrpcpb::AssertionFailed { existing_commit_ts: 1, ..Default::default() }),
        primary_mismatch: Some(kvrpcpb::PrimaryMismatch::default()),
        txn_lock_not_found: Some(kvrpcpb::TxnLockNotFound { key: "k".into() }),
        ..Default::default()
    };
    let conflict_fields =
        [number(1, 1), number(2, 2), block(3, "k"), block(4, "p"), number(5, 3), number(6, 3)].concat();
    let fields = [
        block(2, "r"),
        block(3, "a"),
        block(4, conflict_fields),
        block(5, block(1, "k")),
        block(6, number(1, 1)),
        block(7, number(4, 9)),
        block(8, [number(1, 1), block(2, "p")].concat()),
        block(9, number(1, 1)),
        block(10, number(5, 1)),
        block(11, ""),
        block(12, block(1, "k")),
    ];
    assert_wire(&error, &fields);
}

#[test]
fn region_errors_have_their_members_where_clients_look() {
    let leader = metapb::Peer { id: 2, store_id: 3, ..Default::default() };
    let region = metapb::Region {
        id: 1,
        start_key: "a".into(),
        end_key: "b".into(),
        region_epoch: Some(metapb::RegionEpoch { conf_ver: 1, version: 1 }),
        peers: vec![leader],
        ..Default::default()
    };
    let epoch = [number(1, 1), number(2, 1)].concat();
    let peer = [number(1, 2), number(2, 3)].concat();
    let region_fields = [number(1, 1), block(2, "a"), block(3, "b"), block(4, epoch), block(5, peer.clone())].concat();
    let busy = errorpb::ServerIsBusy { reason: "full".into(), backoff_ms: 5, ..Default::default() };
    let error = errorpb::Error {
        message: "m".into(),
        not_leader: Some(errorpb::NotLeader { region_id: 1, leader: Some(leader) }),
        region_not_found: Some(errorpb::RegionNotFound { region_id: 1 }),
        key_not_in_region: Some(errorpb::KeyNotInRegion {
            key: "z".into(),
            region_id: 1,
            start_key: "a".into(),
            end_key: "b".into(),
        }),
        epoch_not_match: Some(errorpb::EpochNotMatch { current_regions: vec![region] }),
        server_is_busy: Some(busy),
        stale_command: Some(errorpb::StaleCommand {}),
        store_not_match: Some(errorpb::StoreNotMatch { request_store_id: 1, actual_store_id: 2 }),
        raft_entry_too_large: Some(errorpb::RaftEntryTooLarge { region_id: 1, entry_size: 2 }),
        undetermined_result: Some(errorpb::UndeterminedResult { message: "u".into() }),
        ..Default::default()
    };
    let fields = [
        block(1, "m"),
        block(2, [number(1, 1), block(2, peer)].concat()),
        block(3, number(1, 1)),
        block(4, [block(1, "z"), number(2, 1), block(3, "a"), block(4, "b")].concat()),
        block(5, block(1, region_fields)),
        block(6, [block(1, "full"), number(2, 5)].concat()),
        block(7, ""),
        block(8, [number(1, 1), number(2, 2)].concat()),
        block(9, [number(1, 1), number(2, 2)].concat()),
        block(22, block(1, "u")),
    ];
    assert_wire(&error, &fields);
}

#[test]
fn enums_keep_their_values() {
    let ops = [Op::Put, Op::Del, Op::Lock, Op::Rollback, Op::Insert, Op::PessimisticLock, Op::CheckNotExists];
    assert_eq!(ops.map(|op| op as i32), [0, 1, 2, 3, 4, 5, 6]);
    let actions = [
        Action::NoAction,
        Action::TtlExpireRollback,
        Action::LockNotExistRollback,
        Action::MinCommitTsPushed,
        Action::TtlExpirePessimisticRollback,
        Action::LockNotExistDoNothing,
    ];
    assert_eq!(actions.map(|action| action as i32), [0, 1, 2, 3, 4, 5]);
    assert_eq!([Assertion::None, Assertion::Exist, Assertion::NotExist].map(|it| it as i32), [0, 1, 2]);
}
