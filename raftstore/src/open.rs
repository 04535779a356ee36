//! Brings a store up: reads its regions, builds their peers and appliers, one set for each raft loop. The node then
//! gives each set a thread (`start`); the simulator drives the sets itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use nokv_engine::{Engine, RaftLog};
use nokv_transport::{Network, PeerId, RegionId, StoreId};

use crate::apply::{Applier, ApplyDesk, resume, run_apply_loop};
use crate::bootstrap::load_regions;
use crate::gate::Gates;
use crate::handle::Raftstore;
use crate::ident::StoreIdent;
use crate::image::EngineDoor;
use crate::inbox::StoreInbox;
use crate::mailboxes::{Mailboxes, home_loop};
use crate::message::{Mailbox, MailboxReceiver, mailbox};
use crate::metrics::RaftMetrics;
use crate::peer::Peer;
use crate::peer_context::PeerContext;
use crate::raft_loop::RaftLoop;
use crate::records::{ApplyRecord, Liveness, RegionRecord, load_image_epoch};
use crate::safe_point::SafePoint;
use crate::store::Store;
use crate::teller::{TellHere, Teller};
use crate::{Clock, Config, StoreError};

/// A store that is ready to run.
#[derive(Debug)]
pub struct OpenStore<E: Engine> {
    /// For the threads that serve requests.
    pub handle: Raftstore<E>,
    /// For the network.
    pub inbox: StoreInbox,
    /// One for each raft loop.
    pub loops: Vec<LoopParts>,
    log: Arc<dyn RaftLog>,
    clock: Arc<dyn Clock>,
    teller: Arc<dyn Teller>,
}

/// What one raft loop and its apply loop work on.
#[derive(Debug)]
pub struct LoopParts {
    /// The regions' peers.
    pub store: Store,
    /// The regions' appliers.
    pub applier: Applier,
    /// What the loop is told.
    pub receiver: MailboxReceiver,
    /// The sending end of that.
    pub mailbox: Mailbox,
}

/// Opens the store that `engine` and `log` hold. It must have been given its identity by [`crate::bootstrap`].
///
/// # Errors
/// If a record is missing, unreadable or does not fit the others, or `config` does not hold together.
pub fn open<E: Engine>(
    engine: E,
    log: Arc<dyn RaftLog>,
    store: StoreId,
    config: Config,
    clock: Arc<dyn Clock>,
    logger: &slog::Logger,
) -> Result<OpenStore<E>, StoreError> {
    config.check().map_err(StoreError::Mismatch)?;
    let config = Arc::new(config);
    let now = clock.now();
    let gates = Arc::new(gates_of(&engine, store)?);
    let (boxes, receivers): (Vec<_>, Vec<_>) =
        (0..config.raft_loops).map(|_| mailbox(config.mailbox_messages_max)).unzip();
    let mailboxes = Arc::new(Mailboxes::new(gates.clone(), boxes.clone()));
    let context = PeerContext {
        config: config.clone(),
        log: log.clone(),
        gates: gates.clone(),
        mailboxes: mailboxes.clone(),
        slot: 0,
        logger: logger.clone(),
    };
    let mut sets: Vec<(Vec<Peer>, Applier)> = Vec::new();
    sets.resize_with(config.raft_loops, || (Vec::new(), Applier::new(store, gates.safe_point().clone())));
    let regions = finish_what_was_begun(&engine, log.as_ref())?;
    let view = engine.view();
    for (id, record) in regions {
        let prepared = match record.liveness {
            Liveness::Tombstone => {
                gates.bury_merged(&record.region, store, None);
                continue;
            }
            Liveness::Merged(successor) => {
                gates.bury_merged(&record.region, store, Some(successor));
                continue;
            }
            Liveness::Merging(prepared) => Some(prepared),
            Liveness::Normal | Liveness::Applying(_) | Liveness::Leaving => None,
        };
        let apply = ApplyRecord::load(&view, id)?;
        let slot = home_loop(id, config.raft_loops);
        let mut peer = Peer::load(&PeerContext { slot, ..context.clone() }, record.region, &apply, now)?;
        peer.gate().begin_anew(load_image_epoch(&view, id)?);
        if let Some((peers, applier)) = sets.get_mut(slot) {
            applier.insert(peer.region().clone(), apply);
            prepared.iter().for_each(|prepared| applier.resume_merge(id, prepared.clone()));
            prepared.into_iter().for_each(|prepared| peer.resume_merge(prepared));
            peers.push(peer);
        }
    }
    drop(view);
    let loops: Vec<LoopParts> = sets
        .into_iter()
        .zip(boxes.into_iter().zip(receivers))
        .enumerate()
        .map(|(slot, ((peers, applier), (mailbox, receiver)))| LoopParts {
            store: Store::new(PeerContext { slot, ..context.clone() }, peers, now),
            applier,
            receiver,
            mailbox,
        })
        .collect();
    let metrics = Arc::new(RaftMetrics::default());
    let door = EngineDoor::new(engine.clone(), store, mailboxes.clone(), config.images_receiving_max);
    let inbox = StoreInbox::new(mailboxes.clone(), Arc::new(door));
    let handle = Raftstore::new(config, engine, gates, mailboxes, clock.clone(), metrics);
    Ok(OpenStore { handle, inbox, loops, log, clock, teller: Arc::new(TellHere) })
}

