//! `GrpcNetwork`: the links to all stores, made when the first message for a store comes.
//! Sending takes a read lock and the link's queue lock, nothing else; it may be called from any thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};

use nokv_proto::raft_serverpb::RaftMessage;
use parking_lot::{Mutex, RwLock};
use slog::{Logger, o};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use super::counters::{NodeCounters, Sample};
use super::drive::Driver;
use super::link::{Link, LinkState};
use super::options::GrpcOptions;
use super::receive::RaftTransportService;
use crate::{AddressBook, Inbox, Network, OutgoingImage, SendRefused, StoreId};

/// The network of one node over gRPC: one task, one bounded queue and one stream for each store it has sent to.
pub struct GrpcNetwork {
    pub(super) store: StoreId,
    pub(super) options: GrpcOptions,
    pub(super) counters: NodeCounters,
    pub(super) logger: Logger,
    /// True once the node shuts down: streams from other stores end.
    pub(super) stopping: watch::Sender<bool>,
    pub(super) book: AddressBook,
    pub(super) runtime: Handle,
    /// One for each image that may be under way.
    pub(super) image_permits: Arc<Semaphore>,
    inbox: Arc<InboxSlot>,
    /// Of this network itself, for the tasks that send images.
    this: Weak<GrpcNetwork>,
    links: RwLock<BTreeMap<StoreId, Driven>>,
}

/// A link and its task.
struct Driven {
    link: Arc<Link>,
    task: AbortHandle,
}

/// How a link stands, for a status page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkStatus {
    /// The store at the other end.
    pub store: StoreId,
    /// Whether it is connected.
    pub state: LinkState,
    /// Messages that wait.
    pub queued_messages: usize,
    /// Their encoded size.
    pub queued_bytes: usize,
}

impl GrpcNetwork {
    /// The network of the node `store`, whose tasks run on `runtime`. Nothing is dialled yet.
    #[must_use]
    pub fn start(
        store: StoreId,
        book: AddressBook,
        options: GrpcOptions,
        runtime: Handle,
        logger: &Logger,
    ) -> Arc<GrpcNetwork> {
        Arc::new_cyclic(|this| GrpcNetwork {
            this: this.clone(),
            image_permits: Arc::new(Semaphore::new(options.images_sending_max)),
            store,
            options,
            counters: NodeCounters::default(),
            logger: logger.new(o!("store" => store.0)),
            stopping: watch::Sender::new(false),
            book,
            inbox: Arc::default(),
            runtime,
            links: RwLock::default(),
        })
    }

    /// Gives `inbox` what arrives and what is unreachable from now on; the service has to be added to a gRPC server.
    /// The network holds the inbox until [`shutdown`](GrpcNetwork::shutdown).
    #[must_use]
    pub fn attach(self: &Arc<GrpcNetwork>, inbox: Arc<dyn Inbox>) -> RaftTransportService {
        self.inbox.set(Some(Arc::clone(&inbox)));
        RaftTransportService::new(Arc::clone(self), inbox)
    }

    /// Ends all links (what waits in them is dropped) and all streams from other stores, so that a server which waits
    /// for its streams can stop. What is sent later is refused.
    pub fn shutdown(&self) {
        self.stopping.send_replace(true);
        let links = std::mem::take(&mut *self.links.write());
        for Driven { link, task } in links.into_values() {
            task.abort();
            link.counters.dropped_disconnected.add(link.queue.close());
        }
        self.inbox.set(None);
    }

    /// `store` was heard of: if the link to it pauses after a failure, it dials now.
    pub fn store_is_up(&self, store: StoreId) {
        if let Some(driven) = self.links.read().get(&store) {
            driven.link.store_is_up.notify_waiters();
        }
    }

    /// How each link stands, by store id.
    #[must_use]
    pub fn links(&self) -> Vec<LinkStatus> {
        let status = |(store, driven): (&StoreId, &Driven)| {
            let progress = driven.link.queue.progress();
            LinkStatus {
                store: *store,
                state: driven.link.state(),
                queued_messages: progress.messages,
                queued_bytes: progress.bytes,
            }
        };
        self.links.read().iter().map(status).collect()
    }

    /// All counters and gauges, for whoever exports metrics.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = self.counters.samples().to_vec();
        for (store, driven) in self.links.read().iter() {
            samples.extend(driven.link.counters.samples(*store));
        }
        for status in self.links() {
            let gauge =
                |name, value: usize| Sample { name, reason: None, store: Some(status.store), value: value as u64 };
            samples.push(gauge("transport_connected", usize::from(status.state == LinkState::Connected)));
            samples.push(gauge("transport_queued_messages", status.queued_messages));
            samples.push(gauge("transport_queued_bytes", status.queued_bytes));
        }
        samples
    }

    fn make_link(&self, to: StoreId) -> Result<Arc<Link>, SendRefused> {
        let mut links = self.links.write();
        if *self.stopping.borrow() {
            return Err(SendRefused::Disconnected);
        }
        match links.get(&to) {
            Some(driven) if driven.link.state() != LinkState::Retired => return Ok(Arc::clone(&driven.link)),
            _ => {}
        }
        links.remove(&to);
        if self.book.get(to).is_none() {
            return Err(SendRefused::UnknownStore);
        }
        let link = Arc::new(Link::new(to, &self.options));
        let logger = self.logger.new(o!("to" => to.0));
        let driver = Driver::new(Arc::clone(&link), self.book.clone(), Arc::clone(&self.inbox), self.options, logger);
        let task = self.runtime.spawn(driver.run()).abort_handle();
        links.insert(to, Driven { link: Arc::clone(&link), task });
        Ok(link)
    }
}

impl Network for GrpcNetwork {
    fn send(&self, to: StoreId, message: RaftMessage) -> Result<(), SendRefused> {
        {
            let links = self.links.read();
            if let Some(driven) = links.get(&to).filter(|driven| driven.link.state() != LinkState::Retired) {
                return driven.link.send(message);
            }
        }
        let sent = self.make_link(to).and_then(|link| link.send(message));
        if sent == Err(SendRefused::UnknownStore) {
            self.counters.dropped_unknown_store.increment();
        }
        sent
    }

    fn send_image(&self, to: StoreId, message: RaftMessage, image: OutgoingImage) {
        // Without a strong handle the network is being dropped, and the image with it.
        if let Some(this) = self.this.upgrade() {
            this.begin_image(to, message, image);
        }
    }
}

impl Drop for GrpcNetwork {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl fmt::Debug for GrpcNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcNetwork").field("store", &self.store).field("links", &self.links()).finish_non_exhaustive()
    }
}

/// Where the inbox is once there is one: it is made after the network, because replication needs the network first.
#[derive(Debug, Default)]
pub(super) struct InboxSlot {
    inbox: Mutex<Option<Arc<dyn Inbox>>>,
}

impl InboxSlot {
    fn set(&self, inbox: Option<Arc<dyn Inbox>>) {
        let before = std::mem::replace(&mut *self.inbox.lock(), inbox);
        // Outside of the lock: the last handle of an inbox may run code of the store's.
        drop(before);
    }

    pub(super) fn unreachable(&self, store: StoreId) {
        let inbox = self.inbox.lock().clone();
        if let Some(inbox) = inbox {
            inbox.unreachable(store);
        }
    }
}
