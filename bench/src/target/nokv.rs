//! A NoKV cluster (or any TinyKv server) through our own client: what its users get, region cache and all.
//! Requests are calls of their own or many on a stream; timestamps come from the configured server.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use nokv_client::{
    AbortReason, AskingDirectory, Client, Error, GrpcOptions, GrpcRpc, Mutation, NetworkOracle, Options,
    PlacementDirectory, PlacementLink, PlacementOracle, Rpc, ScanRange, StreamOptions, StreamRpc, Timestamp, Topology,
    Transport,
};

use super::{Outcome, Target};
use crate::error::{BenchError, Result};
use crate::workload::{Operation, Workload};

/// Requests that the loading phase has under way at once.
const LOAD_CONCURRENCY: usize = 64;
/// How often an operation that reads what it writes is begun again after a conflict, as its user would.
const RETRIES_MAX: u32 = 10;

/// A cluster behind our client.
pub(super) struct Nokv {
    client: Client,
    run_ts: Timestamp,
}

/// HOST:PORT.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn rpc(connections: usize, transport: Transport) -> Arc<dyn Rpc> {
    let grpc = GrpcOptions { connections_per_store: connections, ..GrpcOptions::default() };
    match transport {
        Transport::Unary => Arc::new(GrpcRpc::new(grpc)),
        Transport::Stream => {
            let streams_per_store = connections;
            Arc::new(StreamRpc::new(StreamOptions { grpc, streams_per_store, ..StreamOptions::default() }))
        }
    }
}

impl Nokv {
    /// So many connections to each store; on streams, one stream for each. `config` is a topology file, or the
    /// addresses of nodes that host placement.
    pub(super) fn connect(config: &str, connections: usize, transport: Transport) -> Result<Self> {
        let rpc = rpc(connections, transport);
        if !std::path::Path::new(config).exists() && config.split(',').all(is_address) {
            let link = PlacementLink::new(config.split(',').map(str::to_owned));
            let directory = PlacementDirectory::new(link.clone(), rpc.clone());
            let oracle = PlacementOracle::new(link);
            let client = Client::new(rpc, Arc::new(oracle), Arc::new(directory), Options::default());
            return Ok(Self { client, run_ts: Timestamp(0) });
        }
        let file = |reason: String| BenchError::File { path: config.to_owned(), reason };
        let json = std::fs::read_to_string(config).map_err(|error| file(error.to_string()))?;
        let topology = Topology::from_config_json(&json).map_err(|error| file(error.to_string()))?;
        let value: serde_json::Value = serde_json::from_str(&json).map_err(|error| file(error.to_string()))?;
        let tso = value.pointer("/tso/advertise_url").and_then(|url| url.as_str());
        let tso = tso.ok_or_else(|| file("tso.advertise_url is missing".to_owned()))?;
        let oracle = NetworkOracle::new(tso).map_err(|error| file(error.to_string()))?;
        let directory = AskingDirectory::new(rpc.clone(), topology);
        let client = Client::new(rpc, Arc::new(oracle), Arc::new(directory), Options::default());
        Ok(Self { client, run_ts: Timestamp(0) })
    }

    async fn once(&self, operation: &Operation) -> nokv_client::Result<()> {
        let client = &self.client;
        match operation {
            Operation::RawPut(key, value) => client.raw_put(key, value.clone()).await,
            Operation::RawGet(key) => client.raw_get(key).await.map(drop),
            Operation::Get(key) => client.get(key).await.map(drop),
            Operation::GetAt(key) | Operation::StaleGet(key) => client.get_at(key, self.run_ts).await.map(drop),
            Operation::Scan(key, rows) => client.scan(ScanRange::new(key, ""), *rows).await.map(drop),
            Operation::Txn(pairs) => self.write(pairs).await,
            Operation::ReadModifyWrite(key, value) => {
                let mut transaction = client.begin().await?;
                transaction.get(key).await?;
                transaction.put(key, value.clone())?;
                transaction.commit().await.map(drop)
            }
            Operation::Transfer(from, to) => self.transfer(from, to).await,
        }
    }

    async fn write(&self, pairs: &[(Bytes, Bytes)]) -> nokv_client::Result<()> {
        let mutations: Vec<_> = pairs.iter().map(|(key, value)| Mutation::put(key, value.clone())).collect();
        if mutations.is_empty() { Ok(()) } else { self.client.write_together(mutations).await.map(drop) }
    }

    /// Balances are the first eight bytes of the values, little-endian, and wrap.
    async fn transfer(&self, from: &Bytes, to: &Bytes) -> nokv_client::Result<()> {
        let mut transaction = self.client.begin().await?;
        let values = transaction.batch_get([from, to]).await?;
        for (key, change) in [(from, 1u64.wrapping_neg()), (to, 1)] {
            let mut value = values.get(key).map_or_else(|| vec![0; 8], |value| value.to_vec());
            if let Some(head) = value.first_chunk_mut::<8>() {
                *head = u64::from_le_bytes(*head).wrapping_add(change).to_le_bytes();
            }
            transaction.put(key, value)?;
        }
        transaction.commit().await.map(drop)
    }
}

impl Target for Nokv {
    fn run(&self, operation: Operation) -> BoxFuture<'_, Outcome> {
        async move {
            let mut retries = 0;
            loop {
                match self.once(&operation).await {
                    Ok(()) => return Ok(retries),
                    Err(Error::Aborted { .. }) if operation.reads_what_it_writes() && retries < RETRIES_MAX => {
                        retries += 1;
                    }
                    Err(error) => return Err(kind(error)),
                }
            }
        }
        .boxed()
    }

    fn load(&self, pairs: Vec<(Bytes, Bytes)>, raw: bool) -> BoxFuture<'_, std::result::Result<(), String>> {
        async move {
            if !raw {
                return self.write(&pairs).await.map_err(|error| error.to_string());
            }
            let puts = stream::iter(pairs).map(|(key, value)| self.client.raw_put(key, value));
            puts.buffer_unordered(LOAD_CONCURRENCY).try_collect().await.map_err(|error| error.to_string())
        }
        .boxed()
    }

    /// Secondaries of the loading transactions are committed, and a snapshot taken now sees all of them.
    fn loaded(&mut self, workload: Workload) -> BoxFuture<'_, std::result::Result<(), String>> {
        async move {
            self.client.drain().await;
            if !workload.is_raw() {
                self.run_ts = self.client.timestamp().await.map_err(|error| error.to_string())?;
            }
            Ok(())
        }
        .boxed()
    }
}

/// The error without the keys and timestamps that would make each one different.
fn kind(error: Error) -> String {
    match error {
        Error::Aborted { reason: AbortReason::Conflict { .. }, .. } => "aborted: conflict".to_owned(),
        Error::Aborted { reason: AbortReason::Locked { .. }, .. } => "aborted: locked".to_owned(),
        Error::Aborted { reason: AbortReason::RolledBack(_), .. } => "aborted: rolled back by another".to_owned(),
        Error::Locked { .. } => "read waited for a lock until its deadline".to_owned(),
        Error::Unavailable { last, .. } => format!("unavailable: {last}"),
        Error::Undetermined { last, .. } => format!("undetermined: {last}"),
        other => other.to_string(),
    }
}