/// No gate yet; what an earlier directory's peers were is known.
fn gates_of<E: Engine>(engine: &E, store: StoreId) -> Result<Gates, StoreError> {
    let gates = Gates::with_safe_point(store, SafePoint::load(&engine.view())?);
    gates.bury_up_to(StoreIdent::load(engine)?.map_or(PeerId(0), |ident| ident.peer_floor));
    Ok(gates)
}

/// Takes in the images and clears the data that the records say, and discards the imports that none says. The regions
/// as they are then.
fn finish_what_was_begun<E: Engine>(
    engine: &E,
    log: &dyn RaftLog,
) -> Result<BTreeMap<RegionId, RegionRecord>, StoreError> {
    let mut regions = BTreeMap::new();
    for (id, record) in load_regions(engine)? {
        regions.insert(id, resume(engine, log, record)?);
    }
    for import in engine.imports()? {
        engine.discard_import(&import)?;
    }
    Ok(regions)
}

/// The threads of a running store.
#[derive(Debug)]
pub struct RunningStore {
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl RunningStore {
    /// Waits for all threads to end, after [`Raftstore::stop`] or a failure.
    pub fn join(self) {
        for thread in self.threads {
            // A thread that panicked has said so on its own.
            let _ = thread.join();
        }
    }
}

impl<E: Engine> OpenStore<E> {
    /// Those who wait for proposals shall hear of their fate through `teller`; else they do on the thread that decides.
    #[must_use]
    pub fn with_teller(self, teller: Arc<dyn Teller>) -> Self {
        Self { teller, ..self }
    }

    /// Gives every loop its threads. `on_failure` is called, possibly more than once, when the store cannot go on: the
    /// node must then stop at once, without answering anybody.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        self,
        network: &Arc<dyn Network>,
        on_failure: &Arc<dyn Fn(StoreError) + Send + Sync>,
    ) -> std::io::Result<RunningStore> {
        let mut threads = Vec::new();
        for (number, parts) in self.loops.into_iter().enumerate() {
            let (engine, mailbox) = (self.handle.engine().clone(), parts.mailbox.clone());
            let near_bytes_max = self.handle.config().apply_near_bytes_max;
            let (apply, shared, works) =
                ApplyDesk::new(parts.applier, engine.clone(), near_bytes_max, self.teller.clone());
            let raft_loop = RaftLoop {
                store: parts.store,
                mailbox: parts.receiver,
                reports: parts.mailbox,
                log: self.log.clone(),
                network: network.clone(),
                apply,
                clock: self.clock.clone(),
                metrics: self.handle.metrics().clone(),
            };
            threads.push(spawn(format!("raft-{number}"), on_failure, move || raft_loop.run())?);
            let teller = self.teller.clone();
            let run = move || run_apply_loop(&shared, &engine, &works, &mailbox, teller.as_ref());
            threads.push(spawn(format!("apply-{number}"), on_failure, run)?);
        }
        Ok(RunningStore { threads })
    }
}

fn spawn(
    name: String,
    on_failure: &Arc<dyn Fn(StoreError) + Send + Sync>,
    run: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let on_failure = on_failure.clone();
    std::thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = run() {
            on_failure(error);
        }
    })
}
