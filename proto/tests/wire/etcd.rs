//! The part of etcd's protocol that is spoken here.
//! The bytes are what etcd's own clients write and read; a changed field number shows here.

use nokv_proto::{etcdserverpb, mvccpb};

use crate::bytes::{assert_wire, block, number};

#[test]
fn put_and_range() {
    let put = etcdserverpb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    assert_wire(&put, &[block(1, "k"), block(2, "v")]);
    let range = etcdserverpb::RangeRequest {
        key: "k".into(),
        range_end: "l".into(),
        limit: 3,
        serializable: true,
        ..Default::default()
    };
    assert_wire(&range, &[block(1, "k"), block(2, "l"), number(3, 3), number(7, 1)]);
    let found = mvccpb::KeyValue {
        key: "k".into(),
        create_revision: 2,
        mod_revision: 3,
        version: 4,
        value: "v".into(),
        lease: 0,
    };
    let answer = etcdserverpb::RangeResponse { header: None, kvs: vec![found], more: true, count: 5 };
    let pair = [block(1, "k"), number(2, 2), number(3, 3), number(4, 4), block(5, "v")].concat();
    assert_wire(&answer, &[block(2, pair), number(3, 1), number(4, 5)]);
}

#[test]
fn members() {
    let header = etcdserverpb::ResponseHeader { cluster_id: 1, member_id: 2, revision: 3, raft_term: 4 };
    let member = etcdserverpb::Member {
        id: 5,
        name: "n".into(),
        peer_urls: vec!["p".into()],
        client_urls: vec!["c".into()],
        is_learner: false,
    };
    let answer = etcdserverpb::MemberListResponse { header: Some(header), members: vec![member] };
    let fields = [
        block(1, [number(1, 1), number(2, 2), number(3, 3), number(4, 4)].concat()),
        block(2, [number(1, 5), block(2, "n"), block(3, "p"), block(4, "c")].concat()),
    ];
    assert_wire(&answer, &fields);
}

#[test]
fn a_transaction_compares_and_then_writes() {
    use etcdserverpb::{Compare, RequestOp, TxnRequest, compare, request_op};
    let put = etcdserverpb::PutRequest { key: "k".into(), ..Default::default() };
    let txn = TxnRequest {
        compare: vec![Compare {
            result: compare::CompareResult::NotEqual as i32,
            target: compare::CompareTarget::Mod as i32,
            key: "k".into(),
            target_union: Some(compare::TargetUnion::ModRevision(0)),
            ..Default::default()
        }],
        success: vec![RequestOp { request: Some(request_op::Request::RequestPut(put)) }],
        failure: vec![],
    };
    let comparison = [number(1, 3), number(2, 2), block(3, "k"), number(6, 0)].concat();
    assert_wire(&txn, &[block(1, comparison), block(2, block(2, block(1, "k")))]);
}
