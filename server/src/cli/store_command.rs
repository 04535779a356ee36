//! `nokv store list|show|remove|cancel-remove`: the stores of a cluster, through its placement.
//! Removing one is an order to placement, which moves the data; `--wait` watches it.

use std::time::Duration;

use clap::{Args, Subcommand};
use nokv_proto::nokvpb::StoreView;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::connect::block_on;
use super::exit::{Answer, Failure};
use super::placement_calls::{mib, said};
use super::region_args::ClusterArgs;
use super::table::Table;

/// How often it is looked how far a store has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A store whose draining moves nothing for so long is reported and no longer waited for.
const STUCK_LOOKS: u32 = 120;

/// Looks at the stores of a cluster, and has them leave.
#[derive(Clone, Debug, Args)]
pub(super) struct StoreCommandArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum What {
    /// All stores: how they are, what they hold and lead
    List(ListArgs),
    /// One store
    Show(OneArgs),
    /// Have a store leave: its replicas are moved to the others, then its id is never used again
    Remove(RemoveArgs),
    /// Have a store that was to leave stay
    CancelRemove(OneArgs),
}

#[derive(Clone, Debug, Args)]
pub(super) struct ListArgs {
    /// Also stores that have left for good
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct OneArgs {
    /// The store's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    store: u64,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    pub(super) one: OneArgs,
    /// Wait until it is empty, and show on standard error how far it is
    #[arg(long)]
    wait: bool,
}

impl StoreCommandArgs {
    pub(super) fn json(&self) -> bool {
        match &self.what {
            What::List(args) => args.cluster.output.json,
            What::Show(args) | What::CancelRemove(args) => args.cluster.output.json,
            What::Remove(args) => args.one.cluster.output.json,
        }
    }
}

pub(super) fn run(args: &StoreCommandArgs) -> Result<Answer, Failure> {
    match &args.what {
        What::List(args) => block_on(list(args))?,
        What::Show(args) => block_on(show(args))?,
        What::Remove(args) => block_on(remove(args))?,
        What::CancelRemove(args) => block_on(cancel_remove(args))?,
    }
}

async fn list(args: &ListArgs) -> Result<Answer, Failure> {
    let mut stores = args.cluster.placement()?.view(0).await?.stores;
    stores.retain(|store| args.all || store.condition != "gone");
    Ok(if args.cluster.output.json {
        Answer::json(&stores.iter().map(store_json).collect())
    } else {
        Answer::ok(store_table(&stores))
    })
}

async fn show(args: &OneArgs) -> Result<Answer, Failure> {
    let view = args.cluster.placement()?.view(0).await?;
    let store = find(&view.stores, args.store)?;
    if args.cluster.output.json {
        return Ok(Answer::json(&store_json(store)));
    }
    let mut text = store_table(std::slice::from_ref(store));
    text.push_str(&format!("not caught up: {} peers\n", store.pending_peers));
    text.push_str(&format!(
        "written: {}/s; read from its leaders: {}/s in {} lookups/s; load: {}/s\n",
        mib(store.write_bytes),
        mib(store.read_bytes),
        store.lookups,
        mib(store.cost)
    ));
    let step = format!("store {}", args.store);
    let here = view.operators.iter().filter(|it| it.steps.iter().any(|text| text.ends_with(&step))).count();
    text.push_str(&format!("under way to it or from it: {here} operators\n"));
    Ok(Answer::ok(text))
}

async fn remove(args: &RemoveArgs) -> Result<Answer, Failure> {
    let (store, json) = (args.one.store, args.one.cluster.output.json);
    let placement = args.one.cluster.placement()?;
    placement.change_store(store, false).await?;
    if args.wait {
        return until_gone(&args.one).await;
    }
    let value = json!({ "store_id": store, "state": "leaving" });
    Ok(said(json, format!("store {store} is to leave; `nokv store show {store}` tells how far it is"), &value))
}

async fn until_gone(args: &OneArgs) -> Result<Answer, Failure> {
    let store = args.store;
    let (mut last, mut stuck) = (u64::MAX, 0);
    loop {
        let view = args.cluster.placement()?.view(0).await?;
        let now = find(&view.stores, store)?;
        if now.condition == "gone" {
            let value = json!({ "store_id": store, "state": "gone" });
            let text = format!("store {store} is empty and has left the cluster; stop its node");
            return Ok(said(args.cluster.output.json, text, &value));
        }
        if now.drain_left != last {
            (last, stuck) = (now.drain_left, 0);
            eprintln!("store {store}: {} of {} replicas are left", now.drain_left, now.drain_from);
        }
        stuck += 1;
        if stuck > STUCK_LOOKS {
            let text = format!("store {store}: {last} replicas are left, and for two minutes none has moved");
            let advice = "see `nokv cluster status`; it is still to leave, until `nokv store cancel-remove`".to_owned();
            return Err(Failure { advice: Some(advice), ..Failure::error(text) });
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn cancel_remove(args: &OneArgs) -> Result<Answer, Failure> {
    args.cluster.placement()?.change_store(args.store, true).await?;
    let value = json!({ "store_id": args.store, "state": "up" });
    Ok(said(args.cluster.output.json, format!("store {} stays", args.store), &value))
}

fn find(stores: &[StoreView], id: u64) -> Result<&StoreView, Failure> {
    let found = stores.iter().find(|store| store.store.as_ref().is_some_and(|store| store.id == id));
    found.ok_or_else(|| Failure::error(format!("there is no store {id}; see `nokv store list --all`")))
}

/// Stores as a table for people.
pub(super) fn store_table(stores: &[StoreView]) -> String {
    let mut table =
        Table::new(&["STORE", "ADDRESS", "STATE", "HEARD", "PEERS", "LEADERS", "DATA", "FREE", "OF", "LEAVING"]);
    for view in stores {
        let store = view.store.clone().unwrap_or_default();
        let leaving = view.drain_from > 0 && view.condition != "gone";
        table.row([
            store.id.to_string(),
            store.address,
            view.condition.clone(),
            format!("{} s", view.silent_ms / 1_000),
            view.peers.to_string(),
            view.leaders.to_string(),
            mib(view.bytes),
            mib(view.available_bytes),
            mib(view.capacity_bytes),
            if leaving { format!("{} of {} left", view.drain_left, view.drain_from) } else { String::new() },
        ]);
    }
    table.render()
}

/// A store as JSON.
pub(super) fn store_json(view: &StoreView) -> Value {
    let store = view.store.clone().unwrap_or_default();
    json!({
        "store_id": store.id, "address": store.address, "version": store.version,
        "labels": store.labels.iter().map(|it| json!({ "key": it.key, "value": it.value })).collect::<Vec<_>>(),
        "state": view.condition, "silent_ms": view.silent_ms, "peers": view.peers, "leaders": view.leaders,
        "bytes": view.bytes, "pending_peers": view.pending_peers, "capacity_bytes": view.capacity_bytes,
        "available_bytes": view.available_bytes, "drain_left": view.drain_left, "drain_from": view.drain_from,
        "write_bytes": view.write_bytes, "read_bytes": view.read_bytes, "lookups": view.lookups, "load": view.cost,
    })
}
