//! Topology files that are right, and one for each way of being wrong.
//!
//! Every wrong file is the right one with one thing changed, so that a test names exactly what it changes.

use std::fmt::Write as _;

use nokv_transport::{PeerId, RegionId, StoreId};

use super::*;

const RIGHT: &str = include_str!("../../../raft_config.example.json");

/// The findings of `text`, one a line, without the file's name.
fn findings(text: &str) -> String {
    match Topology::parse("f.json", text) {
        Ok(_) => String::new(),
        Err(ConfigError::Invalid { findings, .. }) => findings.iter().fold(String::new(), |mut out, finding| {
            writeln!(out, "{finding}").unwrap();
            out
        }),
        Err(other) => panic!("{other}"),
    }
}

/// The right file with one text replaced, which must be there.
fn changed(from: &str, to: &str) -> String {
    assert!(RIGHT.contains(from), "{from}");
    RIGHT.replacen(from, to, 1)
}

#[track_caller]
fn expect(text: &str, expected: &[&str]) {
    let found = findings(text);
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected, "in\n{text}");
}

#[test]
fn the_example_is_right() {
    let topology = Topology::parse("f.json", RIGHT).unwrap();
    assert_eq!(topology.max_retries, 5);
    assert_eq!(topology.tso.as_ref().unwrap().advertise_url, "http://127.0.0.1:20159");
    assert_eq!(topology.stores.len(), 3);
    let store = topology.store(StoreId(2)).unwrap();
    assert_eq!(store.advertised(AddressScope::Host), "127.0.0.1:20171");
    assert_eq!(store.advertised(AddressScope::Docker), "nokv-store-2:20160");
    assert_eq!(store.listen(AddressScope::Docker), "0.0.0.0:20160");
    let on_third: Vec<_> = topology.regions_on(StoreId(3)).map(|(region, peer)| (region.id, peer.peer_id)).collect();
    assert_eq!(on_third, [(RegionId(1), PeerId(301)), (RegionId(2), PeerId(302))]);
    assert_eq!(topology.regions[1].leader_peer().unwrap().id, 202);
}

#[test]
fn regions_become_metadata_with_encoded_bounds() {
    let topology = Topology::parse("f.json", RIGHT).unwrap();
    let first = topology.regions[0].to_metapb();
    assert!(first.start_key.is_empty(), "no bound stays empty");
    assert_eq!(first.end_key, &b"m\0\0\0\0\0\0\0\xf8"[..]);
    assert_eq!(first.end_key, topology.regions[1].to_metapb().start_key);
    let epoch = first.region_epoch.unwrap();
    assert_eq!((epoch.version, epoch.conf_ver), (1, 1));
    let peers: Vec<_> = first.peers.iter().map(|peer| (peer.id, peer.store_id, peer.role)).collect();
    assert_eq!(peers, [(101, 1, 0), (201, 2, 0), (301, 3, 0)]);
}

/// Counting lines anew for each of so many places takes minutes.
#[test]
fn a_file_of_very_many_regions_is_read_in_one_go() {
    const REGIONS: usize = 20_000;
    let bound = |at: usize| if at == 0 || at == REGIONS { "-".to_owned() } else { format!("key-{at:06}") };
    let region = |at: usize| {
        let (id, start, end) = (at + 1, bound(at), bound(at + 1));
        format!(
            "{{\n\"id\": {id},\n\"start_key\": \"{start}\",\n\"end_key\": \"{end}\",\n\"peers\": \
             [{{\n\"store_id\": 1,\n\"peer_id\": {id}\n}}]\n}}"
        )
    };
    let regions: Vec<String> = (0..REGIONS).map(region).collect();
    let text = format!(
        "{{\n\"stores\": [{{\"store_id\": 1, \"addr\": \"a:1\"}}],\n\"regions\": [\n{}\n]}}",
        regions.join(",\n")
    );
    let topology = Topology::parse("f.json", &text).unwrap();
    assert_eq!(topology.regions.len(), REGIONS);
    let wrong = text.replacen("\"peer_id\": 20000", "\"peer_id\": 0", 1);
    let line = text.lines().count() - 3;
    assert!(findings(&wrong).starts_with(&format!("{line}: ")), "{}", findings(&wrong));
}

