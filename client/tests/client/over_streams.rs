//! Requests over streams, against a server whose streams a test answers by hand: what leaves together, whose answer is
//! whose, and what each way to lose a stream means for the requests on it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use nokv_client::{Client, GrpcOptions, Options, Rpc, RpcError, StaticDirectory, StreamOptions, StreamRpc, Topology};
use nokv_proto::kvrpcpb::{RawGetRequest, RawGetResponse, RawPutRequest, RawPutResponse};
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::batch_commands_response::Response as Answer;
use nokv_proto::tikvpb::batch_commands_response::response::Cmd as Reply;
use nokv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse, Refusal};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::cluster::Cluster;
use crate::over_grpc::serve;

/// One stream that a client opened, in the hands of the test. Dropped, it ends.
struct Opened {
    frames: Streaming<BatchCommandsRequest>,
    answers: mpsc::UnboundedSender<Result<BatchCommandsResponse, Status>>,
}

impl Opened {
    /// The next frame's requests: their ids and, as text, the raw keys they are about.
    async fn frame(&mut self) -> Vec<(u64, String)> {
        let frame = self.frames.message().await.unwrap().unwrap();
        assert_eq!(frame.requests.len(), frame.request_ids.len());
        let key = |request: nokv_proto::tikvpb::batch_commands_request::Request| match request.cmd {
            Some(Cmd::RawGet(get)) => get.key,
            Some(Cmd::RawPut(put)) => put.key,
            other => panic!("{other:?}"),
        };
        let keys = frame.requests.into_iter().map(key).map(|key| String::from_utf8(key.to_vec()).unwrap());
        frame.request_ids.into_iter().zip(keys).collect()
    }

    fn answer(&self, replies: Vec<(u64, Reply)>) {
        self.answer_with(replies, Vec::new());
    }

    fn answer_with(&self, replies: Vec<(u64, Reply)>, refusals: Vec<Refusal>) {
        let (request_ids, replies): (Vec<_>, Vec<_>) = replies.into_iter().unzip();
        let responses = replies.into_iter().map(|reply| Answer { cmd: Some(reply) }).collect();
        let frame = BatchCommandsResponse { responses, request_ids, refusals, ..Default::default() };
        // A client that has gone is none of the test's business.
        let _ = self.answers.send(Ok(frame));
    }
}

/// `tikvpb.Tikv` with nothing but streams.
#[derive(Clone)]
struct Streams(mpsc::UnboundedSender<Opened>);

impl NamedService for Streams {
    const NAME: &'static str = "tikvpb.Tikv";
}

impl Service<http::Request<Body>> for Streams {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        assert_eq!(request.uri().path(), "/tikvpb.Tikv/BatchCommands");
        let open = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).streaming(open, request).await) })
    }
}

impl StreamingService<BatchCommandsRequest> for Streams {
    type Response = BatchCommandsResponse;
    type ResponseStream = UnboundedReceiverStream<Result<BatchCommandsResponse, Status>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<BatchCommandsRequest>>) -> Self::Future {
        let (answers, outgoing) = mpsc::unbounded_channel();
        self.0.send(Opened { frames: request.into_inner(), answers }).ok();
        std::future::ready(Ok(Response::new(UnboundedReceiverStream::new(outgoing))))
    }
}

/// A store at a free port, and the streams that are opened to it.
async fn store(at: &str) -> (SocketAddr, mpsc::UnboundedReceiver<Opened>) {
    let listener = TcpListener::bind(at).await.unwrap();
    let bound = listener.local_addr().unwrap();
    let (opened, streams) = mpsc::unbounded_channel();
    let server = Server::builder().add_service(Streams(opened));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    (bound, streams)
}

fn get(key: &str) -> RawGetRequest {
    RawGetRequest { key: key.to_owned().into(), ..Default::default() }
}

fn found(value: &str) -> Reply {
    Reply::RawGet(RawGetResponse { value: value.to_owned().into(), ..Default::default() })
}

