//! Where a raft loop hands over what is committed. A few small entries take effect right there, on the raft loop's own
//! thread: the two wake-ups that the apply loop costs are more than that. What is large, what has to wait for the
//! engine, and whatever comes behind such, goes to the apply loop, so that the raft loop never stands still for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender};
use nokv_engine::Engine;
use parking_lot::Mutex;

use super::{Applier, ApplyRound, ApplyTask};
use crate::StoreError;
use crate::message::StoreMessage;
use crate::teller::Teller;

/// What the apply loop is told.
#[derive(Debug)]
pub(crate) enum Work {
    /// A task.
    Task(ApplyTask),
    /// What tasks do, already decided: to be written, told and reported.
    Decided(ApplyRound),
}

/// What a raft loop and its apply loop share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// Whoever applies holds it; the other has nothing to apply then, so nobody ever waits.
    pub(super) applier: Mutex<Applier>,
    /// Work that was left for the apply loop and is not done, its reports included.
    pub(super) unfinished: AtomicUsize,
}

/// The raft loop's end.
#[derive(Debug)]
pub(crate) struct ApplyDesk<E> {
    shared: Arc<Shared>,
    engine: E,
    far: Sender<Work>,
    /// Most bytes of entries applied here at a time.
    near_bytes_max: usize,
    teller: Arc<dyn Teller>,
}

impl<E: Engine> ApplyDesk<E> {
    /// A desk, and what the apply loop works on.
    pub(crate) fn new(
        applier: Applier,
        engine: E,
        near_bytes_max: usize,
        teller: Arc<dyn Teller>,
    ) -> (Self, Arc<Shared>, Receiver<Work>) {
        let shared = Arc::new(Shared { applier: Mutex::new(applier), unfinished: AtomicUsize::new(0) });
        let (far, works) = crossbeam_channel::unbounded();
        (Self { shared: shared.clone(), engine, far, near_bytes_max, teller }, shared, works)
    }

