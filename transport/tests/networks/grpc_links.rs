//! The sending side of the gRPC network: batching, peers that are dead or stuck, addresses that change, the end.
//! Timeouts that a test is about are short, all others are long, so that only the one in question can have acted.

use std::sync::Arc;
use std::time::Duration;

use nokv_proto::nokvpb::ImageChunk;
use nokv_proto::nokvpb::raft_transport_server::{RaftTransport, RaftTransportServer};
use nokv_proto::raft_serverpb::Done;
use nokv_proto::tikvpb::BatchRaftMessage;
use nokv_transport::grpc::{GrpcNetwork, GrpcOptions, LinkState, server};
use nokv_transport::{AddressBook, Network, SendRefused};
use slog::{Discard, Logger, o};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

use crate::contract::{ONE, Rig, THREE, TWO};
use crate::grpc_rig::GrpcRig;
use crate::recorder::{Bell, Recorder, message, sized_message};

const NEVER: Duration = Duration::from_secs(3600);

/// Nothing times out, and after a failure nothing is dialled again.
fn patient() -> GrpcOptions {
    GrpcOptions {
        connect_timeout: NEVER,
        keepalive_interval: NEVER,
        keepalive_timeout: NEVER,
        stall_timeout: NEVER,
        backoff_min: NEVER,
        backoff_max: NEVER,
        ..GrpcOptions::default()
    }
}

#[test]
fn what_waits_for_a_connection_goes_out_as_one_batch() {
    // The sender's runtime runs only within block_on, so all messages are there before it dials.
    let mut rig = GrpcRig::with(patient());
    rig.start(TWO);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let logger = Logger::root(Discard, o!());
    let network = GrpcNetwork::start(ONE, rig.book.clone(), rig.options, runtime.handle().clone(), &logger);
    for number in 0..500 {
        network.send(TWO, message(ONE, TWO, number)).unwrap();
    }
    let at_two = rig.inbox(TWO);
    runtime.block_on(async {
        while at_two.count() < 500 {
            tokio::task::yield_now().await;
        }
    });
    let sample = |name: &str| network.samples().iter().find(|sample| sample.name == name).unwrap().value;
    assert_eq!(sample("transport_sent_messages_total"), 500);
    assert_eq!(sample("transport_sent_batches_total"), 1);
    assert_eq!(rig.counter(TWO, "transport_received_batches_total", None), 1);
    assert_eq!(rig.counter(TWO, "transport_received_messages_total", None), 500);
}

#[test]
fn a_peer_that_answers_nothing_is_found_although_nothing_is_sent_to_it() {
    let keepalive = Duration::from_millis(50);
    let mut rig =
        GrpcRig::with(GrpcOptions { keepalive_interval: keepalive, keepalive_timeout: keepalive, ..patient() });
    rig.start(ONE);
    rig.black_hole(TWO);
    rig.network(ONE).send(TWO, message(ONE, TWO, 1)).unwrap();
    let at_one = rig.inbox(ONE);
    rig.wait_until(|| at_one.unreachable_reports(TWO) == 1);
    assert_eq!(rig.counter(ONE, "transport_streams_broken_total", None), 1);
    assert_eq!(rig.counter(ONE, "transport_streams_stalled_total", None), 0);
}

/// A receiver whose connection lives but which reads nothing. It counts the streams that are open.
#[derive(Clone, Default)]
struct Stuck {
    open_streams: Arc<()>,
}

#[tonic::async_trait]
impl RaftTransport for Stuck {
    async fn stream(&self, request: Request<Streaming<BatchRaftMessage>>) -> Result<Response<Done>, Status> {
        let _unread = (request, Arc::clone(&self.open_streams));
        std::future::pending().await
    }

    async fn image(&self, request: Request<Streaming<ImageChunk>>) -> Result<Response<Done>, Status> {
        let _unread = request;
        std::future::pending().await
    }
}

#[test]
fn a_stream_that_takes_nothing_is_given_up() {
    let mut rig = GrpcRig::with(GrpcOptions { stall_timeout: Duration::from_millis(100), ..patient() });
    rig.start(ONE);
    rig.start(THREE);
    let runtime = rig.node(THREE).runtime();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    rig.book.set(TWO, &listener.local_addr().unwrap().to_string()).unwrap();
    let stuck = Stuck::default();
    let service = RaftTransportServer::from_arc(Arc::new(stuck.clone()));
    runtime.spawn(server(&rig.options).add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));

    let (one, at_one) = (rig.network(ONE), rig.inbox(ONE));
    while at_one.unreachable_reports(TWO) == 0 {
        let full = one.send(TWO, sized_message(ONE, TWO, 1, 1 << 20)) == Err(SendRefused::QueueFull);
        let queued_bytes: usize = rig.node(ONE).network.links().iter().map(|link| link.queued_bytes).sum();
        assert!(queued_bytes <= rig.options.queue_bytes_max, "{queued_bytes} bytes wait");
        if full {
            rig.tick();
        }
    }
    assert_eq!(rig.counter(ONE, "transport_streams_stalled_total", None), 1);
    assert!(rig.counter(ONE, "transport_dropped_messages_total", Some("queue_full")) > 0);
    assert_eq!(one.send(TWO, message(ONE, TWO, 2)), Err(SendRefused::Disconnected), "no attempt is due");
    assert_eq!(rig.queued(ONE, TWO), 0);
    // Ours, the service's, and none of a stream: what was given up is closed, not left behind with its window's bytes.
    rig.wait_until(|| Arc::strong_count(&stuck.open_streams) == 2);
}

