//! The commands and the flags that several of them share.
//!
//! Every flag says what it is for; clap prints it and refuses what it does not know.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use nokv_bench::BenchArgs;

use super::cluster_command::{self, ClusterCommandArgs};
use super::config_command::ConfigArgs;
use super::exit::EXIT_CODES;
use super::gc_command::GcArgs;
use super::operator_command::{self, OperatorCommandArgs};
use super::read_command::{GetArgs, ScanArgs};
use super::region_args::RegionArgs;
use super::regions_command::RegionsArgs;
use super::snapshot_command::SnapshotCommandArgs;
use super::store_command::StoreCommandArgs;
use super::tso_command::TsoArgs;
use super::txn_command::TxnArgs;
use super::write_command::{DeleteArgs, PutArgs};
use crate::config::{ConfigError, Topology};
use crate::node::ServeArgs;

/// A multi-Raft, transactional key-value store
#[derive(Debug, Parser)]
#[command(name = "nokv", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show and check a topology file
    Config(ConfigArgs),
    /// Serve one store until SIGINT or SIGTERM
    Serve(ServeArgs),
    /// Serve timestamps over HTTP until SIGINT or SIGTERM
    Tso(TsoArgs),
    /// Read one key; exit code 1 if it is not there
    Get(GetArgs),
    /// Read a range of keys in order
    Scan(ScanArgs),
    /// Write one key
    Put(PutArgs),
    /// Remove one key, whether it is there or not
    Delete(DeleteArgs),
    /// Read and write several keys as one transaction
    Txn(TxnArgs),
    /// Ask every store which regions it leads; exit code 1 if a region has no leader
    Regions(RegionsArgs),
    /// Look at one region, split it, give it other members or another leader
    Region(RegionArgs),
    /// Look at the whole cluster: stores, regions, what is under way, what is wrong
    Cluster(ClusterCommandArgs),
    /// Look at the stores of a cluster, and have them leave
    Store(StoreCommandArgs),
    /// See what is moved between stores, and why
    Operator(OperatorCommandArgs),
    /// Keep the whole keyspace readable as of a moment, under a name
    Snapshot(SnapshotCommandArgs),
    /// Set the safe point of garbage collection: old versions below it go
    Gc(GcArgs),
    /// Measure a cluster, beside another and beside what the machine can do
    Bench(BenchArgs),
}

/// The topology file, where a command needs one.
#[derive(Clone, Debug, Args)]
pub(super) struct ConfigFile {
    /// The topology file (stores, regions, timestamp server), for instance raft_config.json
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct OutputArgs {
    /// Print JSON for programs instead of text for people; errors become JSON objects on standard error
    #[arg(long)]
    pub(super) json: bool,
}

impl Command {
    /// Whether errors are to be printed as JSON.
    pub(super) fn json(&self) -> bool {
        match self {
            Command::Config(args) => args.json(),
            Command::Serve(_) | Command::Tso(_) => false,
            Command::Get(args) => args.connect.output.json,
            Command::Scan(args) => args.connect.output.json,
            Command::Put(args) => args.connect.output.json,
            Command::Delete(args) => args.connect.output.json,
            Command::Txn(args) => args.connect.output.json,
            Command::Regions(args) => args.output.json,
            Command::Region(args) => args.json(),
            Command::Cluster(args) => {
                let cluster_command::What::Status(args) = &args.what;
                args.output.json
            }
            Command::Store(args) => args.json(),
            Command::Operator(args) => {
                let operator_command::What::List(args) = &args.what;
                args.cluster.output.json
            }
            Command::Snapshot(args) => args.json(),
            Command::Gc(args) => args.connect.output.json,
            Command::Bench(args) => args.json(),
        }
    }
}

impl ConfigFile {
    pub(super) fn load(&self) -> Result<Topology, ConfigError> {
        Topology::load(&self.config)
    }
}
