//! The bare RPC: how many gets a server could answer that does nothing for them, over unary calls and over streams that
//! carry several in a frame. The server has a runtime of its own in this process, so CPU counts both sides.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::try_join_all;
use nokv_proto::kvrpcpb::{RawGetRequest, RawGetResponse};
use nokv_proto::tikvpb::{BatchCommandsRequest, BatchCommandsResponse, batch_commands_request};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::Clock;
use super::echo_service::{Echo, STREAM, UNARY};
use crate::args::LimitsArgs;
use crate::error::{BenchError, Result};
use crate::keys;

/// Requests in one frame.
const FRAMES: [usize; 3] = [1, 8, 32];
const CONNECTIONS: usize = 2;
const KEY_BYTES: usize = 16;

/// Measures unary calls, with one client and with as many as asked for.
pub async fn unary(args: &LimitsArgs, clock: &mut Clock<'_>) -> Result<()> {
    let server = EchoServer::start(args.value_bytes).await?;
    let mut counts = vec![1, args.clients];
    counts.dedup();
    for clients in counts {
        let channels = server.connect().await?;
        call_until(&channels, clients, Instant::now() + clock.warmup()).await.map_err(broken)?;
        let measuring = clock.begin();
        let done = call_until(&channels, clients, Instant::now() + clock.length()).await.map_err(broken)?;
        clock.end(format!("tonic unary echo, {clients} clients"), &measuring, done);
    }
    Ok(())
}

/// Measures streams; requests under way are as many as there are clients, in frames of several sizes.
pub async fn stream(args: &LimitsArgs, clock: &mut Clock<'_>) -> Result<()> {
    let server = EchoServer::start(args.value_bytes).await?;
    for frame in FRAMES {
        let channels = server.connect().await?;
        let frames = (args.clients / (frame * CONNECTIONS)).max(1);
        stream_until(&channels, frame, frames, Instant::now() + clock.warmup()).await.map_err(broken)?;
        let measuring = clock.begin();
        let end = Instant::now() + clock.length();
        let done = stream_until(&channels, frame, frames, end).await.map_err(broken)?;
        let under_way = frame * frames * CONNECTIONS;
        clock.end(format!("tonic stream echo, {frame} requests a frame, {under_way} under way"), &measuring, done);
    }
    Ok(())
}

fn broken(status: Status) -> BenchError {
    BenchError::Target { target: "echo".to_owned(), reason: status.to_string() }
}

/// A server on a runtime of its own, until it is dropped.
struct EchoServer {
    address: SocketAddr,
    runtime: Option<tokio::runtime::Runtime>,
}

impl EchoServer {
    async fn start(value_bytes: usize) -> Result<Self> {
        let failed = |reason: String| BenchError::Target { target: "echo".to_owned(), reason };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.to_string()))?;
        let echo = Echo { value: Bytes::from(vec![0x5a; value_bytes]) };
        let served = runtime.spawn(async move {
            let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?.with_nodelay(Some(true));
            let address = incoming.local_addr()?;
            tokio::spawn(Server::builder().add_service(echo).serve_with_incoming(incoming));
            std::io::Result::Ok(address)
        });
        let address = served.await.map_err(|error| failed(error.to_string()))?;
        let address = address.map_err(|error| failed(error.to_string()))?;
        Ok(Self { address, runtime: Some(runtime) })
    }

    async fn connect(&self) -> Result<Vec<Channel>> {
        let failed = |error: tonic::transport::Error| BenchError::Setting(format!("echo: {error}"));
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).map_err(failed)?;
        let endpoint = endpoint.tcp_nodelay(true).http2_adaptive_window(true);
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(endpoint.connect().await.map_err(failed)?);
        }
        Ok(channels)
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A runtime must not be waited for on another's thread.
            runtime.shutdown_background();
        }
    }
}

async fn call_until(channels: &[Channel], clients: usize, end: Instant) -> std::result::Result<u64, Status> {
    let tasks = channels.iter().cycle().take(clients).cloned().map(|channel| {
        tokio::spawn(async move {
            let (mut client, mut done) = (Grpc::new(channel), 0);
            // Once at least, however slow the machine is.
            loop {
                client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
                let request = RawGetRequest { key: keys::key(done, KEY_BYTES), ..Default::default() };
                let codec = ProstCodec::<RawGetRequest, RawGetResponse>::default();
                client.unary(Request::new(request), UNARY, codec).await?;
                done += 1;
                if Instant::now() >= end {
                    return Ok(done);
                }
            }
        })
    });
    sum(try_join_all(tasks).await)
}

/// Each connection carries one stream with so many frames under way; an answer makes room for the next.
async fn stream_until(
    channels: &[Channel],
    frame: usize,
    frames: usize,
    end: Instant,
) -> std::result::Result<u64, Status> {
    let tasks = channels.iter().cloned().map(|channel| {
        tokio::spawn(async move {
            let (sender, receiver) = mpsc::channel(frames + 1);
            let gone = || Status::unavailable("the stream has ended");
            for _ in 0..frames {
                sender.send(requests(frame)).await.map_err(|_| gone())?;
            }
            let (mut client, mut done) = (Grpc::new(channel), 0);
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = ProstCodec::<BatchCommandsRequest, BatchCommandsResponse>::default();
            let request = Request::new(ReceiverStream::new(receiver));
            let mut answers = client.streaming(request, STREAM, codec).await?.into_inner();
            loop {
                let answer = answers.message().await?.ok_or_else(gone)?;
                done += answer.responses.len() as u64;
                if Instant::now() >= end {
                    return Ok(done);
                }
                sender.send(requests(frame)).await.map_err(|_| gone())?;
            }
        })
    });
    sum(try_join_all(tasks).await)
}

fn sum(
    tasks: std::result::Result<Vec<std::result::Result<u64, Status>>, tokio::task::JoinError>,
) -> std::result::Result<u64, Status> {
    tasks.map_err(|error| Status::internal(error.to_string()))?.into_iter().sum()
}

fn requests(count: usize) -> BatchCommandsRequest {
    let one = |number: u64| batch_commands_request::Request {
        cmd: Some(batch_commands_request::request::Cmd::RawGet(RawGetRequest {
            key: keys::key(number, KEY_BYTES),
            ..Default::default()
        })),
    };
    let ids = 0..count as u64;
    BatchCommandsRequest { requests: ids.clone().map(one).collect(), request_ids: ids.collect(), ..Default::default() }
}
