//! The flags of `nokv serve` that have to do with placement: whether it is hosted, whom to join, and how a new cluster
//! is to be run.

use std::time::Duration;

use clap::Args;
use nokv_placement::state::Settings;
use nokv_proto::metapb::StoreLabel;
use nokv_transport::StoreId;

use super::{NodeError, NodeOptions, PeerFlag};

/// See the file's head.
#[derive(Clone, Debug, Args)]
pub(super) struct PlacementArgs {
    /// Host placement here: timestamps, ids, the map of regions and what should move. With a topology file all of its
    /// stores must be started with it [default: on, but not with --config]
    #[arg(long)]
    placement: bool,
    /// Do not host placement here: nobody moves or repairs regions, and timestamps come from --tso
    #[arg(long, conflicts_with_all = ["placement", "initial_cluster"])]
    no_placement: bool,
    /// Joins the cluster that has a node at this address; may be given several times
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["config", "peers", "initial_cluster"])]
    join: Vec<String>,
    /// All stores that begin a new cluster together, this one among them; the same on each of them
    #[arg(long, value_name = "ID=HOST:PORT", value_delimiter = ',', conflicts_with = "config")]
    initial_cluster: Vec<PeerFlag>,
    /// Where this store is, such as zone=east or host=a7; may be given several times
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<StoreLabel>,
    /// A new cluster keeps the replicas of a region apart by these labels, the strongest first, such as zone,host
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    location_labels: Vec<String>,
    /// A new cluster gives each region so many replicas [default: 3, or as many as there are stores at first if more]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=15))]
    replicas: Option<u32>,
    /// A new cluster gives a store up that was silent for so long, and makes its replicas anew elsewhere
    #[arg(long, value_name = "SECONDS", default_value_t = 1_800)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    store_down_after: u64,
    /// A new cluster moves nothing to a store of which less than this is free, and less than 4 GiB
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=90))]
    min_free_percent: u32,
    /// A new cluster merges regions smaller than this with a neighbour; 0 = none
    #[arg(long, value_name = "MIB", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1_024))]
    region_min_mib: u32,
    /// A new cluster calls a region hot, and moves or splits it for it, from so much flow each second on; 0 = never
    #[arg(long, value_name = "KIB", default_value_t = 1_024)]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1_048_576))]
    hot_flow_kib: u32,
    /// A new cluster keeps old versions for so long, and ends transactions that take longer; 0 = until `nokv gc`
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=31_536_000))]
    gc_life: u64,
    /// In a new cluster a region that was moved is moved by nothing but need for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    #[arg(value_parser = clap::value_parser!(u64).range(0..=86_400))]
    move_pause: u64,
}

impl PlacementArgs {
    /// The other stores of `--initial-cluster`.
    pub(super) fn initial_peers(&self, store: Option<StoreId>) -> Result<Vec<PeerFlag>, NodeError> {
        let all = &self.initial_cluster;
        if all.is_empty() {
            return Ok(Vec::new());
        }
        let here = store.ok_or_else(|| wrong("with --initial-cluster, --store-id says which of its stores this is"))?;
        if all.iter().all(|flag| flag.id != here.0) {
            return Err(wrong(&format!("--initial-cluster lacks store {here}, which this is to be")));
        }
        Ok(all.iter().filter(|flag| flag.id != here.0).cloned().collect())
    }

    /// Takes them over.
    pub(super) fn apply(&self, has_topology: bool, options: &mut NodeOptions) {
        options.join.clone_from(&self.join);
        options.labels.clone_from(&self.labels);
        let by_default = !has_topology && !self.no_placement;
        if self.placement || by_default {
            options.placement = Some(self.settings(options));
        }
    }

    fn settings(&self, options: &NodeOptions) -> Settings {
        let initial = Settings::initial();
        let regions = options.regions.iter().flatten().map(|region| region.peers.len());
        let most = regions.max().unwrap_or(options.peers.len() + 1);
        let down_ms = millis(self.store_down_after);
        Settings {
            replicas: self.replicas.unwrap_or_else(|| initial.replicas.max(u32::try_from(most).unwrap_or(0))),
            location_labels: self.location_labels.clone(),
            store_down_ms: down_ms,
            store_silent_ms: initial.store_silent_ms.min(down_ms),
            free_permille_min: self.min_free_percent * 10,
            merge_bytes_max: u64::from(self.region_min_mib) << 20,
            merged_bytes_max: initial.merged_bytes_max.max(u64::from(self.region_min_mib) << 21),
            hot_bytes_min: u64::from(self.hot_flow_kib) << 10,
            cooldown_ms: millis(self.move_pause),
            gc_life_ms: millis(self.gc_life),
            ..initial
        }
    }
}

fn label(text: &str) -> Result<StoreLabel, String> {
    let found = text.split_once('=').filter(|(key, value)| !key.is_empty() && !value.is_empty());
    let (key, value) = found.ok_or_else(|| format!("{text:?} is no NAME=VALUE"))?;
    Ok(StoreLabel { key: key.to_owned(), value: value.to_owned() })
}

fn millis(seconds: u64) -> u64 {
    u64::try_from(Duration::from_secs(seconds).as_millis()).unwrap_or(u64::MAX)
}

fn wrong(text: &str) -> NodeError {
    NodeError::Flags(text.to_owned())
}
