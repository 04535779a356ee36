//! The gRPC network (feature `grpc`): streams of batched raft messages between nodes.
//! `network` sends and owns the links, `drive` keeps a link's stream up, `receive` is the other end.

mod backoff;
mod codec;
mod connect;
mod counters;
mod drive;
mod image_receive;
mod image_send;
mod link;
mod network;
mod options;
mod queue;
mod receive;

pub use connect::server;
pub use counters::Sample;
pub use link::LinkState;
pub use network::{GrpcNetwork, LinkStatus};
pub use options::GrpcOptions;
pub use receive::RaftTransportService;