#[tokio::test]
async fn what_is_asked_together_leaves_together_and_each_gets_its_own_answer() {
    let (at, mut streams) = store("127.0.0.1:0").await;
    let (rpc, at) = (StreamRpc::default(), at.to_string());
    let names: Vec<String> = (0..20).map(|number| format!("key {number}")).collect();
    let asked = join_all(names.iter().map(|name| rpc.raw_get(&at, get(name))));
    let answered = async {
        let mut stream = streams.recv().await.unwrap();
        let frame = stream.frame().await;
        assert_eq!(frame.len(), 20);
        // Out of order, in two frames, with an answer that nobody asked for.
        let (evens, odds): (Vec<_>, Vec<_>) = frame.into_iter().partition(|(id, _)| id % 2 == 0);
        let replies = |half: Vec<(u64, String)>| half.into_iter().rev().map(|(id, key)| (id, found(&key))).collect();
        stream.answer(replies(odds));
        stream.answer(vec![(999, found("nobody"))]);
        stream.answer(replies(evens));
        stream
    };
    let (answers, mut stream) = tokio::join!(asked, answered);
    for (name, answer) in names.iter().zip(answers) {
        assert_eq!(answer.unwrap().value, name.as_bytes());
    }
    // The same stream goes on, with ids that were never used.
    let (answer, ()) = tokio::join!(rpc.raw_get(&at, get("again")), async {
        let frame = stream.frame().await;
        assert_eq!(frame, [(20, "again".to_owned())]);
        stream.answer(vec![(20, found("v"))]);
    });
    assert_eq!(answer.unwrap().value, "v".as_bytes());
}

#[tokio::test]
async fn a_lost_stream_leaves_its_requests_unknown_and_the_next_request_opens_another() {
    let (at, mut streams) = store("127.0.0.1:0").await;
    let (rpc, at) = (StreamRpc::default(), at.to_string());
    for ended in [None, Some(Status::unavailable("going down"))] {
        let (lost, ()) = tokio::join!(rpc.raw_put(&at, RawPutRequest::default()), async {
            let mut stream = streams.recv().await.unwrap();
            // An answer to a request given up: the stream was of use, so that no pause follows its loss.
            stream.answer(vec![(u64::MAX, found("nobody"))]);
            stream.frame().await;
            if let Some(status) = ended {
                stream.answers.send(Err(status)).unwrap();
            }
        });
        let lost = lost.unwrap_err();
        assert!(matches!(lost, RpcError::Disconnected(_)) && lost.may_have_run(), "{lost:?}");
    }
    let (answer, _stream) = tokio::join!(rpc.raw_get(&at, get("k")), async {
        let mut stream = streams.recv().await.unwrap();
        let (id, _) = stream.frame().await.remove(0);
        stream.answer(vec![(id, found("v"))]);
        stream
    });
    assert_eq!(answer.unwrap().value, "v".as_bytes());
}

#[tokio::test]
async fn a_store_that_is_down_is_unreachable_until_it_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap().to_string();
    drop(listener);
    let pause = Duration::from_millis(1);
    let rpc = StreamRpc::new(StreamOptions { pause_min: pause, pause_max: pause, ..StreamOptions::default() });
    let down = rpc.raw_get(&at, get("k")).await.unwrap_err();
    assert!(matches!(&down, RpcError::Unreachable(text) if text.contains("refused")), "{down:?}");
    assert!(!down.may_have_run());
    let (_, mut streams) = store(&at).await;
    let answering = tokio::spawn(async move {
        let mut stream = streams.recv().await.unwrap();
        let (id, _) = stream.frame().await.remove(0);
        stream.answer(vec![(id, found("v"))]);
        stream.frames.message().await
    });
    let answer = loop {
        match rpc.raw_get(&at, get("k")).await {
            Ok(answer) => break answer,
            Err(error) => assert!(matches!(error, RpcError::Unreachable(_)), "{error:?}"),
        }
        tokio::time::sleep(pause).await;
    };
    assert_eq!(answer.value, "v".as_bytes());
    // A client that goes away ends its streams.
    drop(rpc);
    assert!(!matches!(answering.await.unwrap(), Ok(Some(_))));
}