#[test]
fn what_may_be_left_out() {
    let text = r#"{"stores":[{"store_id":1,"addr":"h:1"}],"regions":[{"id":1,"peers":[{"store_id":1,"peer_id":1}]}],
                   "tso":{"listen_addr":"h:0"}}"#;
    let topology = Topology::parse("f.json", text).unwrap();
    assert_eq!(topology.max_retries, 5);
    assert_eq!(topology.stores[0].listen(AddressScope::Docker), "h:1");
    let region = &topology.regions[0];
    assert!(region.start_key.is_unbounded() && region.end_key.is_unbounded());
    assert_eq!(region.epoch, EpochConfig { version: 1, conf_version: 1 });
    assert_eq!((region.leader_store_id, region.leader_peer()), (None, None));
    assert_eq!(topology.tso.unwrap().advertise_url, "http://h:0");
}

#[test]
fn no_json_at_all() {
    let found = findings("{\n \"stores\": [,]\n}");
    assert!(found.starts_with("2: this is no JSON:"), "{found}");
    expect("[]", &["1: an object {…} belongs here, not []"]);
    let found = findings("{} {}");
    assert!(found.contains("trailing characters"), "{found}");
    let nested = "[".repeat(100_000);
    assert!(findings(&nested).contains("this is no JSON"));
}

#[test]
fn unknown_fields_everywhere_at_once() {
    let text = changed("\"max_retries\": 5", "\"max_retry\": 5");
    let text = text.replacen("\"store_id\": 2,", "\"store_id\": 2, \"port\": {\"a\": 1},", 1);
    let text = text.replacen("\"conf_version\": 1 }", "\"conf_ver\": 1 }", 1);
    expect(
        &text,
        &[
            "2: max_retry: unknown field \"max_retry\"; known here: max_retries, tso, stores, regions",
            "16: stores[1].port: unknown field \"port\"; known here: store_id, addr, listen_addr, docker_addr, \
             docker_listen_addr",
            "35: regions[0].epoch.conf_ver: unknown field \"conf_ver\"; known here: version, conf_version",
        ],
    );
}

#[test]
fn missing_twice_and_wrong_types() {
    expect("{}", &["1: the field \"stores\" is missing", "1: the field \"regions\" is missing"]);
    expect(&changed("\"id\": 1,", ""), &["31: regions[0]: the field \"id\" is missing"]);
    expect(&changed("\"id\": 1,", "\"id\": 1, \"id\": 7,"), &["32: regions[0].id: this field is given twice"]);
    expect(
        &changed("\"id\": 1,", "\"id\": \"1\","),
        &["32: regions[0].id: a whole number from 1 to 18446744073709551615 belongs here, not \"1\""],
    );
    expect(
        &changed("\"version\": 1", "\"version\": 0"),
        &["35: regions[0].epoch.version: a whole number from 1 to 18446744073709551615 belongs here, not 0"],
    );
    expect(
        &changed("\"max_retries\": 5", "\"max_retries\": 4294967296"),
        &["2: max_retries: a whole number from 1 to 4294967295 belongs here, not 4294967296"],
    );
    expect(
        &changed("\"end_key\": \"m\"", "\"end_key\": 5"),
        &["34: regions[0].end_key: a text in quotes belongs here, not 5"],
    );
    expect(
        &changed("\"end_key\": \"m\"", "\"end_key\": \"hex:6\""),
        &["34: regions[0].end_key: \"hex:6\" has an odd number of hexadecimal digits; every byte takes two"],
    );
}

