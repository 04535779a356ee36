//! The in-memory network: stores of one process, connected by links that can be faulty, and a clock that others move.
//! It has no thread and no clock of its own; with one driving thread, a seed and the calls decide everything.

mod deliver;
mod faults;
mod image;
mod link;
mod send;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nokv_proto::raft_serverpb::RaftMessage;
use parking_lot::Mutex;

pub use deliver::Happening;
pub use faults::{Delivery, LinkFaults, MemoryOptions};
use image::Transfer;
use link::Link;
pub use send::MemoryEndpoint;

use crate::{Inbox, StoreId};

/// A network between the stores of one process. Clones are the same network.
///
/// Times are virtual: since the beginning of the run, moved only by [`deliver_one`](MemoryNetwork::deliver_one) and
/// [`deliver_due`](MemoryNetwork::deliver_due).
#[derive(Clone, Debug)]
pub struct MemoryNetwork {
    state: Arc<Mutex<State>>,
}

/// Invariants: `links[l].queued` is the number of message events of `l` plus the length of its `held`; `held` is empty
/// unless the link is clogged; events are unique by (time, sequence), so that equal times go in the order of sending.
#[derive(Debug)]
struct State {
    options: MemoryOptions,
    now: Duration,
    sequence: u64,
    stores: BTreeMap<StoreId, Store>,
    links: BTreeMap<(StoreId, StoreId), Link>,
    events: BTreeMap<(Duration, u64), Event>,
    /// In instant mode, somebody is delivering; others leave their messages to them, which keeps the order.
    delivering: bool,
}

/// A store as the network sees it.
#[derive(Debug, Default)]
struct Store {
    /// None: the store is not up.
    inbox: Option<Arc<dyn Inbox>>,
    /// Grows with every crash; endpoints of an earlier life are dead.
    life: u64,
}

#[derive(Debug)]
enum Event {
    Message { from: StoreId, to: StoreId, message: Box<RaftMessage> },
    Unreachable { from: StoreId, to: StoreId },
    Image(Box<Transfer>),
}

impl Event {
    fn concerns(&self, store: StoreId) -> bool {
        match self {
            Event::Message { from, to, .. } => *from == store || *to == store,
            Event::Unreachable { from, .. } => *from == store,
            Event::Image(transfer) => transfer.concerns(store),
        }
    }
}

impl MemoryNetwork {
    /// A network without stores.
    #[must_use]
    pub fn new(options: MemoryOptions) -> MemoryNetwork {
        MemoryNetwork {
            state: Arc::new(Mutex::new(State {
                options,
                now: Duration::ZERO,
                sequence: 0,
                stores: BTreeMap::new(),
                links: BTreeMap::new(),
                events: BTreeMap::new(),
                delivering: false,
            })),
        }
    }

    /// A faultless network that delivers within `send`, for tests that are not about the network. Threads may use it.
    #[must_use]
    pub fn instant() -> MemoryNetwork {
        MemoryNetwork::new(MemoryOptions {
            delivery: Delivery::Instant,
            attempt_interval: Duration::ZERO,
            ..MemoryOptions::default()
        })
    }

    /// What `store` sends through, until it crashes. The store is known from now on, and down until it is attached.
    #[must_use]
    pub fn endpoint(&self, store: StoreId) -> Arc<MemoryEndpoint> {
        let life = self.state.lock().stores.entry(store).or_default().life;
        Arc::new(MemoryEndpoint::new(self.clone(), store, life))
    }

    /// Brings `store` up: what is sent to it arrives at `inbox` from now on.
    pub fn attach(&self, store: StoreId, inbox: Arc<dyn Inbox>) {
        self.state.lock().stores.entry(store).or_default().inbox = Some(inbox);
    }

