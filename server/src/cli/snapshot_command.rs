//! `nokv snapshot create|list|drop`: the whole keyspace as of a moment, readable under a name as long as it stands.
//! Reading one is `get` or `scan` with `--at`.

use clap::{Args, Subcommand};
use nokv_client::{PlacementOracle, TimestampOracle as _};
use nokv_proto::nokvpb::ViewResponse;
use serde_json::{Value, json};

use super::connect::block_on;
use super::exit::{Answer, Failure};
use super::placement_calls::said;
use super::region_args::ClusterArgs;
use super::table::Table;

/// Keeps the whole keyspace readable as of now: garbage collection waits for snapshots.
#[derive(Clone, Debug, Args)]
pub(super) struct SnapshotCommandArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum What {
    /// Take one, as of now; prints its timestamp
    Create(NameArgs),
    /// All snapshots that stand
    List(ClusterArgs),
    /// Give one up: what only it could see goes by and by
    Drop(NameArgs),
}

#[derive(Clone, Debug, Args)]
pub(super) struct NameArgs {
    /// Its name
    name: String,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

impl SnapshotCommandArgs {
    pub(super) fn json(&self) -> bool {
        match &self.what {
            What::Create(args) | What::Drop(args) => args.cluster.output.json,
            What::List(args) => args.output.json,
        }
    }
}

pub(super) fn run(args: &SnapshotCommandArgs) -> Result<Answer, Failure> {
    match &args.what {
        What::Create(args) => block_on(create(args))?,
        What::List(args) => block_on(list(args))?,
        What::Drop(args) => block_on(fall(args))?,
    }
}

async fn create(args: &NameArgs) -> Result<Answer, Failure> {
    let placement = args.cluster.placement()?;
    let drawn = PlacementOracle::new(placement.link().clone()).timestamps(1).await;
    let timestamp = drawn.map_err(|error| Failure::error(error.to_string()))?.0;
    placement.change_snapshot(&args.name, timestamp).await?;
    let text = format!("snapshot {} stands: read it by --at {timestamp}", args.name);
    Ok(said(args.cluster.output.json, text, &json!({ "name": args.name, "timestamp": timestamp })))
}

async fn list(args: &ClusterArgs) -> Result<Answer, Failure> {
    let ViewResponse { snapshots, .. } = args.placement()?.view(0).await?;
    if args.output.json {
        let one = |it: &nokv_proto::nokvpb::Snapshot| json!({ "name": it.name, "timestamp": it.timestamp });
        return Ok(Answer::json(&snapshots.iter().map(one).collect::<Value>()));
    }
    let mut table = Table::new(&["NAME", "TIMESTAMP"]);
    snapshots.iter().for_each(|it| table.row([it.name.clone(), it.timestamp.to_string()]));
    Ok(Answer::ok(table.render()))
}

async fn fall(args: &NameArgs) -> Result<Answer, Failure> {
    args.cluster.placement()?.change_snapshot(&args.name, 0).await?;
    let text = format!("snapshot {} stands no more", args.name);
    Ok(said(args.cluster.output.json, text, &json!({ "name": args.name, "dropped": true })))
}
