//! `nokv regions`: the regions as they are now, with their leaders, for people and for scripts that wait for one.
//!
//! `nokv config regions` shows what the file says; this shows what the stores say.

use std::time::Duration;

use clap::Args;
use nokv_client::GrpcRpc;
use nokv_transport::StoreId;
use serde_json::{Value, json};

use super::args::OutputArgs;
use super::cluster_admin::ClusterAdmin;
use super::connect::{StoreArgs, block_on};
use super::exit::{Answer, Exit, Failure};
use super::find_args::FindArgs;
use super::region_show::bound;
use super::region_survey::{PeerState, SurveyedRegion, learn, survey};
use super::table::Table;
use crate::config::RegionConfig;

#[derive(Clone, Debug, Args)]
pub(super) struct RegionsArgs {
    #[command(flatten)]
    find: FindArgs,
    #[command(flatten)]
    stores: StoreArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

pub(super) fn run(args: &RegionsArgs) -> Result<Answer, Failure> {
    let patience = Duration::from_secs(args.stores.timeout);
    let regions = block_on(async {
        let topology = args.find.load().await?;
        let address =
            |store| topology.store(StoreId(store)).map(|store| store.advertised(args.stores.scope).to_string());
        // What the file says counts only where no store knows better.
        let told = ClusterAdmin::new(&topology, args.stores)?.all_regions().await;
        let mut known = topology.regions.iter().map(RegionConfig::to_metapb).collect();
        learn(&mut known, told.into_iter());
        Ok::<_, Failure>(survey(&GrpcRpc::default(), known, address, patience).await)
    })??;
    let answer = if args.output.json {
        Answer::json(&regions.iter().map(region_json).collect())
    } else {
        Answer::ok(table(&regions))
    };
    let leaderless = regions.iter().filter(|region| region.leader_store().is_none()).count();
    Ok(match leaderless {
        0 => answer,
        n => answer.with_exit(Exit::Error).with_note(format!("{n} of {} regions have no leader", regions.len())),
    })
}

fn table(regions: &[SurveyedRegion]) -> String {
    let mut table = Table::new(&["REGION", "START", "END", "EPOCH", "LEADER STORE", "PEERS (STORE:PEER)"]);
    for surveyed in regions {
        let region = &surveyed.region;
        let epoch = region.region_epoch.unwrap_or_default();
        let peers = surveyed.peers.iter().map(|(peer, state)| {
            let state = match state {
                PeerState::Leader => " leads".to_string(),
                PeerState::Follower { .. } => String::new(),
                PeerState::Silent { reason } => format!(" ({reason})"),
            };
            format!("{}:{}{state}", peer.store_id, peer.id)
        });
        table.row([
            region.id.to_string(),
            bound(&region.start_key),
            bound(&region.end_key),
            format!("{}.{}", epoch.version, epoch.conf_ver),
            surveyed.leader_store().map(|store| store.to_string()).unwrap_or_default(),
            peers.collect::<Vec<_>>().join(", "),
        ]);
    }
    table.render()
}

fn region_json(surveyed: &SurveyedRegion) -> Value {
    let region = &surveyed.region;
    let epoch = region.region_epoch.unwrap_or_default();
    let peers = surveyed.peers.iter().map(|(peer, state)| {
        let (name, leader_store, reason) = match state {
            PeerState::Leader => ("leader", Some(peer.store_id), None),
            PeerState::Follower { leader_store } => ("follower", *leader_store, None),
            PeerState::Silent { reason } => ("silent", None, Some(reason)),
        };
        json!({ "store_id": peer.store_id, "peer_id": peer.id, "state": name, "says_leader_store_id": leader_store,
                "reason": reason })
    });
    json!({
        "id": region.id,
        "start_key": bound(&region.start_key),
        "end_key": bound(&region.end_key),
        "epoch": { "version": epoch.version, "conf_version": epoch.conf_ver },
        "leader_store_id": surveyed.leader_store(),
        "peers": peers.collect::<Value>(),
    })
}
