//! Regions over raft-rs: replication, leases, and the loops that drive them. Knows nothing of transactions.
//!
//! ```text
//!   request threads                 raft loop (a thread; owns its peers)            apply loop (a thread)
//!   ───────────────                 ───────────────────────────────────             ─────────────────────
//!   view ──► gate: lease? ──yes──► read view of the engine
//!              │ no
//!              └─ Read ──►┐                 ┌──────────── one round ─────────────┐
//!   propose ── Propose ──►│ mailbox ──► step, tick, propose ──► collect (data)   │
//!   network ── Raft ─────►│                 │  first messages ──► network        │
//!                         │                 │  a leader's committed entries ─────┼──► desk: small ones take effect
//!                         │                 │  log of ALL regions ──► ONE sync   │      right here, others in the
//!                         │                 │  last messages ──► network         │      apply loop: data and applied
//!                         │                 │  a follower's committed entries ───┼──►   index in one batch, no sync
//!                         │                 └────────────────────────────────────┘
//!                         └◄── Applied ───────────────────────────────────────────────◄─ waiters told
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | [`handle`] | what the node holds: views, proposals, status |
//! | [`gate`] | a region's face to request threads; who may read now |
//! | [`teller`] | how those who wait hear of a proposal's fate, all of a round at once |
//! | `replica_read` | reads from replicas that do not lead |
//! | [`settled`] | the same as of the past, without asking the leader |
//! | [`message`], [`mailboxes`], `bell` | what a raft loop is told; its mailbox, and which one; how it sleeps |
//! | `peer/`, [`peer_context`] | one replica, one file a behaviour; what it is made with |
//! | [`lease`] | until when a leader surely leads |
//! | [`image`] | a region's data on its way to a peer that lags too far: `head`, `source`, `chunk`, `sink` |
//! | [`merge`] | two regions become one: the steps, and what travels between them; `fit`, `fate` |
//! | `admission` | which replicas a store may come to hold |
//! | `store/` | the peers of one loop, a round's three steps; `arrivals`, `changes`, `images`, `merges`, `liveness` |
//! | `apply/desk.rs` | who applies: the raft loop by itself, or its apply loop |
//! | `apply/action.rs` | what the apply loop does beside writing batches, and a start does again |
//! | [`round`] | a round's effects, as data |
//! | [`raft_loop`], [`apply`] | the two threads; `apply/run.rs` is the second one's loop |
//! | [`entry`] | what a log entry carries |
//! | [`log_storage`], [`log_cache`] | the log as raft-rs sees it; its newest part in memory |
//! | [`records`] | what is kept on disk beside the data |
//! | [`bootstrap`](bootstrap()), [`open`](open()) | a directory's first day; bringing a store up |
//! | [`ident`] | whose directory this is, and which ones the other stores have |
//! | [`inbox`] | where the network leaves messages |
//! | [`region`], [`config`], [`error`], [`time`], [`metrics`] | what the others speak in |
//! | [`region_size`], [`split_keys`] | about how large a region is; where to cut one that is too large |
//! | [`region_load`], [`key_sample`] | what a region is asked for, and some of the keys |
//! | `safe_point` | [`SafePoint`]: below it data may be missing; it only rises |
//! | [`digest`](digest()) | one number for a replica's bytes |
//!
//! Invariants, each asserted where it is kept: a message leaves only after the sync it depends on (`raft_loop`); data
//! and applied index share one batch (`apply`); the epoch is checked when proposing and when applying; a proposal
//! carries the term of its view; regions tile the keyspace (`apply/change.rs`); truncated ≤ applied ≤ committed ≤ last;
//! a gate is open only under a lease, and closes before any message of that round leaves.
//!
//! Absent on purpose: commands (what is replicated is effects), clocks, files, randomness (all are arguments).

mod admission;
pub mod apply;
mod bell;
mod bootstrap;
pub mod config;
mod digest;
pub mod entry;
pub mod error;
pub mod gate;
pub mod handle;
pub mod ident;
pub mod image;
pub mod inbox;
pub mod key_sample;
pub mod lease;
pub mod log_cache;
pub mod log_storage;
pub mod mailboxes;
pub mod merge;
pub mod message;
pub mod metrics;
mod open;
pub mod peer;
pub mod peer_context;
pub mod raft_loop;
pub mod records;
pub mod region;
pub mod region_load;
pub mod region_size;
mod replica_read;
pub mod round;
mod safe_point;
pub mod settled;
pub mod split_keys;
pub mod store;
pub mod teller;
pub mod time;

pub use bootstrap::{bootstrap, bootstrap_as, load_regions, succeed};
pub use config::Config;
pub use digest::{RegionDigest, digest};
pub use error::{RegionError, StoreError};
pub use gate::{RegionStatus, RequestContext, Role};
pub use handle::{Led, Raftstore, RegionView};
pub use ident::StoreIdent;
pub use inbox::StoreInbox;
pub use merge::MergeRequest;
pub use message::{Feeding, MemberChange, MembersRequest, NewRegion, PeerProgress, Proposal, SplitRequest};
/// Who is meant, in this crate's calls.
pub use nokv_transport::{PeerId, RegionId, StoreId};
pub use open::{LoopParts, OpenStore, RunningStore, open};
pub use region::RegionExt;
pub use region_load::{LoadTotals, RegionLoad};
pub use region_size::RegionSize;
pub use safe_point::SafePoint;
pub use split_keys::{Cuts, SizeLimits, find_cuts};
pub use teller::{Fates, TellHere, Teller};
pub use time::{Clock, MonotonicTime};
