//! `nokv operator list`: what placement has under way with regions, why, and how what it began has ended.
//! Nothing is changed here: placement decides.

use clap::{Args, Subcommand};
use serde_json::json;

use super::connect::block_on;
use super::exit::{Answer, Failure};
use super::placement_calls::{operator_json, operator_line};
use super::region_args::ClusterArgs;
use super::table::Table;

/// Looks at what is moved, and why.
#[derive(Clone, Debug, Args)]
pub(super) struct OperatorCommandArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum What {
    /// What is under way, and what has ended lately
    List(OperatorListArgs),
}

#[derive(Clone, Debug, Args)]
pub(super) struct OperatorListArgs {
    /// How many of those that have ended are shown, the newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=4_096))]
    ended: u32,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

pub(super) fn run(args: &OperatorCommandArgs) -> Result<Answer, Failure> {
    let What::List(args) = &args.what;
    let view = block_on(async { args.cluster.placement()?.view(args.ended).await })??;
    if args.cluster.output.json {
        let all = |operators: &[_]| operators.iter().map(operator_json).collect::<Vec<_>>();
        return Ok(Answer::json(&json!({ "under_way": all(&view.operators), "ended": all(&view.ended) })));
    }
    let mut table = Table::new(&["REGION", "KIND", "REASON", "STEPS", "AGE", "STATE"]);
    view.operators.iter().chain(&view.ended).for_each(|operator| table.row(operator_line(operator)));
    Ok(Answer::ok(table.render()))
}
