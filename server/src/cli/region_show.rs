//! One region as its stores have it, for people and as JSON.
//! The newest word counts for range and members; how far a peer is, its own store says, and the leader beside it. How
//! large the region is, its leader knows about.

use nokv_percolator::Key;
use nokv_proto::metapb::{self, PeerRole};
use nokv_proto::nokvpb::peer_progress::State;
use nokv_proto::nokvpb::{PeerProgress, RaftRole, RegionOnStore};
use serde_json::{Value, json};

use super::cluster_admin::{Picture, Sighting};
use super::table::Table;
use crate::key_text::KeyText;

/// For people.
pub(super) fn text(region_id: u64, picture: &Picture) -> String {
    let Some(best) = picture.best() else { return format!("no store that answers has a region {region_id}\n") };
    let region = &best.region;
    let epoch = region.region_epoch.unwrap_or_default();
    let mut out = format!(
        "region {region_id}: {} up to {}, epoch {}.{}, {}\n",
        bound(&region.start_key),
        bound(&region.end_key),
        epoch.version,
        epoch.conf_ver,
        match picture.leader() {
            Some(leader) => format!("led by store {} in term {}", leader.store, leader.said.term),
            None => "without a leader".to_owned(),
        }
    );
    out.push_str(&match picture.leader().and_then(size) {
        Some((bytes, records)) => format!("about {} in {records} records\n", mebibytes(bytes)),
        None => "its size is not known yet\n".to_owned(),
    });
    let mut table = Table::new(&["STORE", "PEER", "MEMBER", "STATE", "APPLIED", "COMMITTED", "LAST", "MATCHED", "FED"]);
    for peer in peers(best, picture) {
        let Shown { peer, role, said, progress, silent } = peer;
        let number = |of: fn(&Sighting) -> u64| said.map(|said| of(said).to_string()).unwrap_or_default();
        table.row([
            peer.store_id.to_string(),
            peer.id.to_string(),
            role.to_owned(),
            said.map_or_else(|| silent.unwrap_or("not there").to_owned(), |said| state(said).to_owned()),
            number(|said| said.said.applied_index),
            number(|said| said.said.committed_index),
            number(|said| said.said.last_index),
            progress.map(|progress| progress.matched_index.to_string()).unwrap_or_default(),
            progress.map(|progress| fed(progress).to_owned()).unwrap_or_default(),
        ]);
    }
    out.push_str(&table.render());
    out
}

/// For programs.
pub(super) fn json(region_id: u64, picture: &Picture) -> Value {
    let Some(best) = picture.best() else { return json!({ "id": region_id, "peers": [] }) };
    let region = &best.region;
    let epoch = region.region_epoch.unwrap_or_default();
    let size = picture.leader().and_then(size);
    let peers = peers(best, picture).into_iter().map(|Shown { peer, role, said, progress, silent }| {
        json!({
            "store_id": peer.store_id,
            "peer_id": peer.id,
            "member": role,
            "state": said.map(state),
            "silent": silent,
            "term": said.map(|said| said.said.term),
            "applied_index": said.map(|said| said.said.applied_index),
            "committed_index": said.map(|said| said.said.committed_index),
            "last_index": said.map(|said| said.said.last_index),
            "matched_index": progress.map(|progress| progress.matched_index),
            "fed": progress.map(fed),
            "active": progress.map(|progress| progress.active),
        })
    });
    json!({
        "id": region_id,
        "start_key": bound(&region.start_key),
        "end_key": bound(&region.end_key),
        "epoch": { "version": epoch.version, "conf_version": epoch.conf_ver },
        "leader_store_id": picture.leader().map(|leader| leader.store),
        "approximate_bytes": size.map(|(bytes, _)| bytes),
        "approximate_records": size.map(|(_, records)| records),
        "peers": peers.collect::<Value>(),
    })
}