#[test]
fn each_failed_attempt_is_reported_once() {
    let millisecond = Duration::from_millis(1);
    let mut rig =
        GrpcRig::with(GrpcOptions { backoff_min: millisecond, backoff_max: millisecond, ..GrpcOptions::default() });
    rig.start(ONE);
    rig.start(TWO);
    rig.kill(TWO);
    let (one, at_one) = (rig.network(ONE), rig.inbox(ONE));
    while at_one.unreachable_reports(TWO) < 5 {
        let _refused = one.send(TWO, message(ONE, TWO, 1));
        rig.tick();
    }
    // No attempt starts without a message, so the numbers stand still once the link is idle.
    let network = Arc::clone(&rig.node(ONE).network);
    rig.wait_until(|| network.links().iter().all(|link| link.state == LinkState::Idle && link.queued_messages == 0));
    let failures = rig.counter(ONE, "transport_connect_failures_total", None);
    assert_eq!(at_one.unreachable_reports(TWO) as u64, failures);
}

#[test]
fn a_store_that_is_heard_of_is_dialled_without_waiting() {
    let mut rig = GrpcRig::with(patient());
    rig.start(ONE);
    rig.start(TWO);
    rig.kill(TWO);
    let (one, at_one) = (rig.network(ONE), rig.inbox(ONE));
    one.send(TWO, message(ONE, TWO, 1)).unwrap();
    rig.wait_until(|| at_one.unreachable_reports(TWO) == 1);

    rig.start(TWO);
    let at_two = rig.inbox(TWO);
    assert_eq!(one.send(TWO, message(ONE, TWO, 2)), Err(SendRefused::Disconnected), "the pause is an hour");
    rig.network(TWO).send(ONE, message(TWO, ONE, 3)).unwrap();
    while at_two.count() == 0 {
        let _until_the_pause_ends = one.send(TWO, message(ONE, TWO, 4));
        rig.tick();
    }
    assert_eq!(at_one.numbers(), [3]);
}

#[test]
fn a_store_that_moved_is_followed_and_one_that_left_is_refused() {
    let mut rig = GrpcRig::with(GrpcOptions { stall_timeout: Duration::from_millis(100), ..patient() });
    rig.start(ONE);
    rig.start(TWO);
    let (one, old) = (rig.network(ONE), rig.inbox(TWO));
    one.send(TWO, message(ONE, TWO, 1)).unwrap();
    rig.wait_until(|| old.count() == 1);

    let mut elsewhere = GrpcRig::with(patient());
    elsewhere.start(TWO);
    let new = elsewhere.inbox(TWO);
    rig.book.set(TWO, &elsewhere.address(TWO).to_string()).unwrap();
    while new.count() == 0 {
        assert_eq!(one.send(TWO, message(ONE, TWO, 2)), Ok(()), "moving is no failure");
        rig.tick();
    }
    assert_eq!(rig.inbox(ONE).unreachable_reports(TWO), 0);

    rig.book.remove(TWO);
    while one.send(TWO, message(ONE, TWO, 3)) != Err(SendRefused::UnknownStore) {
        rig.tick();
    }
    rig.book.set(TWO, &rig.address(TWO).to_string()).unwrap();
    one.send(TWO, message(ONE, TWO, 4)).unwrap();
    rig.wait_until(|| old.numbers().contains(&4));
}

#[test]
fn a_message_that_no_receiver_takes_is_refused_by_the_sender() {
    let mut rig = GrpcRig::with(GrpcOptions { message_bytes_max: 1000, ..patient() });
    rig.start(ONE);
    rig.start(TWO);
    let (one, at_two) = (rig.network(ONE), rig.inbox(TWO));
    assert_eq!(one.send(TWO, sized_message(ONE, TWO, 1, 1000)), Err(SendRefused::TooLarge));
    assert_eq!(rig.counter(ONE, "transport_dropped_messages_total", Some("too_large")), 1);
    one.send(TWO, sized_message(ONE, TWO, 2, 900)).unwrap();
    rig.wait_until(|| at_two.count() == 1);
    assert_eq!(at_two.numbers(), [2]);
}

#[test]
fn a_node_that_stops_lets_its_server_end_and_refuses_what_is_sent() {
    let mut rig = GrpcRig::with(patient());
    rig.start(ONE);
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let logger = Logger::root(Discard, o!());
    let book = AddressBook::new();
    book.set(ONE, &rig.address(ONE).to_string()).unwrap();
    let network = GrpcNetwork::start(TWO, book, rig.options, runtime.handle().clone(), &logger);
    let recorder = Recorder::new(&Arc::new(Bell::default()));
    let inbox: Arc<Recorder> = Arc::clone(&recorder);
    let service = network.attach(inbox);
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    rig.book.set(TWO, &listener.local_addr().unwrap().to_string()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = runtime.spawn(server(&rig.options).add_service(service.into_server()).serve_with_incoming_shutdown(
        TcpListenerStream::new(listener),
        async {
            let _either_way = stopped.await;
        },
    ));
    let (one, at_one) = (rig.network(ONE), rig.inbox(ONE));
    one.send(TWO, message(ONE, TWO, 1)).unwrap();
    network.send(ONE, message(TWO, ONE, 2)).unwrap();
    rig.wait_until(|| recorder.count() == 1 && at_one.count() == 1);

    network.shutdown();
    stop.send(()).unwrap();
    // The server waits for its streams: without their end this would not return.
    runtime.block_on(served).unwrap().unwrap();
    rig.wait_until(|| at_one.unreachable_reports(TWO) == 1);
    assert_eq!(network.send(ONE, message(TWO, ONE, 3)), Err(SendRefused::Disconnected));
    // A network that is shut down holds no inbox; the last connections' tasks are about to let go of theirs.
    rig.wait_until(|| Arc::strong_count(&recorder) == 1);
}
