//! The flags with which a command finds the cluster, and the client made from them.
//!
//! Everything comes from the topology file or from the cluster itself; `--tso` overrides where timestamps come from.
//! Raw keys need no timestamps, so they can be read and written without a timestamp server.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use futures_util::future::BoxFuture;
use nokv_client::{
    AskingDirectory, Client, GrpcRpc, Located, NetworkOracle, Options, OracleError, PlacementDirectory, Timestamp,
    TimestampOracle,
};
use tokio::time::Instant;

use super::args::OutputArgs;
use super::exit::{Answer, Failure};
use super::find_args::FindArgs;
use crate::config::{AddressScope, Topology};

/// The longest time an operation may be given; a longer one would look like a hang.
const TIMEOUT_SECONDS_MAX: u64 = 3_600;

#[derive(Clone, Debug, Args)]
pub(super) struct ConnectArgs {
    #[command(flatten)]
    pub(super) find: FindArgs,
    #[command(flatten)]
    pub(super) stores: StoreArgs,
    /// URL of the timestamp server, as http://HOST:PORT [default: that of the topology file, else placement]
    #[arg(long, value_name = "URL")]
    tso: Option<String>,
    #[command(flatten)]
    pub(super) output: OutputArgs,
}

/// How stores are reached.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct StoreArgs {
    /// Which addresses of the topology file are used
    #[arg(long, value_enum, default_value_t, value_name = "SCOPE")]
    pub(super) scope: AddressScope,
    /// How long one operation is tried before it fails, in seconds (1 to 3600)
    #[arg(long, default_value_t = 10, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..=TIMEOUT_SECONDS_MAX))]
    pub(super) timeout: u64,
}

/// Whether a command can do without a timestamp server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timestamps {
    Needed,
    NotNeeded,
}

impl ConnectArgs {
    /// Runs `command` with a client, then lets its background work end, within what is left of the time given.
    pub(super) fn with_client<F>(
        &self,
        timestamps: Timestamps,
        command: impl FnOnce(Client) -> F,
    ) -> Result<Answer, Failure>
    where
        F: Future<Output = Result<Answer, Failure>>,
    {
        let client = self.client(timestamps)?;
        let timeout = Duration::from_secs(self.stores.timeout);
        block_on(async {
            let began = Instant::now();
            let outcome = command(client.clone()).await;
            // Secondary commits and clean-ups: what is not done in time is done by whoever meets it.
            // An operation that failed for want of a quorum has used its time up; its clean-up would fail for the same
            // reason, and must not hold the answer back.
            let _ = tokio::time::timeout(timeout.saturating_sub(began.elapsed()), client.drain()).await;
            outcome
        })?
    }

    fn client(&self, timestamps: Timestamps) -> Result<Client, Failure> {
        let options = Options { deadline: Duration::from_secs(self.stores.timeout), ..Options::default() };
        let Some(file) = &self.find.config else { return self.client_of_placement(options) };
        let topology = Topology::load(file)?;
        let url = self.tso.as_deref().or(topology.tso.as_ref().map(|tso| tso.advertise_url.as_str()));
        let oracle: Arc<dyn TimestampOracle> = match (url, timestamps) {
            (Some(url), _) => Arc::new(NetworkOracle::new(url)?),
            (None, Timestamps::NotNeeded) => Arc::new(NoOracle),
            (None, Timestamps::Needed) => {
                return Err(Failure::usage("the topology file names no timestamp server; name one by --tso URL"));
            }
        };
        let rpc = Arc::new(GrpcRpc::default());
        let directory = AskingDirectory::new(rpc.clone(), client_topology(&topology, self.stores.scope)?);
        Ok(Client::new(rpc, oracle, Arc::new(directory), options))
    }

    fn client_of_placement(&self, options: Options) -> Result<Client, Failure> {
        let link = self.find.link(self.stores.scope)?;
        let Some(url) = &self.tso else { return Ok(Client::connect_to_placement(link, options)) };
        let rpc = Arc::new(GrpcRpc::default());
        let directory = PlacementDirectory::new(link, rpc.clone());
        Ok(Client::new(rpc, Arc::new(NetworkOracle::new(url)?), Arc::new(directory), options))
    }
}

/// Runs a future to its end on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::error(format!("cannot start the network: {error}")))?;
    Ok(runtime.block_on(future))
}

fn client_topology(topology: &Topology, scope: AddressScope) -> Result<nokv_client::Topology, Failure> {
    let stores = topology.stores.iter().map(|store| (store.store_id.0, store.advertised(scope).to_string()));
    let regions =
        topology.regions.iter().map(|region| Located { region: region.to_metapb(), leader: region.leader_peer() });
    Ok(nokv_client::Topology::new(stores, regions)?)
}

/// Stands where a timestamp server is not needed.
#[derive(Debug)]
struct NoOracle;

impl TimestampOracle for NoOracle {
    fn timestamps(&self, _count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
        let error = OracleError::Protocol("there is no timestamp server, and raw keys should need none".into());
        Box::pin(std::future::ready(Err(error)))
    }
}
