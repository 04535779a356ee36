//! The gRPC edge against real sockets: the whole client over it, and what each kind of failure is called.
//! Ports are given by the system, and nothing waits but for an answer or a deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nokv_client::{Client, GrpcOptions, GrpcRpc, Options, Rpc, RpcError, ScanRange, StaticDirectory, Topology};
use nokv_proto::tinykvpb::tiny_kv_server::{TinyKv, TinyKvServer};
use nokv_proto::{coprocessor, kvrpcpb, raft_serverpb};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use crate::cluster::{Cluster, address};

/// One store of the fake cluster as a gRPC service.
struct Store {
    cluster: Cluster,
    address: String,
}

macro_rules! tiny_kv {
    (tiny { $($method:ident: $request:ty => $response:ty;)* }) => {
        #[tonic::async_trait]
        impl TinyKv for Store {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let request = request.into_inner();
                refuse(request.context.as_ref().map(|context| context.region_id))?;
                let answer = self.cluster.$method(&self.address, request).await;
                answer.map(Response::new).map_err(|error| Status::unavailable(error.to_string()))
            })*

            async fn raft(
                &self,
                _: Request<Streaming<raft_serverpb::RaftMessage>>,
            ) -> Result<Response<raft_serverpb::Done>, Status> {
                Err(Status::unimplemented("raft"))
            }

            async fn snapshot(
                &self,
                _: Request<Streaming<raft_serverpb::SnapshotChunk>>,
            ) -> Result<Response<raft_serverpb::Done>, Status> {
                Err(Status::unimplemented("snapshot"))
            }

            async fn coprocessor(
                &self,
                _: Request<coprocessor::Request>,
            ) -> Result<Response<coprocessor::Response>, Status> {
                Err(Status::unimplemented("coprocessor"))
            }
        }
    };
}

nokv_proto::for_tiny_kv_calls!(tiny_kv);

/// Region ids that stand for a gRPC status.
fn refuse(region_id: Option<u64>) -> Result<(), Status> {
    match region_id {
        Some(901) => Err(Status::unimplemented("no such call")),
        Some(902) => Err(Status::invalid_argument("no region")),
        Some(903) => Err(Status::resource_exhausted("15 MiB at most")),
        Some(904) => Err(Status::internal("who knows")),
        _ => Ok(()),
    }
}

/// A server, as long as it is not stopped: then it closes its connections.
pub struct Served {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

pub async fn serve(cluster: &Cluster, store: u64, at: &str) -> Served {
    let listener = TcpListener::bind(at).await.unwrap();
    let bound = listener.local_addr().unwrap();
    let service = TinyKvServer::new(Store { cluster: cluster.clone(), address: address(store) });
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let incoming = TcpListenerStream::new(listener);
    let server = Server::builder().add_service(service).serve_with_incoming_shutdown(incoming, stopped);
    Served { address: bound, stop, ended: tokio::spawn(async move { server.await.unwrap() }) }
}

fn raw_get(region_id: u64) -> kvrpcpb::RawGetRequest {
    let context = kvrpcpb::Context { region_id, peer: Some(Default::default()), ..Default::default() };
    kvrpcpb::RawGetRequest { context: Some(context), key: "k".into(), ..Default::default() }
}

#[tokio::test]
async fn every_call_crosses_the_network() {
    let cluster = Cluster::new();
    let (mut stores, mut served) = (Vec::new(), Vec::new());
    for store in 1..=3 {
        let store_served = serve(&cluster, store, "127.0.0.1:0").await;
        stores.push((store, store_served.address.to_string()));
        served.push(store_served);
    }
    stores.push((4, "127.0.0.1:1".to_owned()));
    let topology = Topology::new(stores, cluster.topology().regions().cloned()).unwrap();
    let directory = Arc::new(StaticDirectory::new(topology));
    let rpc = Arc::new(GrpcRpc::default());
    // Nothing here depends on how fast it is, so nothing may fail for being slow.
    let patient = Duration::from_secs(120);
    let options = Options { deadline: patient, request_timeout: patient, ..Options::default() };
    let client = Client::new(rpc, Arc::new(cluster.clone()), directory, options);

    let mut transaction = client.begin().await.unwrap();
    transaction.put("apple", "1").unwrap();
    transaction.put("kiwi", vec![b'v'; 5 << 19]).unwrap();
    transaction.lock_key("quince").unwrap();
    transaction.commit().await.unwrap();
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);
    assert_eq!(client.scan(ScanRange::all(), 10).await.unwrap().len(), 2);
    client.delete("apple").await.unwrap();
    assert_eq!(client.get("apple").await.unwrap(), None);

    cluster.state.lock().refuse_commit = true;
    let mut refused = client.begin().await.unwrap();
    refused.put("apple", "2").unwrap();
    refused.commit().await.unwrap_err();
    client.drain().await;
    assert_eq!(cluster.locked(), [""; 0]);

    client.raw_put("apple", "raw").await.unwrap();
    assert_eq!(client.raw_scan(ScanRange::all(), 10).await.unwrap().len(), 1);
    client.raw_delete("apple").await.unwrap();
    assert_eq!(client.raw_get("apple").await.unwrap(), None);
}

#[tokio::test]
async fn failures_say_whether_the_request_can_have_run() {
    let cluster = Cluster::new();
    let options = GrpcOptions { connections_per_store: 1, ..GrpcOptions::default() };
    let rpc = GrpcRpc::new(GrpcOptions { connect_timeout: Duration::from_secs(60), ..options });
    let served = serve(&cluster, 1, "127.0.0.1:0").await;
    let at = served.address.to_string();
    let failed = async |region_id| rpc.raw_get(&at, raw_get(region_id)).await.unwrap_err();
    assert_eq!(failed(901).await, RpcError::Unimplemented("no such call".to_owned()));
    assert_eq!(failed(902).await, RpcError::Refused("no region".to_owned()));
    assert_eq!(failed(903).await, RpcError::TooLarge("15 MiB at most".to_owned()));
    let internal = failed(904).await;
    assert!(matches!(internal, RpcError::Other(_)) && internal.may_have_run(), "{internal}");

    // The store goes away and comes back at the same place: the connection mends itself.
    served.stop.send(()).unwrap();
    served.ended.await.unwrap();
    let gone = loop {
        // A request that still finds the old connection is lost with it.
        match rpc.raw_get(&at, raw_get(1)).await.unwrap_err() {
            RpcError::Disconnected(_) => {}
            error => break error,
        }
    };
    assert!(matches!(&gone, RpcError::Unreachable(text) if text.contains("refused")), "{gone:?}");
    assert!(!gone.may_have_run());
    let _served = serve(&cluster, 1, &at).await;
    rpc.raw_get(&at, raw_get(1)).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_request_leaves_it_unknown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
        }
    });
    let rpc = GrpcRpc::new(GrpcOptions { connect_timeout: Duration::from_secs(60), ..GrpcOptions::default() });
    let error = rpc.raw_put(&at, kvrpcpb::RawPutRequest::default()).await.unwrap_err();
    assert!(matches!(error, RpcError::Disconnected(_)) && error.may_have_run(), "{error:?}");
}
