//! etcd over its own gRPC: Put, and Range from the leader's state or from whatever member is asked.
//! The members named are asked in turn, as etcd's own benchmark does.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use nokv_proto::etcdserverpb::kv_client::KvClient;
use nokv_proto::etcdserverpb::{PutRequest, RangeRequest};
use tonic::transport::{Channel, Endpoint};

use super::{Outcome, Target};
use crate::error::{BenchError, Result};
use crate::workload::{Operation, Workload};

/// Puts that the loading phase has under way at once.
const LOAD_CONCURRENCY: usize = 64;

/// An etcd cluster.
pub(super) struct Etcd {
    members: Vec<KvClient<Channel>>,
    turn: AtomicUsize,
}

impl Etcd {
    pub(super) fn connect(addresses: &str, connections: usize) -> Result<Self> {
        let mut members = Vec::new();
        for _ in 0..connections.max(1) {
            for address in addresses.split(',') {
                let endpoint = Endpoint::from_shared(format!("http://{address}"))
                    .map_err(|error| BenchError::Setting(format!("etcd address {address:?}: {error}")))?;
                members.push(KvClient::new(endpoint.tcp_nodelay(true).http2_adaptive_window(true).connect_lazy()));
            }
        }
        Ok(Self { members, turn: AtomicUsize::new(0) })
    }

    fn member(&self) -> KvClient<Channel> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.members.len().max(1);
        self.members.get(turn).cloned().expect("connect makes at least one member")
    }

    async fn put(&self, key: Bytes, value: Bytes) -> std::result::Result<(), String> {
        let request = PutRequest { key, value, ..Default::default() };
        self.member().put(request).await.map(drop).map_err(|status| status.message().to_owned())
    }

    async fn range(&self, request: RangeRequest) -> std::result::Result<(), String> {
        self.member().range(request).await.map(drop).map_err(|status| status.message().to_owned())
    }
}

impl Target for Etcd {
    fn refuses(&self, workload: Workload) -> Option<String> {
        let unfit =
            matches!(workload, Workload::Txn | Workload::ReadModifyWrite | Workload::Transfer | Workload::YcsbF);
        unfit.then(|| "etcd is measured with puts and ranges only; choose one by --vs-workload".to_owned())
    }

    fn run(&self, operation: Operation) -> BoxFuture<'_, Outcome> {
        async move {
            let done = match operation {
                Operation::RawPut(key, value) => self.put(key, value).await,
                Operation::RawGet(key) | Operation::Get(key) | Operation::GetAt(key) => {
                    self.range(RangeRequest { key, ..Default::default() }).await
                }
                Operation::StaleGet(key) => {
                    self.range(RangeRequest { key, serializable: true, ..Default::default() }).await
                }
                Operation::Scan(key, rows) => {
                    let limit = i64::try_from(rows).unwrap_or(i64::MAX);
                    let range_end = Bytes::from_static(&[0]);
                    self.range(RangeRequest { key, range_end, limit, ..Default::default() }).await
                }
                Operation::Txn(mut pairs) if pairs.len() == 1 => match pairs.pop() {
                    Some((key, value)) => self.put(key, value).await,
                    None => Ok(()),
                },
                Operation::Txn(_) | Operation::ReadModifyWrite(..) | Operation::Transfer(..) => {
                    Err("etcd is not measured with this operation".to_owned())
                }
            };
            done.map(|()| 0)
        }
        .boxed()
    }

    fn load(&self, pairs: Vec<(Bytes, Bytes)>, _raw: bool) -> BoxFuture<'_, std::result::Result<(), String>> {
        let puts = stream::iter(pairs).map(|(key, value)| self.put(key, value));
        puts.buffer_unordered(LOAD_CONCURRENCY).try_collect().boxed()
    }
}
