//! The bytes of every record: what is on disk somewhere must be readable by every later program.
//! A byte that changes here is another format, and needs another kind.

use nokv_engine::{Engine as _, MemoryEngine, WriteOp};
use nokv_proto::metapb::{Peer, RegionEpoch};

use super::*;
use crate::state::{Command, LoadError};

/// A state with one record of each kind.
fn full() -> WriteBatch {
    let mut state = State::default();
    let peers = vec![Peer { id: 5, store_id: 3, ..Peer::default() }];
    let epoch = Some(RegionEpoch { conf_ver: 1, version: 1 });
    let region = Region { id: 4, region_epoch: epoch, peers, ..Region::default() };
    let store = Store { id: 3, address: "a:1".to_owned(), ..Store::default() };
    let mut batch = WriteBatch::new();
    for command in [
        Command::Found { cluster_id: 0x0102_0304_0506_0708 },
        Command::Bootstrap { store: store.clone(), region: Some(region) },
        Command::PutStore { store, directory: 9 },
        Command::RaiseTimestampBound { bound_ms: 7_000 },
        Command::AdvanceSafePoint { target: 300 },
        Command::HoldSafePoint { holder: "h".to_owned(), safe_point: 400, ttl_s: 2 },
        Command::CreateSnapshot { name: "s".to_owned(), timestamp: 500 },
        Command::PutValue { key: Bytes::from("k"), value: Bytes::from("v") },
    ] {
        state.decide(command, 1_000, &mut batch).unwrap();
    }
    state.records()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_byte_has_its_place() {
    let batch = full();
    let puts: Vec<(String, String)> = batch
        .ops()
        .map(|op| match op.unwrap() {
            WriteOp::Put { cf, key, value } if cf == RECORD_CF => (hex(key), hex(value)),
            other => panic!("{other:?}"),
        })
        .collect();
    let settings = hex(&Settings::initial().encode_to_vec());
    let expected = [
        ("01", "0908070605040302011001"),
        ("02", "00000000000003ec"),
        ("09", &settings),
        ("03", "0000000000001b58"),
        ("040000000000000003", "0a09080312036 13a316801110900000000000000"),
        ("050000000000000004", "0804220408011001 2a0408051003"),
        ("06", "000000000000012c"),
        ("0768", "08900310b817"),
        ("0873", "08f40310e807"),
        ("0a6b", "76"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), value.replace(' ', ""))).collect();
    assert_eq!(puts, expected);
}

#[test]
fn what_is_unknown_or_damaged_stops_the_load() {
    let engine = MemoryEngine::new();
    engine.write(&full(), false).unwrap();
    assert!(State::load(&engine.view()).is_ok());
    for (key, value) in
        [(&[11_u8][..], &[][..]), (&[0], &[]), (&[], &[]), (&[2], &[1]), (&[1], &[0xff]), (&[7, 0xff], &[])]
    {
        let damaged = MemoryEngine::new();
        let mut batch = full();
        batch.put(RECORD_CF, key, value);
        damaged.write(&batch, false).unwrap();
        let error = State::load(&damaged.view()).unwrap_err();
        assert!(matches!(error, LoadError::Unreadable { key: named } if named == key), "{key:?}");
    }
}
