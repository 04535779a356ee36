//! Placement's answers as its clients read them: headers, timestamps, regions, keyspaces.
//! Placement is not served yet; its messages are pinned so that serving it later moves no number.

use nokv_proto::{keyspacepb, metapb, pdpb};

use crate::bytes::{assert_wire, block, number};

fn header() -> Option<pdpb::ResponseHeader> {
    Some(pdpb::ResponseHeader { cluster_id: 1, error: None })
}

#[test]
fn timestamps() {
    let request = pdpb::TsoRequest {
        header: Some(pdpb::RequestHeader { cluster_id: 1, ..Default::default() }),
        count: 2,
        dc_location: "global".into(),
    };
    assert_wire(&request, &[block(1, number(1, 1)), number(2, 2), block(3, "global")]);
    let timestamp = Some(pdpb::Timestamp { physical: 3, logical: 4, suffix_bits: 0 });
    let answer = pdpb::TsoResponse { header: header(), count: 2, timestamp };
    let fields = [block(1, number(1, 1)), number(2, 2), block(3, [number(1, 3), number(2, 4)].concat())];
    assert_wire(&answer, &fields);
}

#[test]
fn members() {
    let member =
        pdpb::Member { name: "n".into(), member_id: 2, client_urls: vec!["http://c".into()], ..Default::default() };
    let member_fields = [block(1, "n"), number(2, 2), block(4, "http://c")].concat();
    let answer = pdpb::GetMembersResponse {
        header: header(),
        members: vec![member.clone()],
        leader: Some(member),
        ..Default::default()
    };
    assert_wire(&answer, &[block(1, number(1, 1)), block(2, &member_fields), block(3, &member_fields)]);
}

#[test]
fn a_region_and_its_leader() {
    let request = pdpb::GetRegionRequest { header: None, region_key: "k".into(), need_buckets: true };
    assert_wire(&request, &[block(2, "k"), number(3, 1)]);
    let answer = pdpb::GetRegionResponse {
        header: header(),
        region: Some(metapb::Region { id: 1, ..Default::default() }),
        leader: Some(metapb::Peer { id: 2, ..Default::default() }),
        pending_peers: vec![metapb::Peer { id: 3, ..Default::default() }],
        ..Default::default()
    };
    let fields = [block(1, number(1, 1)), block(2, number(1, 1)), block(3, number(1, 2)), block(6, number(1, 3))];
    assert_wire(&answer, &fields);
}

#[test]
fn a_scan_of_regions_answers_old_and_new_clients_at_once() {
    let region = metapb::Region { id: 1, ..Default::default() };
    let leader = metapb::Peer { id: 2, ..Default::default() };
    let answer = pdpb::ScanRegionsResponse {
        header: header(),
        region_metas: vec![region.clone()],
        leaders: vec![leader],
        regions: vec![pdpb::Region { region: Some(region), leader: Some(leader), ..Default::default() }],
    };
    let both = [block(1, number(1, 1)), block(2, number(1, 2))].concat();
    assert_wire(&answer, &[block(1, number(1, 1)), block(2, number(1, 1)), block(3, number(1, 2)), block(4, both)]);
}

#[test]
fn lookups_by_stream() {
    let request = pdpb::QueryRegionRequest {
        ids: vec![1],
        keys: vec!["k".into()],
        prev_keys: vec!["p".into()],
        ..Default::default()
    };
    assert_wire(&request, &[block(3, [1]), block(4, "k"), block(5, "p")]);
    let found =
        pdpb::RegionResponse { leader: Some(metapb::Peer { id: 2, ..Default::default() }), ..Default::default() };
    let answer = pdpb::QueryRegionResponse {
        header: header(),
        key_id_map: vec![7, 0],
        prev_key_id_map: vec![7],
        regions_by_id: [(7, found)].into(),
    };
    let entry = [number(1, 7), block(2, block(2, number(1, 2)))].concat();
    assert_wire(&answer, &[block(1, number(1, 1)), block(2, [7, 0]), block(3, [7]), block(4, entry)]);
}

#[test]
fn heartbeats_and_orders() {
    let heartbeat = pdpb::RegionHeartbeatRequest {
        region: Some(metapb::Region { id: 1, ..Default::default() }),
        leader: Some(metapb::Peer { id: 2, ..Default::default() }),
        pending_peers: vec![metapb::Peer { id: 3, ..Default::default() }],
        approximate_size: 4,
        term: 5,
        ..Default::default()
    };
    let fields = [block(2, number(1, 1)), block(3, number(1, 2)), block(5, number(1, 3)), number(10, 4), number(14, 5)];
    assert_wire(&heartbeat, &fields);
    let order = pdpb::RegionHeartbeatResponse {
        header: header(),
        change_peer: Some(pdpb::ChangePeer { peer: None, change_type: 1 }),
        region_id: 4,
        target_peer: Some(metapb::Peer { id: 6, ..Default::default() }),
        ..Default::default()
    };
    assert_wire(&order, &[block(1, number(1, 1)), block(2, number(2, 1)), number(4, 4), block(6, number(1, 6))]);
}

#[test]
fn keyspace_zero_is_written_out() {
    let keyspace = keyspacepb::KeyspaceMeta { id: Some(0), name: "DEFAULT".into(), ..Default::default() };
    let answer = keyspacepb::LoadKeyspaceResponse { header: header(), keyspace: Some(keyspace) };
    assert_wire(&answer, &[block(1, number(1, 1)), block(2, [number(1, 0), block(2, "DEFAULT")].concat())]);
}