#[test]
fn addresses() {
    expect(
        &changed("\"addr\": \"127.0.0.1:20171\"", "\"addr\": \"127.0.0.1\""),
        &["17: stores[1].addr: \"127.0.0.1\" is no address of the form HOST:PORT"],
    );
    expect(
        &changed("\"addr\": \"127.0.0.1:20171\"", "\"addr\": \"[::1]:0\""),
        &["17: stores[1].addr: \"[::1]:0\" has port 0, to which nobody can connect"],
    );
    expect(
        &changed("\"addr\": \"127.0.0.1:20171\"", "\"addr\": \"127.0.0.1:20170\""),
        &["15: stores[1].addr: 127.0.0.1:20170 is also stores[0].addr"],
    );
    expect(
        &changed("\"listen_addr\": \"127.0.0.1:20172\"", "\"listen_addr\": \"127.0.0.1:20171\""),
        &["22: stores[2].listen_addr: 127.0.0.1:20171 is also stores[1].addr"],
    );
    expect(
        &changed("nokv-store-3", "nokv-store-1"),
        &["22: stores[2].docker_addr: nokv-store-1:20160 is also stores[0].docker_addr"],
    );
    expect(
        &changed("\"listen_addr\": \"127.0.0.1:20159\"", "\"listen_addr\": \"127.0.0.1:20170\""),
        &["3: tso.listen_addr: 127.0.0.1:20170 is also stores[0].addr"],
    );
    expect(
        &changed("http://127.0.0.1:20159", "127.0.0.1:20159"),
        &["5: tso.advertise_url: \"127.0.0.1:20159\" is no URL of the form http://HOST:PORT"],
    );
    let everywhere = RIGHT.replace("\"listen_addr\": \"127.0.0.1:", "\"listen_addr\": \"0.0.0.0:");
    expect(&everywhere.replace("0.0.0.0:20171", "0.0.0.0:20170"), &[]);
}

#[test]
fn ids() {
    expect(
        &changed("\"store_id\": 2,\n", "\"store_id\": 1,\n"),
        &[
            "15: stores[1].store_id: store id 1 is taken by the store on line 8",
            "38: regions[0].peers[1].store_id: there is no store 2",
            "50: regions[1].peers[1].store_id: there is no store 2",
        ],
    );
    expect(&changed("\"id\": 2", "\"id\": 1"), &["43: regions[1].id: region id 1 is taken by the region on line 31"]);
    expect(
        &changed("\"peer_id\": 202", "\"peer_id\": 101"),
        &["50: regions[1].peers[1].peer_id: peer id 101 is taken by the peer on line 37; peer ids are unique in the \
           whole cluster"],
    );
    expect(
        &changed("\"store_id\": 2, \"peer_id\": 201", "\"store_id\": 1, \"peer_id\": 201"),
        &["38: regions[0].peers[1].store_id: the region has another peer on store 1"],
    );
    expect(
        &changed("\"store_id\": 3, \"peer_id\": 301", "\"store_id\": 4, \"peer_id\": 301"),
        &["39: regions[0].peers[2].store_id: there is no store 4"],
    );
    expect(&changed("\"leader_store_id\": 2", "\"leader_store_id\": 0"), &[]);
    expect(
        &changed("\"leader_store_id\": 2", "\"leader_store_id\": 9"),
        &["43: regions[1].leader_store_id: store 9 holds no peer of this region, so it cannot lead it"],
    );
}

/// A topology of one store whose regions have these bounds, one region a line, from line 3.
fn tiled(bounds: &[(&str, &str)]) -> String {
    let regions = bounds.iter().enumerate().map(|(n, (start, end))| {
        let id = n + 1;
        let peers = format!("[{{\"store_id\":1,\"peer_id\":{id}}}]");
        format!("\n{{\"id\":{id},\"start_key\":\"{start}\",\"end_key\":\"{end}\",\"peers\":{peers}}}")
    });
    let regions: Vec<String> = regions.collect();
    format!("{{\"stores\":[{{\"store_id\":1,\"addr\":\"h:1\"}}],\n\"regions\":[{}]}}", regions.join(","))
}

