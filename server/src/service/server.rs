//! Everything that a node serves over gRPC, with its limits: TinyKv, Tikv, Admin, raft streams, health, reflection.
//! Each limit is set on purpose: no client may take the memory or the connections of the others.

use nokv_engine::Engine;
use nokv_proto::FILE_DESCRIPTOR_SET;
use nokv_proto::etcdserverpb::cluster_server::ClusterServer;
use nokv_proto::etcdserverpb::kv_server::KvServer;
use nokv_proto::keyspacepb::keyspace_server::KeyspaceServer;
use nokv_proto::nokvpb::admin_server::{AdminServer, SERVICE_NAME as ADMIN};
use nokv_proto::nokvpb::placement_server::PlacementServer;
use nokv_proto::nokvpb::raft_transport_server::SERVICE_NAME as RAFT_TRANSPORT;
use nokv_proto::pdpb::pd_server::PdServer;
use nokv_proto::schedulerpb::scheduler_server::SchedulerServer;
use nokv_proto::tikvpb::tikv_server::{SERVICE_NAME as TIKV, TikvServer};
use nokv_proto::tinykvpb::tiny_kv_server::{SERVICE_NAME as TINY_KV, TinyKvServer};
use nokv_transport::grpc::{self, GrpcOptions, RaftTransportService};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::service::Routes;
use tonic::transport::server::{Router, TcpIncoming};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::admin::AdminService;
use super::calls::Calls;
use super::tikv::TikvService;
use super::tinykv::TinyKvService;
use crate::admin::{Meeting, RegionAdmin};
use crate::executor::Executor;
use crate::placement::{EtcdService, PdService, Placement, SchedulerService, ViewService, pages};

/// The largest request and the largest answer, in bytes. A larger request is refused with `OutOfRange` as soon as its
/// length is known; a write is bounded further by what one log entry takes.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The largest frame of a stream of batches, in bytes: room for the largest request, and others with it.
const FRAME_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// The services that a node serves besides health and reflection.
pub const SERVICE_NAMES: [&str; 4] = [TINY_KV, TIKV, ADMIN, RAFT_TRANSPORT];

/// Requests under way on one connection; a client with more waits in its own stack, or opens another.
const STREAMS_PER_CONNECTION_MAX: u32 = 2_048;
/// Requests that a client may give up in a row before it is taken for an attack. A client whose deadline strikes gives
/// up everything at once.
const RESETS_PENDING_MAX: usize = 4_096;
/// How often the kernel probes a connection: only a second line behind the keep-alive of HTTP/2.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// A node's gRPC server, ready to serve.
pub struct GrpcServer {
    router: Router,
    health: HealthReporter,
    /// Tells streams, which would never end by themselves.
    stopping: watch::Sender<bool>,
}

impl GrpcServer {
    /// Puts the services on executor, admin and meeting together; `raft` takes the streams of other nodes. Placement,
    /// where it is hosted, is served under both of its names.
    ///
    /// # Errors
    /// If what reflection tells is not whole, which is a mistake of the build.
    pub async fn new<E: Engine>(
        (executor, admin, meeting): (Executor<E>, RegionAdmin<E>, Meeting<E>),
        raft: RaftTransportService,
        calls: Arc<Calls>,
        placement: Option<&Placement>,
        options: &GrpcOptions,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let (stopping, stopped) = watch::channel(false);
        let tikv = TikvServer::new(TikvService::new(executor.clone(), admin.clone(), calls.clone(), stopped))
            .max_decoding_message_size(FRAME_BYTES_MAX)
            .max_encoding_message_size(FRAME_BYTES_MAX);
        let tinykv = TinyKvServer::new(TinyKvService::new(executor, raft.clone(), calls))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let admin = AdminServer::new(AdminService::new(admin, meeting)).max_encoding_message_size(MESSAGE_BYTES_MAX);
        let (health, health_service) = tonic_health::server::health_reporter();
        for name in SERVICE_NAMES {
            health.set_service_status(name, ServingStatus::Serving).await;
        }
        let router = grpc::server(options)
            .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
            .http2_max_pending_accept_reset_streams(Some(RESETS_PENDING_MAX))
            .accept_http1(placement.is_some())
            .add_routes(placement.map(placement_routes).unwrap_or_default())
            .add_service(tinykv)
            .add_service(tikv)
            .add_service(admin)
            .add_service(raft.into_server())
            .add_service(health_service)
            .add_service(describe().build_v1()?)
            .add_service(describe().build_v1alpha()?);
        Ok(Self { router, health, stopping })
    }

    /// Tells health checks that this node is about to stop.
    pub fn health(&self) -> HealthReporter {
        self.health.clone()
    }

    /// Serves until `stop` resolves and the connections are drained.
    ///
    /// # Errors
    /// If the listener fails for good.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), tonic::transport::Error> {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(TCP_KEEPALIVE));
        let stopping = self.stopping;
        let stop = async move {
            stop.await;
            stopping.send_replace(true);
        };
        self.router.serve_with_incoming_shutdown(incoming, stop).await
    }
}

impl std::fmt::Debug for GrpcServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GrpcServer").finish_non_exhaustive()
    }
}

/// Placement under all of its names, and its pages.
fn placement_routes(placement: &Placement) -> Routes {
    let pd = PdServer::new(PdService::new(placement.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let scheduler =
        SchedulerServer::new(SchedulerService::new(placement.clone())).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let view = PlacementServer::new(ViewService::new(placement.clone())).max_encoding_message_size(MESSAGE_BYTES_MAX);
    let etcd = EtcdService::new(placement.clone());
    let mut routes = Routes::new(pd)
        .add_service(scheduler)
        .add_service(view)
        .add_service(ClusterServer::new(etcd.clone()))
        .add_service(KvServer::new(etcd.clone()))
        .add_service(KeyspaceServer::new(etcd));
    let router = std::mem::take(routes.axum_router_mut());
    *routes.axum_router_mut() = router.merge(pages(placement.clone()));
    routes
}

/// What reflection tells: the services that are served, out of all that are described.
fn describe() -> tonic_reflection::server::Builder<'static> {
    let described = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("grpc.health.v1.Health");
    SERVICE_NAMES.into_iter().fold(described, tonic_reflection::server::Builder::with_service_name)
}
