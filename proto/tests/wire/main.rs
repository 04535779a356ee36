//! The shape of messages on the wire, pinned byte by byte, so that no edit of a `.proto` file can renumber a field
//! without a test that says whom it would cut off. What is expected is written with `bytes`, never with the types.

mod bytes;
mod etcd;
mod kv;
mod memory;
mod placement;
mod raft;
mod services;
mod tiny_kv;
