//! One store as a process: its directory, its regions, its ports, and their end in order. `nokv serve` is this.
//!
//! ```text
//!   args ──► options ──► start ──► open the directory ──► bind ──► replication, network ──► serve ──► "ready: …"
//!                                   (locked first)                        │
//!   SIGTERM ──► stop: health off ► leaderships away ► requests end ► loops end ► disk at rest
//!   disk fails ──► failure: said loudly, exit code 1, nobody is answered
//! ```
//!
//! | file | what |
//! | --- | --- |
//! | `args.rs`, `placement_args.rs` | the flags of `nokv serve` |
//! | `disk.rs`, `identity.rs` | the directory; whose it is, as it, the flags and the cluster say |
//! | `placed.rs` | what a node has to do with placement |
//! | `options.rs` | what a node needs to know, from flags and topology file |
//! | `addresses.rs` | where the other stores listen, kept on disk |
//! | `layout.rs` | which regions a directory holds or is given; whom `--peer` means |
//! | `start.rs` | bringing a node up; [`Node`] |
//! | `reclaim.rs` | space of what was deleted comes back |
//! | `meet.rs` | meeting the other stores, first of all with a new directory |
//! | `leaders.rs` | asking leaders on other stores, for reads where this one follows |
//! | `tell.rs` | fates of writes are told on the runtime, all at once |
//! | `stop.rs` | bringing it down |
//! | `serve.rs` | both, with a signal in between |
//! | `boot_clock.rs` | the time that leases rest on |
//! | `quiet_raft.rs` | which of raft's log lines an operator sees |
//! | `failure.rs` | the end that is not in order |
//! | `status/` | metrics and status pages over HTTP |
//! | `error.rs` | why a node does not start |
//!
//! Invariants: the directory is taken before a port is bound, and both before anything is served; a node that cannot
//! keep what it promised answers nobody.

mod addresses;
mod args;
mod boot_clock;
mod disk;
mod error;
mod failure;
mod identity;
mod layout;
mod leaders;
mod meet;
mod options;
mod placed;
mod placement_args;
mod quiet_raft;
mod reclaim;
mod serve;
mod start;
mod status;
mod stop;
mod tell;

pub(crate) use self::addresses::KeptAddresses;
pub use self::args::ServeArgs;
pub use self::boot_clock::BootClock;
pub use self::error::NodeError;
pub use self::failure::{OnFatal, end_process, exit_at_once};
pub use self::layout::PeerFlag;
pub use self::options::NodeOptions;
pub use self::serve::serve;
pub use self::start::Node;
