//! `nokv cluster status`: stores, regions, leaders, space, what is under way and what is wrong, at one look.
//! What is wrong decides the exit code, so that scripts can wait for a cluster that is well.

use clap::{Args, Subcommand};
use nokv_proto::nokvpb::ViewResponse;
use serde_json::{Value, json};

use super::connect::block_on;
use super::exit::{Answer, Exit, Failure};
use super::placement_calls::{operator_json, operator_line};
use super::region_args::ClusterArgs;
use super::store_command::{store_json, store_table};
use super::table::Table;

/// Looks at the whole cluster, through its placement.
#[derive(Clone, Debug, Args)]
pub(super) struct ClusterCommandArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum What {
    /// Stores, regions, what is under way and what is wrong; exit code 1 if something is
    Status(ClusterArgs),
}

pub(super) fn run(args: &ClusterCommandArgs) -> Result<Answer, Failure> {
    let What::Status(args) = &args.what;
    let view = block_on(async { args.placement()?.view(0).await })??;
    let answer = if args.output.json { Answer::json(&status_json(&view)) } else { Answer::ok(text(&view)) };
    Ok(if view.problems.is_empty() { answer } else { answer.with_exit(Exit::Error) })
}

fn text(view: &ViewResponse) -> String {
    let members: Vec<_> = view.member_store_ids.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "cluster {}: {} stores, {} regions\nplacement: led by store {}, hosted by stores {}\nsafe point: {}\n\n",
        view.cluster_id,
        view.stores.len(),
        view.regions,
        view.leader_store_id,
        members.join(", "),
        view.safe_point,
    );
    text.push_str(&store_table(&view.stores));
    text.push('\n');
    if view.operators.is_empty() {
        text.push_str("nothing is under way\n");
    } else {
        let mut table = Table::new(&["REGION", "KIND", "REASON", "STEPS", "AGE", "STATE"]);
        view.operators.iter().for_each(|operator| table.row(operator_line(operator)));
        text.push_str(&table.render());
    }
    let done: Vec<_> =
        view.counts.iter().map(|count| format!("{} {} {}", count.count, count.kind, count.outcome)).collect();
    if !done.is_empty() {
        text.push_str(&format!("since store {} leads: {}\n", view.leader_store_id, done.join(", ")));
    }
    if view.problems.is_empty() {
        text.push_str("nothing is wrong\n");
    }
    view.problems.iter().for_each(|problem| text.push_str(&format!("problem: {problem}\n")));
    text
}

fn status_json(view: &ViewResponse) -> Value {
    json!({
        "cluster_id": view.cluster_id,
        "placement": { "leader_store_id": view.leader_store_id, "member_store_ids": view.member_store_ids },
        "stores": view.stores.iter().map(store_json).collect::<Vec<_>>(),
        "regions": view.regions,
        "regions_without_leader": view.regions_without_leader,
        "regions_lacking_replicas": view.regions_lacking_replicas,
        "operators": view.operators.iter().map(operator_json).collect::<Vec<_>>(),
        "ended": view.counts.iter().map(|it| json!({ "kind": it.kind, "outcome": it.outcome, "count": it.count }))
            .collect::<Vec<_>>(),
        "safe_point": view.safe_point,
        "holders": view.holders.iter().map(|it| json!({
            "name": it.name, "safe_point": it.safe_point, "ttl_s": it.ttl_s })).collect::<Vec<_>>(),
        "snapshots": view.snapshots.iter().map(|it| json!({ "name": it.name, "timestamp": it.timestamp }))
            .collect::<Vec<_>>(),
        "problems": view.problems,
    })
}