/// A bound as the user knows it. One that no user key encodes to is shown as the bytes that it is.
pub(super) fn bound(encoded: &[u8]) -> String {
    if encoded.is_empty() {
        return KeyText::default().to_string();
    }
    match Key::decode_encoded(encoded) {
        Ok(key) => KeyText::from_bytes(key).to_string(),
        Err(_) => format!("encoded {}", KeyText::from_bytes(encoded)),
    }
}

/// Bytes and records of a region, about, if its leader has looked.
fn size(leader: &Sighting) -> Option<(u64, u64)> {
    let RegionOnStore { approximate_bytes, approximate_records, .. } = leader.said;
    Some((approximate_bytes?, approximate_records?))
}

/// Rounded up to a tenth: what is there is never shown as nothing.
fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

struct Shown<'a> {
    peer: metapb::Peer,
    role: &'static str,
    said: Option<&'a Sighting>,
    progress: Option<&'a PeerProgress>,
    silent: Option<&'a str>,
}

/// The members, then peers that stores have without being members (any more).
fn peers<'a>(best: &'a Sighting, picture: &'a Picture) -> Vec<Shown<'a>> {
    let on = |store: u64| picture.sightings.iter().find(|sighting| sighting.store == store);
    let leader = picture.leader();
    let members = best.region.peers.iter().map(|peer| {
        let its = |progress: &&PeerProgress| progress.peer.is_some_and(|known| known.id == peer.id);
        Shown {
            peer: *peer,
            role: role(peer),
            said: on(peer.store_id).filter(|said| said.said.peer.is_some_and(|own| own.id == peer.id)),
            progress: leader.and_then(|leader| leader.said.progress.iter().find(its)),
            silent: picture.silent.get(&peer.store_id).map(String::as_str),
        }
    });
    let is_member = |own: metapb::Peer| best.region.peers.iter().any(|peer| peer.id == own.id);
    let strangers = picture.sightings.iter().filter_map(|said| {
        let peer = said.said.peer.filter(|own| !is_member(*own))?;
        Some(Shown { peer, role: "none", said: Some(said), progress: None, silent: None })
    });
    members.chain(strangers).collect()
}

fn role(peer: &metapb::Peer) -> &'static str {
    match peer.role() {
        PeerRole::Voter => "voter",
        PeerRole::Learner => "learner",
        PeerRole::IncomingVoter => "incoming voter",
        PeerRole::DemotingVoter => "demoting voter",
    }
}

fn state(said: &Sighting) -> &'static str {
    match said.said.role() {
        RaftRole::Leader => "leader",
        RaftRole::Follower => "follower",
        RaftRole::Candidate => "candidate",
    }
}

fn fed(progress: &PeerProgress) -> &'static str {
    match progress.state() {
        State::Replicate => "from the log",
        State::Image => "by an image",
        State::Probe => "probed",
    }
}

#[cfg(test)]
mod tests {
    use nokv_proto::metapb::Region;

    use super::*;

    #[test]
    fn a_regions_size_is_its_leaders_word() {
        let sighting = |store, role: RaftRole, approximate_bytes| Sighting {
            store,
            said: RegionOnStore {
                role: role.into(),
                approximate_bytes,
                approximate_records: approximate_bytes.map(|bytes| bytes / 100),
                ..Default::default()
            },
            region: Region { id: 7, ..Default::default() },
        };
        let picture = |known| Picture {
            sightings: vec![sighting(1, RaftRole::Follower, Some(5)), sighting(2, RaftRole::Leader, known)],
            ..Default::default()
        };
        let shown = json(7, &picture(Some(1_200_000)));
        assert_eq!((&shown["approximate_bytes"], &shown["approximate_records"]), (&json!(1_200_000), &json!(12_000)));
        assert!(text(7, &picture(Some(1_200_000))).contains("about 1.2 MiB in 12000 records"));
        assert_eq!(json(7, &picture(None))["approximate_bytes"], Value::Null);
        assert!(text(7, &picture(None)).contains("its size is not known yet"));
    }
}
