//! The network between nodes: raft messages from store to store, over gRPC or in memory, behind one small trait.
//!
//! ```text
//!   raft loops ──send(to, message)──► Network                         Inbox ◄── raft_message(message)
//!   (any thread, never waits)           │                               ▲  ◄── unreachable(store)
//!                                       ▼                               │
//!   gRPC:    queue (bounded) ► frame ► stream ═══ HTTP/2 ═══► RaftTransportService (checked envelopes)
//!            one of each for every store we send to; a driver task dials, watches, pauses, dials again
//!
//!   memory:  link (faults, seeded) ► events by (time, order) ► deliver_one / deliver_due by the simulator
//! ```
//!
//! # Map
//! | file | what it is |
//! | --- | --- |
//! | `address.rs` | the ids of stores, regions and peers |
//! | `address_book.rs` | where stores listen, changeable at run time |
//! | `network.rs` | the seam: [`Network`], [`Inbox`], [`SendRefused`] |
//! | `image.rs` | images: [`ImageSource`], [`ImageSink`], [`ImageReport`] |
//! | `memory.rs` | [`memory::MemoryNetwork`]: stores, cuts, clogs, crashes |
//! | `memory/faults.rs` | its settings: seed, bounds, what may go wrong on a link |
//! | `memory/image.rs` | images through faulty links |
//! | `memory/link.rs` | one directed link and its random choices |
//! | `memory/send.rs` | an endpoint; the fate of a message |
//! | `memory/deliver.rs` | the steps, and what each of them did |
//! | `grpc.rs` | the gRPC network (feature `grpc`) |
//! | `grpc/options.rs` | all bounds and times |
//! | `grpc/network.rs` | `grpc::GrpcNetwork`: the links of one node |
//! | `grpc/link.rs` | one link: queue, counters, state, and the stream that empties it |
//! | `grpc/queue.rs` | the bounded queue; how a batch is cut |
//! | `grpc/codec.rs` | batches written in place, each message encoded once |
//! | `grpc/drive.rs` | the task of a link: dial, stream, watch, pause |
//! | `grpc/backoff.rs` | how long to pause |
//! | `grpc/connect.rs` | how a channel and a server are set up (the place for TLS) |
//! | `grpc/receive.rs` | the services that take streams from other nodes |
//! | `grpc/image_send.rs`, `grpc/image_receive.rs` | an image's own connection, both ends |
//! | `grpc/counters.rs` | what is counted, and its names |
//!
//! # Invariants
//! 1. `send` never waits: no dialling, no I/O, no lock that is held during either.
//! 2. What waits for a store is bounded in messages and bytes. A full queue refuses; it does not grow. A stream takes
//!    a batch only when its connection has room, so at most about two frames wait anywhere but in the queue.
//! 3. A store's queue, task and connection are its own: a dead or slow store costs the others nothing.
//! 4. No loss without a trace: a refused message is an error; a lost one is counted, and the inbox is told that the
//!    store is unreachable, once for each attempt. (A connection that breaks may lose what it was already given.)
//! 5. On one link, messages arrive in the order of sending, but for losses, unless a connection is replaced by another
//!    or the in-memory network was told to reorder. Raft needs none of this.
//! 6. A message is handed to the inbox only if its envelope is whole and names this store as the receiver.
//! 7. An image has a connection of its own, so that it never stands in a heartbeat's way; its sender is told exactly
//!    once how it ended, at the latest after a deadline; at most a few chunks of it are in memory at either end.
//! 8. The in-memory network under one thread is a function of its seed and the calls made.
//!
//! # Deliberately absent
//! - Acknowledgements, resending, deduplication: raft has them.
//! - TinyKV's `Snapshot` call: its files are not ours; it is refused with a clear text.
//! - TLS and any check of who the other end is: raft ports are for trusted networks until then.
//! - Compression: payloads are small or incompressible more often than not, and the CPU is the scarce part.

mod address;
mod address_book;
#[cfg(feature = "grpc")]
pub mod grpc;
mod image;
pub mod memory;
mod network;

pub use address::{PeerId, RegionId, StoreId};
pub use address_book::{AddressBook, BadAddress};
pub use image::{ImageReport, ImageSink, ImageSource, OutgoingImage};
pub use network::{Inbox, Network, SendRefused};