    /// Takes `store` down: all that is under way from it and to it vanishes, and its endpoints send nothing any more.
    /// It comes back with a new [`endpoint`](MemoryNetwork::endpoint) and [`attach`](MemoryNetwork::attach).
    pub fn crash(&self, store: StoreId) {
        let gone = {
            let mut state = self.state.lock();
            let entry = state.stores.entry(store).or_default();
            entry.life += 1;
            let inbox = entry.inbox.take();
            let (lost, kept) = std::mem::take(&mut state.events).into_iter().partition(|(_, e)| e.concerns(store));
            state.events = kept;
            let lost: BTreeMap<(Duration, u64), Event> = lost;
            let mut images = Vec::new();
            for (_, link) in state.links.iter_mut().filter(|((from, to), _)| *from == store || *to == store) {
                link.held.clear();
                images.append(&mut link.held_images);
                link.queued = 0;
                link.report_not_before = None;
            }
            (inbox, lost, images)
        };
        // Outside of the lock: dropping an inbox or an image may run code of the stores'.
        drop(gone);
    }

    /// How the link from `from` to `to` is from now on. Messages under way keep the times they have.
    pub fn set_faults(&self, from: StoreId, to: StoreId, faults: LinkFaults) {
        self.state.lock().link(from, to).faults = faults;
    }

    /// How all links are from now on, those that were never used included. Cuts and clogs stay.
    pub fn set_faults_everywhere(&self, faults: LinkFaults) {
        let mut state = self.state.lock();
        state.options.faults = faults;
        for link in state.links.values_mut() {
            link.faults = faults;
        }
    }

    /// Cuts the link from `from` to `to`, this direction only: what is sent, and what is under way, is lost.
    pub fn cut(&self, from: StoreId, to: StoreId) {
        self.state.lock().link(from, to).cut = true;
    }

    /// Mends what [`cut`](MemoryNetwork::cut) did.
    pub fn mend(&self, from: StoreId, to: StoreId) {
        self.state.lock().link(from, to).cut = false;
    }

    /// Whether the link from `from` to `to` is cut.
    #[must_use]
    pub fn is_cut(&self, from: StoreId, to: StoreId) -> bool {
        self.state.lock().links.get(&(from, to)).is_some_and(|link| link.cut)
    }

    /// Holds all messages from `from` to `to` back, those under way included, until the link is unclogged.
    pub fn clog(&self, from: StoreId, to: StoreId) {
        self.state.lock().link(from, to).clogged = true;
    }

    /// Lets the held messages go, in a random order, each with a delay of its own.
    pub fn unclog(&self, from: StoreId, to: StoreId) {
        self.state.lock().unclog(from, to);
        self.deliver_if_instant();
    }

    /// Ends all faults: cuts, clogs, and the settings of every link. Stores that are down stay down.
    pub fn heal(&self) {
        self.set_faults_everywhere(LinkFaults::default());
        {
            let mut state = self.state.lock();
            let links: Vec<_> = state.links.keys().copied().collect();
            for (from, to) in links {
                state.link(from, to).cut = false;
                state.unclog(from, to);
            }
        }
        self.deliver_if_instant();
    }

    /// How many messages from `from` to `to` are under way or held.
    #[must_use]
    pub fn queued(&self, from: StoreId, to: StoreId) -> usize {
        self.state.lock().links.get(&(from, to)).map_or(0, |link| link.queued)
    }
}

impl State {
    fn link(&mut self, from: StoreId, to: StoreId) -> &mut Link {
        let options = &self.options;
        self.links.entry((from, to)).or_insert_with(|| Link::new(options.seed, from, to, options.faults))
    }

    fn schedule(&mut self, at: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((at, self.sequence), event);
    }

    fn unclog(&mut self, from: StoreId, to: StoreId) {
        let now = self.now;
        let link = self.link(from, to);
        let released = link.unclog();
        for transfer in std::mem::take(&mut link.held_images) {
            self.schedule(now, Event::Image(Box::new(transfer)));
        }
        let link = self.link(from, to);
        let timed: Vec<_> = released.into_iter().map(|message| (link.out_of_line(now), message)).collect();
        for (at, message) in timed {
            self.schedule(at, Event::Message { from, to, message: Box::new(message) });
        }
    }
}
