//! `nokv region refill`: a store that lost its directory has members' names and nothing behind them. For each of them:
//! the lost peer is removed, and a new one, with a new id, is added and fed.

use std::collections::BTreeMap;

use nokv_proto::metapb::{self, PeerRole};
use serde_json::json;

use super::cluster_admin::ClusterAdmin;
use super::exit::{Answer, Failure};
use super::region_args::{AddPeerArgs, RefillArgs, RemovePeerArgs};
use super::region_command::{peer_on, refused};
use super::region_members::{add_peer, remove_peer};

pub(super) async fn refill(args: &RefillArgs) -> Result<Answer, Failure> {
    let (admin, store) = (args.cluster.admin().await?, args.store);
    if !admin.store_ids().any(|known| known == store) {
        return Err(refused(&format!("store {store} is not in the topology file")));
    }
    let mut refilled = Vec::new();
    for (region, peer) in lost_peers(&admin, store).await? {
        let replaced = replace(args, region, &peer).await;
        replaced.map_err(|failure| Failure {
            text: format!("region {region}: {}", failure.text),
            advice: Some(format!(
                "{} regions are refilled; if region {region} has no peer on store {store} now, go on by `nokv region \
                 add-peer {region} {store}`, then run refill again",
                refilled.len()
            )),
            ..failure
        })?;
        refilled.push(region);
    }
    if args.cluster.output.json {
        return Ok(Answer::json(&json!({ "store_id": store, "refilled_region_ids": refilled })));
    }
    let names: Vec<_> = refilled.iter().map(u64::to_string).collect();
    Ok(Answer::ok(match names.len() {
        0 => format!("store {store} has all its peers; nothing to do\n"),
        count => format!("store {store} has new peers of {count} regions: {}\n", names.join(", ")),
    }))
}

/// The members on a store of which the store has nothing, by region.
async fn lost_peers(admin: &ClusterAdmin, store: u64) -> Result<BTreeMap<u64, metapb::Peer>, Failure> {
    let mut regions: BTreeMap<u64, metapb::Region> = BTreeMap::new();
    for region in admin.all_regions().await {
        let known = regions.entry(region.id).or_insert_with(|| region.clone());
        if epoch(known) < epoch(&region) {
            *known = region;
        }
    }
    let mut lost = BTreeMap::new();
    for region in regions.keys() {
        let picture = admin.look(*region).await;
        if let Some(why) = picture.silent.get(&store) {
            return Err(refused(&format!("store {store} does not answer ({why}); start it first")));
        }
        let Some(member) = picture.best().and_then(|best| peer_on(&best.region, store)) else { continue };
        let has = |own: Option<metapb::Peer>| own.is_some_and(|own| own.id == member.id);
        if !picture.sightings.iter().any(|sighting| sighting.store == store && has(sighting.said.peer)) {
            lost.insert(*region, *member);
        }
    }
    Ok(lost)
}

async fn replace(args: &RefillArgs, region: u64, peer: &metapb::Peer) -> Result<(), Failure> {
    let (store, cluster) = (args.store, args.cluster.clone());
    remove_peer(&RemovePeerArgs { region, store, force: false, cluster: cluster.clone() }).await?;
    let learner = peer.role() == PeerRole::Learner;
    add_peer(&AddPeerArgs { region, store, learner, peer_id: None, catch_up: args.catch_up, cluster }).await?;
    Ok(())
}

fn epoch(region: &metapb::Region) -> (u64, u64) {
    region.region_epoch.as_ref().map(|epoch| (epoch.version, epoch.conf_ver)).unwrap_or_default()
}