#[tokio::test]
async fn a_refusal_means_what_its_status_alone_would_mean() {
    let (at, mut streams) = store("127.0.0.1:0").await;
    let (rpc, at) = (StreamRpc::default(), at.to_string());
    let asked = join_all(["large", "bad", "other", "fine"].map(|key| rpc.raw_get(&at, get(key))));
    let (mut answers, _stream) = tokio::join!(asked, async {
        let mut stream = streams.recv().await.unwrap();
        let ids: Vec<u64> = stream.frame().await.into_iter().map(|(id, _)| id).collect();
        let refusal =
            |id, code: Code, text: &str| Refusal { request_id: id, code: code as u32, message: text.to_owned() };
        let refusals = vec![
            refusal(ids[0], Code::ResourceExhausted, "15 MiB at most"),
            refusal(ids[1], Code::InvalidArgument, "no region"),
        ];
        let other = Reply::RawPut(RawPutResponse::default());
        let replies = vec![(ids[0], found("")), (ids[1], found("")), (ids[2], other), (ids[3], found("v"))];
        stream.answer_with(replies, refusals);
        stream
    });
    assert_eq!(answers.pop().unwrap().unwrap().value, "v".as_bytes());
    assert!(matches!(answers.pop().unwrap().unwrap_err(), RpcError::Other(_)));
    assert_eq!(answers.pop().unwrap().unwrap_err(), RpcError::Refused("no region".to_owned()));
    assert_eq!(answers.pop().unwrap().unwrap_err(), RpcError::TooLarge("15 MiB at most".to_owned()));
    let grpc = GrpcOptions { request_bytes_max: 100, ..GrpcOptions::default() };
    let small = StreamRpc::new(StreamOptions { grpc, ..StreamOptions::default() });
    let error = small.raw_get(&at, get(&"k".repeat(100))).await.unwrap_err();
    assert!(matches!(error, RpcError::TooLarge(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_given_up_before_it_leaves_never_leaves_and_gives_its_room_back() {
    let (at, mut streams) = store("127.0.0.1:0").await;
    let at = at.to_string();
    let rpc = StreamRpc::new(StreamOptions { requests_max: 2, ..StreamOptions::default() });
    // Polled once: both are queued, and nothing has run that could take them.
    for name in ["given up", "given up too"] {
        assert!(poll_immediate(rpc.raw_get(&at, get(name))).await.is_none());
    }
    let (mut first, mut second) = (rpc.raw_get(&at, get("first")), rpc.raw_get(&at, get("second")));
    assert!(poll_immediate(&mut first).await.is_none() && poll_immediate(&mut second).await.is_none());
    let mut third = rpc.raw_get(&at, get("third"));
    assert!(poll_immediate(&mut third).await.is_none());

    let mut stream = streams.recv().await.unwrap();
    let frame = stream.frame().await;
    let keys: Vec<&str> = frame.iter().map(|(_, key)| key.as_str()).collect();
    assert_eq!(keys, ["first", "second"], "the third waits for room");
    stream.answer(vec![(frame[1].0, found("2"))]);
    assert_eq!(second.await.unwrap().value, "2".as_bytes());
    let (answer, ()) = tokio::join!(third, async {
        let (id, key) = stream.frame().await.remove(0);
        assert_eq!(key, "third");
        // The answer to a request given up is nobody's.
        drop(first);
        stream.answer(vec![(frame[0].0, found("1")), (id, found("3"))]);
    });
    assert_eq!(answer.unwrap().value, "3".as_bytes());
}

#[tokio::test]
async fn frames_are_bounded() {
    let (at, mut streams) = store("127.0.0.1:0").await;
    let at = at.to_string();
    let options = StreamOptions { frame_requests_max: 3, frame_bytes_max: 100, ..StreamOptions::default() };
    let rpc = StreamRpc::new(options);
    let large = "l".repeat(95);
    let names = ["a", "b", "c", "d", &large, &large, "e"];
    let asked = join_all(names.iter().map(|name| rpc.raw_get(&at, get(name))));
    let (answers, _stream) = tokio::join!(asked, async {
        let mut stream = streams.recv().await.unwrap();
        for count in [3, 1, 1, 1, 1] {
            let frame = stream.frame().await;
            assert_eq!(frame.len(), count);
            stream.answer(frame.into_iter().map(|(id, key)| (id, found(&key))).collect());
        }
        stream
    });
    assert!(answers.iter().zip(names).all(|(answer, name)| answer.as_ref().unwrap().value == name.as_bytes()));
}

#[tokio::test]
async fn a_store_that_knows_no_streams_is_asked_by_calls() {
    let cluster = Cluster::new();
    let (mut stores, mut served) = (Vec::new(), Vec::new());
    for store in 1..=3 {
        let one = serve(&cluster, store, "127.0.0.1:0").await;
        stores.push((store, one.address.to_string()));
        served.push(one);
    }
    stores.push((4, "127.0.0.1:1".to_owned()));
    let topology = Topology::new(stores, cluster.topology().regions().cloned()).unwrap();
    // Nothing here depends on how fast it is, so nothing may fail for being slow.
    let patient = Duration::from_secs(120);
    let options = Options { deadline: patient, request_timeout: patient, ..Options::default() };
    let directory = Arc::new(StaticDirectory::new(topology));
    let client = Client::new(Arc::new(StreamRpc::default()), Arc::new(cluster.clone()), directory, options);
    cluster.take_trace();
    client.raw_put("apple", "raw").await.unwrap();
    assert_eq!(client.raw_get("apple").await.unwrap().unwrap(), "raw");
    let mut transaction = client.begin().await.unwrap();
    transaction.put("quince", "1").unwrap();
    transaction.commit().await.unwrap();
    client.drain().await;
    let asked = |call: &str| cluster.state.lock().trace.iter().filter(|line| line.starts_with(call)).count();
    assert_eq!([asked("RawPut"), asked("RawGet"), asked("KvPrewrite")], [1, 1, 1], "no request went twice");
}