#[test]
fn regions_that_tile() {
    expect(&tiled(&[("", "")]), &[]);
    expect(&tiled(&[("m", "-"), ("-", "c"), ("c", "hex:6d")]), &[]);
}

#[test]
fn gaps() {
    expect(&tiled(&[]), &["1: regions: no region holds any key; a single region needs neither bound"]);
    expect(
        &tiled(&[("b", "d"), ("f", "x")]),
        &[
            "3: regions[0].start_key: a gap before this region: no region holds - up to b",
            "4: regions[1].start_key: a gap before this region: no region holds d up to f",
            "4: regions: a gap at the end: no region holds x and above",
        ],
    );
}

#[test]
fn overlaps() {
    expect(
        &tiled(&[("", "m"), ("f", "p"), ("p", "")]),
        &["4: regions[1].start_key: overlaps region 1: both hold f up to m"],
    );
    expect(
        &tiled(&[("", ""), ("f", "g"), ("h", "")]),
        &[
            "4: regions[1].start_key: overlaps region 1: both hold f up to g",
            "5: regions[2].start_key: overlaps region 1: both hold h up to -",
        ],
    );
    // The one that reaches furthest counts, not the one before.
    expect(
        &tiled(&[("", "m"), ("a", "b"), ("c", "d"), ("m", "")]),
        &[
            "4: regions[1].start_key: overlaps region 1: both hold a up to b",
            "5: regions[2].start_key: overlaps region 1: both hold c up to d",
        ],
    );
}

#[test]
fn empty_regions() {
    expect(
        &tiled(&[("", "m"), ("m", "m"), ("m", "")]),
        &["4: regions[1].end_key: the region is empty: it starts at m and ends before m"],
    );
    expect(
        &tiled(&[("", "m"), ("z", "n"), ("m", "")]),
        &["4: regions[1].end_key: the region is empty: it starts at z and ends before n"],
    );
}

#[test]
fn one_unreadable_value_is_one_finding() {
    // Not also a gap, an unknown store, a missing leader.
    expect(
        &tiled(&[("", "hex:z"), ("m", "")]).replace("hex:z", "hex:zz"),
        &["3: regions[0].end_key: \"hex:zz\" holds 'z', which is no hexadecimal digit"],
    );
    expect(
        &changed("\"store_id\": 3,\n", "\"store_id\": -3,\n"),
        &["23: stores[2].store_id: a whole number from 1 to 18446744073709551615 belongs here, not -3"],
    );
    expect(
        &changed("\"store_id\": 2, \"peer_id\": 202", "\"store_id\": null, \"peer_id\": 202"),
        &["50: regions[1].peers[1]: the field \"store_id\" is missing"],
    );
}

#[test]
fn the_error_names_file_line_and_field() {
    let error = Topology::parse("dir/f.json", &changed("\"leader_store_id\": 2", "\"leader\": 2")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "1 mistake in dir/f.json:\n  dir/f.json:53: regions[1].leader: unknown field \"leader\"; known here: id, \
         start_key, end_key, epoch, peers, leader_store_id"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let error = Topology::load(&dir.path().join("none.json")).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    let path = dir.path().join("latin.json");
    std::fs::write(&path, b"{\"\xff\":1}").unwrap();
    assert!(matches!(Topology::load(&path), Err(ConfigError::Unreadable { .. })));
    std::fs::File::create(&path).unwrap().set_len(17 << 20).unwrap();
    assert!(matches!(Topology::load(&path), Err(ConfigError::TooLarge { .. })));
    std::fs::write(&path, RIGHT).unwrap();
    assert_eq!(Topology::load(&path).unwrap(), Topology::parse("", RIGHT).unwrap());
}
