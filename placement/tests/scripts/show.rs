//! What replies, records and regions look like in a script's trace.
//! Records are shown by kind and key; their bytes are pinned by the tests of the state itself.

use std::error::Error;
use std::fmt::Write as _;

use nokv_engine::{WriteBatch, WriteOp};
use nokv_placement::regions::RegionInfo;
use nokv_placement::state::{Refusal, Reply, StoreRecord};
use nokv_proto::metapb::{Peer, PeerRole};

pub fn reply(reply: &Result<Reply, Refusal>) -> String {
    match reply {
        Ok(Reply::Done) => "done\n".to_owned(),
        Ok(Reply::FirstRegion(id)) => format!("first region {id}\n"),
        Ok(Reply::Ids { first, count }) => format!("ids {first} to {}\n", first + u64::from(*count) - 1),
        Ok(Reply::TakenIn(taken)) => {
            let mut text = "taken in".to_owned();
            let news = [(taken.description, "description"), (taken.leader, "leader")];
            news.iter().filter(|(is_new, _)| *is_new).for_each(|(_, what)| text.push_str(&format!(", new {what}")));
            taken.removed.iter().for_each(|id| text.push_str(&format!(", region {id} is no more")));
            text + "\n"
        }
        Ok(Reply::SafePoint(at)) => format!("safe point {at}\n"),
        Ok(Reply::Holder(held)) if held.ttl_s == i64::MAX => {
            format!("{} holds it at {} for ever\n", held.holder, held.safe_point)
        }
        Ok(Reply::Holder(held)) => format!("{} holds it at {} for {} s\n", held.holder, held.safe_point, held.ttl_s),
        Err(refusal) => format!("refused: {refusal}\n"),
    }
}

pub fn writes(batch: &WriteBatch) -> Result<String, Box<dyn Error>> {
    let mut text = String::new();
    for op in batch.ops() {
        match op? {
            WriteOp::Put { key, .. } => writeln!(text, "  put {}", record(key))?,
            WriteOp::Delete { key, .. } => writeln!(text, "  delete {}", record(key))?,
            WriteOp::DeleteRange { .. } => return Err("records are not deleted by range".into()),
        }
    }
    Ok(text)
}

fn record(key: &[u8]) -> String {
    let (kind, rest) = key.split_first().unwrap();
    let number = || u64::from_be_bytes(rest.try_into().unwrap());
    match kind {
        1 => "cluster".to_owned(),
        2 => "ids".to_owned(),
        3 => "timestamp bound".to_owned(),
        4 => format!("store {}", number()),
        5 => format!("region {}", number()),
        6 => "safe point".to_owned(),
        7 => format!("holder {}", String::from_utf8_lossy(rest)),
        8 => format!("snapshot {}", String::from_utf8_lossy(rest)),
        9 => "settings".to_owned(),
        10 => format!("value {}", String::from_utf8_lossy(rest)),
        other => format!("unknown kind {other}"),
    }
}

pub fn region(info: &RegionInfo) -> String {
    let region = &info.region;
    let epoch = region.region_epoch.unwrap_or_default();
    let (start, end) = (String::from_utf8_lossy(&region.start_key), String::from_utf8_lossy(&region.end_key));
    let peers: Vec<String> = region.peers.iter().map(|member| peer(info, member)).collect();
    format!("{} [{start},{end}) v{} c{} on {}\n", region.id, epoch.version, epoch.conf_ver, peers.join(" "))
}

fn peer(info: &RegionInfo, peer: &Peer) -> String {
    let learner = if peer.role() == PeerRole::Learner { "-learner" } else { "" };
    let leads = if info.leader.is_some_and(|leader| leader.id == peer.id) { "*" } else { "" };
    format!("{}@{}{learner}{leads}", peer.id, peer.store_id)
}

pub fn store(record: &StoreRecord) -> String {
    let labels: Vec<String> =
        record.store.labels.iter().map(|label| format!("{}:{}", label.key, label.value)).collect();
    let state = record.state().as_str_name().to_lowercase();
    format!("store {} at {} {state} {}", record.id(), record.store.address, labels.join(",")).trim_end().to_owned()
        + "\n"
}
