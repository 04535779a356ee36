//! Connections: the one place where an address becomes a channel, and where a server's HTTP/2 side is set up.
//! TLS, when it comes, is one more line in each of the two functions.

use std::error::Error;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint, Server};

use super::options::GrpcOptions;

/// What a receiver lets a sender have under way on one stream, and on one connection, before it has read it. Receivers
/// read at once, so this bounds memory without slowing a stream down on a line with a round trip of some milliseconds.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// How often the kernel probes a connection: only a second line behind the keep-alive of HTTP/2.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Connects to `address` (`host:port`).
pub(super) async fn connect(address: &str, options: &GrpcOptions) -> Result<Channel, String> {
    let endpoint = endpoint(address, options).map_err(|error| whole_story(&error))?;
    match tokio::time::timeout(options.connect_timeout, endpoint.connect()).await {
        Ok(connected) => connected.map_err(|error| whole_story(&error)),
        Err(_) => Err(format!("no connection within {:?}", options.connect_timeout)),
    }
}

fn endpoint(address: &str, options: &GrpcOptions) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
        .http2_keep_alive_interval(options.keepalive_interval)
        .keep_alive_timeout(options.keepalive_timeout)
        .keep_alive_while_idle(true))
}

/// A gRPC server as raft streams need it: wide windows, and dead senders are found as dead receivers are. Services,
/// limits of other kinds and the listener are the caller's.
#[must_use]
pub fn server(options: &GrpcOptions) -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(options.keepalive_interval))
        .http2_keepalive_timeout(Some(options.keepalive_timeout))
        .tcp_nodelay(true)
        .tcp_keepalive(Some(TCP_KEEPALIVE))
}

/// An error with its causes: the outermost text alone is often only "transport error".
pub(super) fn whole_story(error: &dyn Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !story.ends_with(&text) {
            story.push_str(": ");
            story.push_str(&text);
        }
        cause = error.source();
    }
    story
}