    /// Has the tasks carried out, in order. Returns what the raft loop is to be told of those that are done by then,
    /// which it must not take in while raft waits to hear of a write.
    ///
    /// # Errors
    /// If the disk fails or an entry cannot be read; nobody who waits is told anything then.
    pub(crate) fn hand_over(&self, tasks: &mut Vec<ApplyTask>) -> Result<Vec<StoreMessage>, StoreError> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let near = self.near(tasks);
        let mut round = ApplyRound::default();
        let mut tasks = tasks.drain(..);
        if near > 0 {
            let mut applier = self.shared.applier.lock();
            tasks.by_ref().take(near).try_for_each(|task| applier.apply(task, &mut round))?;
        }
        let reports = match round.try_carry_out(&self.engine, self.teller.as_ref())? {
            Ok(reports) => reports,
            Err(round) => {
                self.leave(Work::Decided(round));
                Vec::new()
            }
        };
        tasks.for_each(|task| self.leave(Work::Task(task)));
        Ok(reports)
    }

    /// How many of the tasks are done here: the first ones, if nothing is left to the apply loop that comes before.
    fn near(&self, tasks: &[ApplyTask]) -> usize {
        if self.shared.unfinished.load(Ordering::Acquire) > 0 {
            return 0;
        }
        let mut bytes = 0;
        let is_near = |task: &&ApplyTask| match task {
            ApplyTask::Entries(entries) => {
                bytes += entries.bytes;
                entries.is_next && bytes <= self.near_bytes_max
            }
            _ => false,
        };
        tasks.iter().take_while(is_near).count()
    }

    fn leave(&self, work: Work) {
        self.shared.unfinished.fetch_add(1, Ordering::Relaxed);
        // If the apply loop has ended, then with an error of its own, which stops the node.
        let _ = self.far.send(work);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_channel::oneshot::Receiver as Told;
    use nokv_engine::{
        Cf, Importer, KeyRange, MemoryEngine, MemoryView, RangeEstimate, Result as EngineResult, WriteBatch,
    };
    use nokv_proto::metapb::{Peer, Region, RegionEpoch};
    use nokv_transport::{RegionId, StoreId};
    use raft::eraftpb::Entry;

    use super::*;
    use crate::RegionError;
    use crate::apply::{CommittedEntries, InFlight, run_apply_loop};
    use crate::entry::begin_write;
    use crate::message::{Waiter, mailbox};
    use crate::records::ApplyRecord;
    use crate::safe_point::SafePoint;
    use crate::teller::TellHere;

    const NOTHING: [u64; 0] = [];

    /// An engine that has never room for those who may not wait.
    #[derive(Clone, Debug)]
    struct Full(MemoryEngine);

    impl Engine for Full {
        type View = MemoryView;

        fn try_write(&self, _: &WriteBatch) -> EngineResult<bool> {
            Ok(false)
        }
        fn view(&self) -> MemoryView {
            self.0.view()
        }
        fn get(&self, cf: Cf, key: &[u8]) -> EngineResult<Option<Bytes>> {
            self.0.get(cf, key)
        }
        fn write(&self, batch: &WriteBatch, sync: bool) -> EngineResult<()> {
            self.0.write(batch, sync)
        }
        fn importer(&self, name: &str) -> EngineResult<Box<dyn Importer>> {
            self.0.importer(name)
        }
        fn ingest(&self, name: &str, clear: &[KeyRange<'_>]) -> EngineResult<()> {
            self.0.ingest(name, clear)
        }
        fn discard_import(&self, name: &str) -> EngineResult<()> {
            self.0.discard_import(name)
        }
        fn imports(&self) -> EngineResult<Vec<String>> {
            self.0.imports()
        }
        fn clear_range(&self, range: KeyRange<'_>) -> EngineResult<()> {
            self.0.clear_range(range)
        }
        fn estimate(&self, range: KeyRange<'_>) -> EngineResult<RangeEstimate> {
            self.0.estimate(range)
        }
    }

    /// An applier that has applied up to entry 5.
    fn applier() -> Applier {
        let region = Region {
            id: 1,
            region_epoch: Some(RegionEpoch { conf_ver: 1, version: 1 }),
            peers: vec![Peer { id: 11, store_id: 1, ..Default::default() }],
            ..Default::default()
        };
        let mut applier = Applier::new(StoreId(1), SafePoint::default());
        let record = ApplyRecord { applied_index: 5, applied_term: 5, truncated_index: 5, truncated_term: 5 };
        applier.insert(Arc::new(region), record);
        applier
    }

    /// The task that puts `index` at the key `index`, and who waits for it.
    fn put(index: u64, bytes: usize, is_next: bool) -> (Vec<ApplyTask>, Told<Result<(), RegionError>>) {
        let mut data = Vec::new();
        begin_write(&mut data, RegionEpoch { conf_ver: 1, version: 1 });
        let mut batch = WriteBatch::new();
        batch.put(Cf::Raw, &[index as u8], &[index as u8]);
        data.extend_from_slice(batch.as_slice());
        let entry = Entry { index, term: 5, data: data.into(), ..Default::default() };
        let (waiter, told) = Waiter::new(Box::new(()));
        let in_flight = vec![InFlight { index, term: 5, waiters: vec![waiter] }];
        let region_id = RegionId(1);
        let entries = CommittedEntries { region_id, entries: vec![entry], in_flight, bytes, is_next };
        (vec![ApplyTask::Entries(entries)], told)
    }

    fn applied(reports: Vec<StoreMessage>) -> Vec<u64> {
        let indexes = |report| match report {
            StoreMessage::Applied(reports) => reports.into_iter().map(|report| report.index),
            other => panic!("{other:?}"),
        };
        reports.into_iter().flat_map(indexes).collect()
    }

    /// Runs the apply loop until all that was left to it is done; what it reports.
    fn finish<E: Engine>(desk: ApplyDesk<E>, shared: &Shared, works: &Receiver<Work>) -> Vec<u64> {
        let engine = desk.engine.clone();
        drop(desk);
        let (mailbox, receiver) = mailbox(100);
        run_apply_loop(shared, &engine, works, &mailbox, &TellHere).unwrap();
        applied(std::iter::from_fn(|| receiver.try_next()).collect())
    }

    #[test]
    fn a_few_small_entries_take_effect_at_once() {
        let engine = MemoryEngine::new();
        let (desk, _, works) = ApplyDesk::new(applier(), engine.clone(), 100, Arc::new(TellHere));
        let (mut tasks, mut told) = put(6, 100, true);
        assert_eq!(applied(desk.hand_over(&mut tasks).unwrap()), [6]);
        assert_eq!(told.try_recv(), Ok(Some(Ok(()))));
        assert!(engine.get(Cf::Raw, &[6]).unwrap().is_some() && tasks.is_empty() && works.is_empty());
    }

    #[test]
    fn what_comes_behind_larger_ones_waits_for_them_and_their_report() {
        let engine = MemoryEngine::new();
        let (desk, shared, works) = ApplyDesk::new(applier(), engine.clone(), 100, Arc::new(TellHere));
        let (mut large, _told) = put(6, 101, true);
        let (mut small, mut told) = put(7, 1, true);
        assert_eq!(applied(desk.hand_over(&mut large).unwrap()), NOTHING);
        assert_eq!(applied(desk.hand_over(&mut small).unwrap()), NOTHING);
        assert_eq!((engine.get(Cf::Raw, &[7]).unwrap(), told.try_recv()), (None, Ok(None)));
        assert_eq!(finish(desk, &shared, &works), [6, 7]);
        assert_eq!(told.try_recv(), Ok(Some(Ok(()))));

        // The apply loop is done, but its report has not been taken in: these are not the next ones to whoever looks.
        let (desk, ..) = ApplyDesk::new(applier(), engine, 100, Arc::new(TellHere));
        let (mut unreported, _told) = put(6, 1, false);
        assert_eq!(applied(desk.hand_over(&mut unreported).unwrap()), NOTHING);
    }

    #[test]
    fn what_the_engine_has_no_room_for_is_finished_by_the_apply_loop() {
        let engine = Full(MemoryEngine::new());
        let (desk, shared, works) = ApplyDesk::new(applier(), engine.clone(), 100, Arc::new(TellHere));
        let ((mut first, mut told), (mut second, _told)) = (put(6, 1, true), put(7, 1, true));
        assert_eq!(applied(desk.hand_over(&mut first).unwrap()), NOTHING);
        assert_eq!((engine.get(Cf::Raw, &[6]).unwrap(), told.try_recv()), (None, Ok(None)));
        assert_eq!(applied(desk.hand_over(&mut second).unwrap()), NOTHING);
        assert_eq!(finish(desk, &shared, &works), [6, 7]);
        assert_eq!(told.try_recv(), Ok(Some(Ok(()))));
    }
}
