//! The client: shared state, how it is made, and its small operations.
//! Each larger behaviour is an `impl Client` in the file named after it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use nokv_percolator::Timestamp;

use crate::asking::AskingDirectory;
use crate::background::Background;
use crate::budget::{Budget, Jitter};
use crate::directory::RegionDirectory;
use crate::discover::DiscoveringDirectory;
use crate::error::{InvalidInput, Result};
use crate::grpc::GrpcRpc;
use crate::known_outcomes::KnownOutcomes;
use crate::network_oracle::NetworkOracle;
use crate::options::{Options, Transport};
use crate::oracle::TimestampOracle;
use crate::own_timestamp::OwnTimestampPause;
use crate::placement_directory::PlacementDirectory;
use crate::placement_link::PlacementLink;
use crate::placement_oracle::PlacementOracle;
use crate::router::Router;
use crate::rpc::Rpc;
use crate::stream_rpc::StreamRpc;
use crate::topology::Topology;

/// A client of one cluster. Cheap to clone; clones share connections and what was learned about regions.
///
/// Needs a tokio runtime with time (and, for the network, I/O) enabled wherever its methods are called.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) rpc: Arc<dyn Rpc>,
    pub(crate) oracle: Arc<dyn TimestampOracle>,
    pub(crate) router: Router,
    pub(crate) options: Options,
    pub(crate) outcomes: KnownOutcomes,
    pub(crate) own_timestamp_pause: OwnTimestampPause,
    pub(crate) background: Background,
    jitter: Jitter,
}

impl Client {
    /// A client over the given seams.
    pub fn new(
        rpc: Arc<dyn Rpc>,
        oracle: Arc<dyn TimestampOracle>,
        directory: Arc<dyn RegionDirectory>,
        options: Options,
    ) -> Self {
        let inner = Inner {
            rpc,
            oracle,
            router: Router::new(directory),
            outcomes: KnownOutcomes::default(),
            own_timestamp_pause: OwnTimestampPause::default(),
            background: Background::new(options.background_max),
            jitter: Jitter::new(options.seed),
            options,
        };
        Client { inner: Arc::new(inner) }
    }

    /// A client of the cluster with these stores, which are asked for their regions, and whose timestamps come from
    /// `nokv tso` at `tso_url` (`http://host:port`). Nothing is dialled before the first operation.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] if the URL is none.
    pub fn connect(topology: Topology, tso_url: &str, options: Options) -> Result<Self> {
        let oracle = NetworkOracle::new(tso_url)?;
        let rpc = over_network(&options);
        let directory = AskingDirectory::new(rpc.clone(), topology);
        Ok(Client::new(rpc, Arc::new(oracle), Arc::new(directory), options))
    }

    /// A client of the cluster whose stores are at `addresses` (host:port), some of them at least. Regions are found by
    /// asking the stores: see [`DiscoveringDirectory`]. Nothing is dialled before the first operation.
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] if the URL is none.
    pub fn connect_to(addresses: impl IntoIterator<Item = String>, tso_url: &str, options: Options) -> Result<Self> {
        let oracle = NetworkOracle::new(tso_url)?;
        let rpc = over_network(&options);
        let directory = DiscoveringDirectory::new(rpc.clone(), addresses);
        Ok(Client::new(rpc, Arc::new(oracle), Arc::new(directory), options))
    }

    /// A client of the cluster that has a node at one of `addresses` (host:port) and hosts its own placement, which
    /// knows the regions, the stores and the time. Nothing is dialled before the first operation.
    pub fn connect_to_cluster(addresses: impl IntoIterator<Item = String>, options: Options) -> Self {
        Client::connect_to_placement(PlacementLink::new(addresses), options)
    }

    /// The same, where the link is at hand.
    pub fn connect_to_placement(link: PlacementLink, options: Options) -> Self {
        let rpc = over_network(&options);
        let directory = PlacementDirectory::new(link.clone(), rpc.clone());
        Client::new(rpc, Arc::new(PlacementOracle::new(link)), Arc::new(directory), options)
    }

    /// The options it was made with.
    pub fn options(&self) -> &Options {
        &self.inner.options
    }

    /// A fresh timestamp, larger than all that anyone got before the call.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if the oracle does not answer by the deadline.
    pub async fn timestamp(&self) -> Result<Timestamp> {
        self.draw(&mut self.budget("timestamp")).await
    }

    /// Waits until all background work (commits of secondaries, clean-ups) is done. To be awaited before a process
    /// exits, so that it leaves no locks for others to resolve.
    pub async fn drain(&self) {
        self.inner.background.drained().await;
    }

    /// How often background work failed. Nothing is lost by it: whoever meets the locks left behind resolves them.
    pub fn background_failures(&self) -> u64 {
        self.inner.background.failures()
    }

    pub(crate) fn budget(&self, operation: &'static str) -> Budget {
        Budget::new(operation, self.inner.options.deadline, &self.inner.jitter)
    }

    /// # Errors
    /// [`InvalidInput`] if the key is empty or too long.
    pub(crate) fn check_key(&self, key: &[u8]) -> Result<()> {
        let bytes_max = self.inner.options.key_bytes_max;
        if key.is_empty() {
            return Err(InvalidInput::EmptyKey.into());
        }
        if key.len() > bytes_max {
            return Err(InvalidInput::KeyTooLong { bytes: key.len(), bytes_max }.into());
        }
        Ok(())
    }

    /// # Errors
    /// [`InvalidInput`] if the key is empty or too long, or the value too large.
    pub(crate) fn check_pair(&self, key: &Bytes, value: &Bytes) -> Result<()> {
        self.check_key(key)?;
        let bytes_max = self.inner.options.value_bytes_max;
        if value.len() > bytes_max {
            return Err(InvalidInput::ValueTooLarge { key: key.clone(), bytes: value.len(), bytes_max }.into());
        }
        Ok(())
    }
}

fn over_network(options: &Options) -> Arc<dyn Rpc> {
    match options.transport {
        Transport::Unary => Arc::new(GrpcRpc::default()),
        Transport::Stream => Arc::new(StreamRpc::default()),
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.inner.options).finish_non_exhaustive()
    }
}
