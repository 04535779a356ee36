//! `nokv config {stores,regions,tso,check}`: what a topology file says, and what is wrong with it.
//!
//! All but `check` refuse a file with mistakes; `check` lists them as its answer.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::{ConfigFile, OutputArgs};
use super::exit::{Answer, Exit, Failure};
use super::table::Table;
use crate::config::{ConfigError, Topology};

#[derive(Clone, Debug, Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// The stores and their addresses
    Stores(Input),
    /// The regions: their keys, peers and preferred leaders
    Regions(Input),
    /// The timestamp server's addresses
    Tso(Input),
    /// Everything that is wrong with the file, all at once; exit code 1 if anything is
    Check(Input),
}

#[derive(Clone, Debug, Args)]
struct Input {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    output: OutputArgs,
}

impl ConfigArgs {
    pub(super) fn json(&self) -> bool {
        let (What::Stores(input) | What::Regions(input) | What::Tso(input) | What::Check(input)) = &self.what;
        input.output.json
    }
}

pub(super) fn run(args: &ConfigArgs) -> Result<Answer, Failure> {
    match &args.what {
        What::Stores(input) => show(input, stores_json, stores_table),
        What::Regions(input) => show(input, regions_json, regions_table),
        What::Tso(input) => show(input, tso_json, tso_table),
        What::Check(input) => check(input),
    }
}

fn show(input: &Input, json: fn(&Topology) -> Value, text: fn(&Topology) -> String) -> Result<Answer, Failure> {
    let topology = input.file.load()?;
    Ok(if input.output.json { Answer::json(&json(&topology)) } else { Answer::ok(text(&topology)) })
}

fn check(input: &Input) -> Result<Answer, Failure> {
    let file = input.file.config.display();
    let findings = match input.file.load() {
        Ok(topology) => {
            let (stores, regions) = (topology.stores.len(), topology.regions.len());
            return Ok(if input.output.json {
                Answer::json(&json!({ "ok": true, "stores": stores, "regions": regions, "findings": [] }))
            } else {
                Answer::ok(format!("{file}: ok ({stores} stores, {regions} regions)\n"))
            });
        }
        Err(ConfigError::Invalid { findings, .. }) => findings,
        Err(other) => return Err(other.into()),
    };
    let text = if input.output.json {
        format!("{}\n", json!({ "ok": false, "findings": findings }))
    } else {
        findings.iter().map(|finding| format!("{file}:{finding}\n")).collect()
    };
    Ok(Answer::ok(text).with_exit(Exit::Error))
}

fn stores_json(topology: &Topology) -> Value {
    let stores = topology.stores.iter().map(|store| {
        json!({
            "store_id": store.store_id.0,
            "addr": store.addr,
            "listen_addr": store.listen_addr,
            "docker_addr": store.docker_addr,
            "docker_listen_addr": store.docker_listen_addr,
        })
    });
    stores.collect()
}

fn stores_table(topology: &Topology) -> String {
    let mut table = Table::new(&["STORE", "ADDR", "LISTEN", "DOCKER", "DOCKER LISTEN"]);
    for store in &topology.stores {
        table.row([
            store.store_id.to_string(),
            store.addr.clone(),
            store.listen_addr.clone(),
            store.docker_addr.clone().unwrap_or_default(),
            store.docker_listen_addr.clone().unwrap_or_default(),
        ]);
    }
    table.render()
}

fn regions_json(topology: &Topology) -> Value {
    let regions = topology.regions.iter().map(|region| {
        let peers = region.peers.iter().map(|peer| json!({ "store_id": peer.store_id.0, "peer_id": peer.peer_id.0 }));
        json!({
            "id": region.id.0,
            "start_key": region.start_key,
            "end_key": region.end_key,
            "epoch": { "version": region.epoch.version, "conf_version": region.epoch.conf_version },
            "peers": peers.collect::<Value>(),
            "leader_store_id": region.leader_store_id.map(|store| store.0),
        })
    });
    regions.collect()
}

fn regions_table(topology: &Topology) -> String {
    let mut table = Table::new(&["REGION", "START", "END", "EPOCH", "PEERS (STORE:PEER)", "LEADER STORE"]);
    for region in &topology.regions {
        let peers = region.peers.iter().map(|peer| format!("{}:{}", peer.store_id, peer.peer_id));
        table.row([
            region.id.to_string(),
            region.start_key.to_string(),
            region.end_key.to_string(),
            format!("{}.{}", region.epoch.version, region.epoch.conf_version),
            peers.collect::<Vec<_>>().join(" "),
            region.leader_store_id.map(|store| store.to_string()).unwrap_or_default(),
        ]);
    }
    table.render()
}

fn tso_json(topology: &Topology) -> Value {
    topology
        .tso
        .as_ref()
        .map_or(Value::Null, |tso| json!({ "listen_addr": tso.listen_addr, "advertise_url": tso.advertise_url }))
}

fn tso_table(topology: &Topology) -> String {
    let mut table = Table::new(&["LISTEN", "ADVERTISED"]);
    match &topology.tso {
        Some(tso) => table.row([tso.listen_addr.clone(), tso.advertise_url.clone()]),
        None => return "the file names no timestamp server\n".into(),
    }
    table.render()
}
