//! Where TinyKV's wire and kvproto's disagree: each test shows TinyKV's bytes, and what kvproto's type would have
//! made of them, which is why TinyKV has a message of its own here.

use nokv_proto::{kvrpcpb, tinykvpb};
use prost::Message;

use crate::bytes::{assert_wire, block, number};

#[test]
fn two_operations_are_swapped() {
    use tinykvpb::Op;
    assert_eq!([Op::Put, Op::Del, Op::Rollback, Op::Lock].map(|op| op as i32), [0, 1, 2, 3]);
    assert_eq!([kvrpcpb::Op::Rollback, kvrpcpb::Op::Lock].map(|op| op as i32), [3, 2]);

    let request = tinykvpb::PrewriteRequest {
        mutations: vec![tinykvpb::Mutation { op: Op::Lock as i32, key: "k".into(), ..Default::default() }],
        primary_lock: "k".into(),
        start_version: 5,
        lock_ttl: 6,
        ..Default::default()
    };
    let fields = [block(2, [number(1, 3), block(2, "k")].concat()), block(3, "k"), number(4, 5), number(5, 6)];
    assert_wire(&request, &fields);

    let misread = kvrpcpb::PrewriteRequest::decode(fields.concat().as_slice()).expect("the same shape");
    assert_eq!(misread.mutations[0].op(), kvrpcpb::Op::Rollback);
    assert_eq!((misread.start_version, misread.lock_ttl), (5, 6));
}

#[test]
fn a_status_check_has_its_current_time_one_field_earlier() {
    let request = tinykvpb::CheckTxnStatusRequest {
        context: Some(kvrpcpb::Context { region_id: 1, ..Default::default() }),
        primary_key: "p".into(),
        lock_ts: 3,
        current_ts: 4,
    };
    let fields = [block(1, number(1, 1)), block(2, "p"), number(3, 3), number(4, 4)];
    assert_wire(&request, &fields);

    let misread = kvrpcpb::CheckTxnStatusRequest::decode(fields.concat().as_slice()).expect("the same shape");
    assert_eq!((misread.caller_start_ts, misread.current_ts), (4, 0));
    let kvproto = kvrpcpb::CheckTxnStatusRequest { caller_start_ts: 4, current_ts: 5, ..Default::default() };
    assert_wire(&kvproto, &[number(4, 4), number(5, 5)]);
}

#[test]
fn a_status_answer_has_no_error_and_its_fields_one_earlier() {
    let answer = tinykvpb::CheckTxnStatusResponse {
        region_error: None,
        lock_ttl: 2,
        commit_version: 3,
        action: kvrpcpb::Action::LockNotExistRollback as i32,
    };
    let fields = [number(2, 2), number(3, 3), number(4, 2)];
    assert_wire(&answer, &fields);

    // Field 2 is a message in kvproto's: a client of TiKV could not even read it.
    assert!(kvrpcpb::CheckTxnStatusResponse::decode(fields.concat().as_slice()).is_err());
    let kvproto = kvrpcpb::CheckTxnStatusResponse {
        error: Some(Box::new(kvrpcpb::KeyError { abort: "a".into(), ..Default::default() })),
        lock_ttl: 2,
        commit_version: 3,
        action: kvrpcpb::Action::TtlExpireRollback as i32,
        lock_info: Some(kvrpcpb::LockInfo { lock_version: 9, ..Default::default() }),
        ..Default::default()
    };
    let fields = [block(2, block(3, "a")), number(3, 2), number(4, 3), number(5, 1), block(6, number(2, 9))];
    assert_wire(&kvproto, &fields);
}

#[test]
fn a_raw_scan_has_its_column_family_one_field_earlier() {
    let request = tinykvpb::RawScanRequest { context: None, start_key: "a".into(), limit: 2, cf: "default".into() };
    let fields = [block(2, "a"), number(3, 2), block(4, "default")];
    assert_wire(&request, &fields);

    // Field 4 is a bool in kvproto's.
    assert!(kvrpcpb::RawScanRequest::decode(fields.concat().as_slice()).is_err());
    let kvproto = kvrpcpb::RawScanRequest { key_only: true, cf: "default".into(), ..Default::default() };
    assert_wire(&kvproto, &[number(4, 1), block(5, "default")]);
}

#[test]
fn a_raw_scans_answer_has_an_error_before_its_pairs() {
    let pair = kvrpcpb::KvPair { key: "k".into(), value: "v".into(), ..Default::default() };
    let pair_fields = [block(2, "k"), block(3, "v")].concat();
    let answer = tinykvpb::RawScanResponse { region_error: None, error: "e".into(), kvs: vec![pair.clone()] };
    assert_wire(&answer, &[block(2, "e"), block(3, &pair_fields)]);
    let kvproto = kvrpcpb::RawScanResponse { region_error: None, kvs: vec![pair] };
    assert_wire(&kvproto, &[block(2, &pair_fields)]);
}

#[test]
fn the_other_raw_calls_agree() {
    let put = kvrpcpb::RawPutRequest { key: "k".into(), value: "v".into(), cf: "c".into(), ..Default::default() };
    assert_wire(&put, &[block(2, "k"), block(3, "v"), block(4, "c")]);
    let get = kvrpcpb::RawGetRequest { key: "k".into(), cf: "c".into(), ..Default::default() };
    assert_wire(&get, &[block(2, "k"), block(3, "c")]);
    let found = kvrpcpb::RawGetResponse { error: "e".into(), value: "v".into(), not_found: true, ..Default::default() };
    assert_wire(&found, &[block(2, "e"), block(3, "v"), number(4, 1)]);
    let delete = kvrpcpb::RawDeleteRequest { key: "k".into(), cf: "c".into(), ..Default::default() };
    assert_wire(&delete, &[block(2, "k"), block(3, "c")]);
}
