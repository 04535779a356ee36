//! The flags of `nokv serve`. NoKV's own are `--workdir`, `--store-id`, `--addr` and `--peer`.
//! Without `--config`, the flags themselves describe a topology.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use nokv_raftstore::SizeLimits;
use nokv_transport::StoreId;

use super::placement_args::PlacementArgs;
use super::{NodeError, NodeOptions, PeerFlag};
use crate::config::AddressScope;
use crate::logging::LogArgs;

/// The default status port is the gRPC port and this.
const STATUS_PORT_OFFSET: u16 = 1_000;
/// Where a node listens that is told nothing.
const DEFAULT_LISTEN: &str = "127.0.0.1:20160";
/// What `--status-addr` takes for "none".
const STATUS_OFF: &str = "off";

/// Serves one store: tinykvpb.TinyKv over gRPC, and status pages over HTTP (/status, /metrics, /health, /digest).
/// Prints what it serves and then a line that begins with "ready:" on standard output.
///
/// With --config the stores and regions are those of the topology file. Without it, the cluster runs itself: a node
/// alone is a whole one, and others come by --join. Several that are to begin one together are all given
/// --initial-cluster, or each other by --peer. A new directory is then given one region that holds every key, with a
/// replica on each of them; a directory that has regions keeps them.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The store's directory; made if missing, used by one process at a time
    #[arg(long, value_name = "DIR")]
    workdir: PathBuf,
    /// This store's id, which its directory keeps for ever [default: the directory's; a new one's is given by the
    /// cluster that it joins, or is 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    store_id: Option<u64>,
    /// HOST:PORT for gRPC [default: the store's listen address in the topology file, else 127.0.0.1:20160]
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Where another store listens; ID is its id or that of one of its peers. May be given many times
    #[arg(long = "peer", value_name = "ID=HOST:PORT")]
    peers: Vec<PeerFlag>,
    /// The topology file (stores, regions)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Which of the addresses in the topology file are used
    #[arg(long, value_enum, default_value_t, value_name = "SCOPE")]
    scope: AddressScope,
    /// URL of the timestamp server, as http://HOST:PORT. With it, transactions may commit in one phase and
    /// asynchronously [default: tso.advertise_url of the topology file]
    #[arg(long, value_name = "URL")]
    tso: Option<String>,
    /// HOST:PORT for status pages, or "off" [default: the gRPC address with its port raised by 1000]
    #[arg(long, value_name = "HOST:PORT")]
    status_addr: Option<String>,
    /// RocksDB's block cache, which holds most of the memory that a store takes
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    block_cache_mib: u32,
    /// RocksDB's write buffer for each column family; there may be four of each
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    write_buffer_mib: u32,
    /// Values from this size on live in blob files, out of compaction's way; 0 = none do
    #[arg(long, value_name = "KIB", default_value_t = 16)]
    blob_value_min_kib: u32,
    /// Raft threads; each owns a share of the regions
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    raft_loops: u16,
    /// Threads that serve requests, reads included [default: half as many as there are cores, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_024))]
    rpc_threads: Option<u16>,
    /// A region of about this size is split by itself, into parts of two thirds of it; 0 = none is
    #[arg(long, value_name = "MIB", default_value_t = 144)]
    region_max_mib: u32,
    /// A region that nobody has touched for so long sleeps until somebody does; 0 = never
    #[arg(long, value_name = "SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(0..=86_400))]
    hibernate_after: u32,
    #[command(flatten)]
    placement: PlacementArgs,
    #[command(flatten)]
    log: LogArgs,
}

impl ServeArgs {
    /// How to log.
    pub fn log(&self) -> LogArgs {
        self.log
    }

    /// Threads that serve requests.
    pub fn rpc_threads(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.rpc_threads.map_or((cores / 2).max(1), usize::from)
    }

    /// What the node needs to know.
    ///
    /// # Errors
    /// The topology file is wrong or lacks the store, or flags do not go together.
    pub fn options(&self) -> Result<NodeOptions, NodeError> {
        let store = self.store_id.map(StoreId);
        let mut options = match (&self.config, store) {
            (Some(file), Some(store)) => NodeOptions::from_file(store, &self.workdir, file, self.scope)?,
            (Some(_), None) => return Err(NodeError::Flags("with --config, --store-id says which store".to_owned())),
            (None, None) if !self.peers.is_empty() => {
                return Err(NodeError::Flags("with --peer, --store-id says which store this is".to_owned()));
            }
            (None, store) => NodeOptions::new(store.unwrap_or(StoreId(0)), &self.workdir, DEFAULT_LISTEN),
        };
        if let Some(addr) = &self.addr {
            options.listen.clone_from(addr);
        }
        options.status = self.status(&options.listen)?;
        options.peers.clone_from(&self.peers);
        options.peers.extend(self.placement.initial_peers(store)?);
        if self.tso.is_some() {
            options.tso.clone_from(&self.tso);
        }
        options.rocks.block_cache_bytes = mib(self.block_cache_mib);
        options.rocks.write_buffer_bytes = mib(self.write_buffer_mib);
        options.rocks.blob_value_bytes_min = u64::from(self.blob_value_min_kib) << 10;
        options.raft.hibernate_after_ticks = ticks(self.hibernate_after, options.raft.tick);
        options.raft.raft_loops = usize::from(self.raft_loops);
        let region_max_bytes = u64::from(self.region_max_mib) << 20;
        options.auto_split.limits = (region_max_bytes > 0).then(|| SizeLimits::of_bytes(region_max_bytes));
        self.placement.apply(self.config.is_some(), &mut options);
        Ok(options)
    }

    fn status(&self, listen: &str) -> Result<Option<String>, NodeError> {
        match self.status_addr.as_deref() {
            Some(STATUS_OFF) => return Ok(None),
            Some(addr) => return Ok(Some(addr.to_owned())),
            None => {}
        }
        let parts = listen.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
        let Some((host, port)) = parts else {
            return Err(NodeError::Flags(format!("{listen:?} is no HOST:PORT to listen on")));
        };
        // Port 0 takes a free one, here as there.
        let port = if port == 0 { Some(0) } else { port.checked_add(STATUS_PORT_OFFSET) };
        let port = port.ok_or_else(|| {
            NodeError::Flags(format!("no port is left {STATUS_PORT_OFFSET} above {listen}; give --status-addr"))
        })?;
        Ok(Some(format!("{host}:{port}")))
    }
}

/// Seconds in ticks; one at least, unless it is 0.
fn ticks(seconds: u32, tick: Duration) -> usize {
    let ticks = Duration::from_secs(seconds.into()).as_millis() / tick.as_millis().max(1);
    usize::try_from(ticks).unwrap_or(usize::MAX).max(usize::from(seconds > 0))
}

fn mib(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX).saturating_mul(1 << 20)
}
