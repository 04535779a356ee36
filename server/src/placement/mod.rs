//! Placement hosted in a node: its region on a raftstore of its own, and the services that clients and stores ask.
//!
//! ```text
//!   pdpb.PD, schedulerpb.Scheduler ──▶ services.rs ──▶ calls.rs, lookups.rs ──┐
//!   heartbeats of stores and regions ▶ heartbeats.rs ─────────────────────────┤
//!                                                                             ▼
//!                     steward.rs: one task decides, proposes and answers ◀── Led (led.rs): state, scheduler, clock
//!                            │                                                ▲ read anew under each term
//!                            └──▶ raftstore of region PLACEMENT_REGION ───────┘
//!   reporter.rs: this node's own heartbeats to whoever leads ──▶ orders.rs: what it is told to do with its regions
//! ```
//!
//! * `host.rs`: the directory, the region and the handle. `machine.rs`: its clocks.
//!   `inboxes.rs`: one network for both raftstores.
//! * `loads.rs`: what its heartbeats tell of load, and which regions are sampled.
//! * `asked.rs`: regions that somebody wants cut or spread. `members.rs`: who hosts placement.
//! * `ids.rs`: ids for splits, asked of whoever leads. `peer_ids.rs`: those that the leader has at hand.
//!   `timestamps.rs`: timestamps. `garbage.rs`: the safe point advances by itself.
//! * `pages.rs`: plain HTTP. `etcd.rs`: what clients want of etcd and of keyspaces.
//! * `view.rs`: what people ask and change, `nokvpb.Placement`.
//! * `wire.rs`: headers, errors and orders in the wire's words. `error.rs`: why not.
//!
//! Invariants: nothing is decided but under the term in which the state was read; nothing is answered before it is
//! applied; a timestamp is answered only after this node was found to lead later than it was taken.

mod asked;
mod calls;
mod error;
mod etcd;
mod garbage;
mod heartbeats;
mod host;
mod ids;
mod inboxes;
mod led;
mod loads;
mod lookups;
mod machine;
mod members;
mod orders;
mod pages;
mod peer_ids;
mod reporter;
mod services;
mod steward;
mod timestamps;
mod view;
mod wire;

pub use error::PlacementError;
pub use etcd::EtcdService;
pub use garbage::keep_safe_point;
pub use host::{Deciding, PLACEMENT_REGION, Placement, PlacementHost, PlacementOptions, region_of};
pub use ids::PlacementIds;
pub use inboxes::BothInboxes;
pub use machine::Machine;
pub(crate) use members::HOSTS_LABEL;
pub use members::keep_members;
pub use orders::carry_out;
pub(crate) use pages::pages;
pub use reporter::{Reporter, StoreSelf, beat};
pub(crate) use services::DIRECTORY_HEADER;
pub use services::{PdService, SchedulerService};
pub use view::ViewService;
