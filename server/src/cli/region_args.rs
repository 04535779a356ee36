//! The flags of `nokv region …`.
//! Regions are named by id, keys as everywhere.

use clap::{Args, Subcommand};

use super::args::OutputArgs;
use super::connect::StoreArgs;
use super::find_args::FindArgs;
use super::regions_command::RegionsArgs;
use crate::key_text::KeyText;

/// Looks at regions and changes them. Each command finds the leader by itself, goes on through elections and other
/// changes, and may be run again if it was interrupted: what is done already is left alone.
#[derive(Clone, Debug, Args)]
pub(super) struct RegionArgs {
    #[command(subcommand)]
    pub(super) what: What,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum What {
    /// All regions with their leaders; the same as `nokv regions`
    List(RegionsArgs),
    /// One region: range, epoch, and how far each of its peers is
    Show(ShowArgs),
    /// Cut a region at keys; its leader leads the new regions, too
    Split(SplitArgs),
    /// Have a region end in a neighbour with the same members, which goes on with both ranges
    Merge(MergeArgs),
    /// Give a region a peer on another store: a learner first, made a voter once it has caught up
    AddPeer(AddPeerArgs),
    /// Take a region's peer from a store
    RemovePeer(RemovePeerArgs),
    /// Have the peer on a store lead a region
    TransferLeader(TransferLeaderArgs),
    /// Give a store that lost its directory new peers in place of those that it lost
    Refill(RefillArgs),
}

/// What all of them need.
#[derive(Clone, Debug, Args)]
pub(super) struct ClusterArgs {
    #[command(flatten)]
    pub(super) find: FindArgs,
    #[command(flatten)]
    pub(super) stores: StoreArgs,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct ShowArgs {
    /// The region's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) region: u64,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct SplitArgs {
    /// The region's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) region: u64,
    /// First keys of the new regions, each strictly inside the region
    #[arg(required = true)]
    pub(super) keys: Vec<KeyText>,
    /// Ids for the new regions: for each key the region's, then its peers' in the order in which `nokv region show`
    /// has them. They must never have been used before [default: drawn from the timestamp server]
    #[arg(long, value_delimiter = ',', value_name = "ID,ID,…")]
    pub(super) ids: Vec<u64>,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct MergeArgs {
    /// The region that ends
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) source: u64,
    /// Its neighbour, which goes on
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) target: u64,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct AddPeerArgs {
    /// The region's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) region: u64,
    /// The store that is to get it; it must be in the topology file, and running
    pub(super) store: u64,
    /// Leave it a learner: it gets everything and has no vote
    #[arg(long)]
    pub(super) learner: bool,
    /// The peer's id, larger than those of the region's peers and never used before [default: drawn from the timestamp
    /// server]
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) peer_id: Option<u64>,
    /// How long the learner is given to catch up, in seconds; afterwards it stays a learner
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub(super) catch_up: u64,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct RemovePeerArgs {
    /// The region's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) region: u64,
    /// The store that is to lose it
    pub(super) store: u64,
    /// Remove it even if too few of the voters that remain were heard of lately: the region may lose its quorum
    #[arg(long)]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct TransferLeaderArgs {
    /// The region's id
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) region: u64,
    /// The store that is to lead it
    pub(super) store: u64,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

#[derive(Clone, Debug, Args)]
pub(super) struct RefillArgs {
    /// The store; it runs, with its new directory
    pub(super) store: u64,
    /// How long each new peer is given to catch up, in seconds
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub(super) catch_up: u64,
    #[command(flatten)]
    pub(super) cluster: ClusterArgs,
}

impl RegionArgs {
    pub(super) fn json(&self) -> bool {
        match &self.what {
            What::List(args) => args.output.json,
            What::Show(args) => args.cluster.output.json,
            What::Split(args) => args.cluster.output.json,
            What::Merge(args) => args.cluster.output.json,
            What::AddPeer(args) => args.cluster.output.json,
            What::RemovePeer(args) => args.cluster.output.json,
            What::TransferLeader(args) => args.cluster.output.json,
            What::Refill(args) => args.cluster.output.json,
        }
    }
}
