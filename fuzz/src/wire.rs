//! What nodes send each other: log entries, raft messages in their envelopes, and images. Envelopes and images go into
//! a store as the network would leave them there: it may stop, saying why; it must not panic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use nokv_engine::{Cf, Engine as _, MemoryEngine, SharedRaftLog, WriteBatch};
use nokv_proto::metapb::{Peer, Region, RegionEpoch};
use nokv_proto::raft_serverpb::RaftMessage;
use nokv_raftstore::entry::{
    Payload, begin_write, commit_merge, cut_log, decode_members_context, members_context, prepare_merge,
    raise_safe_point, rollback_merge, split,
};
use nokv_raftstore::image::chunk::{self, Chunk, Totals};
use nokv_raftstore::merge::{Fate, Source, Successor};
use nokv_raftstore::round::Round;
use nokv_raftstore::{Clock, Config, MonotonicTime, StoreError, TellHere, bootstrap, open};
use nokv_transport::{Inbox as _, RegionId, StoreId};
use prost::Message as _;
use protobuf::Message as _;
use raft::eraftpb::{Entry, Message, MessageType, Snapshot};

use crate::disk::region;

/// Rounds that a store is given to carry out what an input made of it.
const ROUNDS: usize = 4;

/// The data and the context of a log entry.
pub fn log_entry(input: &[u8]) {
    match Payload::decode(input) {
        Some(Payload::Write { batch, .. }) => drop(WriteBatch::decode(batch)),
        Some(Payload::Split { epoch, regions }) => {
            let again = split(epoch, &regions);
            assert_eq!(Payload::decode(&again), Some(Payload::Split { epoch, regions }));
        }
        Some(Payload::CutLog { index, term }) => assert_eq!(cut_log(index, term), input),
        Some(Payload::SafePoint(number)) => assert_eq!(raise_safe_point(number), input),
        Some(Payload::PrepareMerge { epoch, min_index, target }) => {
            let again = prepare_merge(epoch, min_index, &target);
            assert_eq!(Payload::decode(&again), Some(Payload::PrepareMerge { epoch, min_index, target }));
        }
        Some(Payload::CommitMerge { epoch, source }) => {
            let again = commit_merge(epoch, &source);
            assert_eq!(Payload::decode(&again), Some(Payload::CommitMerge { epoch, source }));
        }
        Some(Payload::RollbackMerge { commit }) => assert_eq!(rollback_merge(commit), input),
        _ => {}
    }
    if let Some((epoch, region)) = decode_members_context(input) {
        assert_eq!(decode_members_context(&members_context(epoch, &region)), Some((epoch, region)));
    }
}

/// Examples of [`log_entry`].
pub fn log_entry_examples() -> Vec<Vec<u8>> {
    let epoch = RegionEpoch { conf_ver: 3, version: 9 };
    let entry = Entry { index: 8, term: 6, data: write_entry_data().into(), ..Entry::default() };
    let source = Source { region: region(), commit: 9, before_term: 5, entries: vec![entry.clone(), entry] };
    vec![
        write_entry_data(),
        cut_log(70, 6),
        split(epoch, &[region(), region()]),
        prepare_merge(epoch, 8, &region()),
        commit_merge(epoch, &source),
        rollback_merge(9),
        raise_safe_point(400 << 18),
        members_context(epoch, &region()),
    ]
}

fn write_entry_data() -> Vec<u8> {
    let mut data = Vec::new();
    begin_write(&mut data, RegionEpoch { conf_ver: 3, version: 9 });
    let mut batch = WriteBatch::new();
    batch.put(Cf::Raw, b"key", b"value");
    data.extend_from_slice(batch.as_slice());
    data
}

/// An envelope with a raft message inside, into a store that is a member of the region.
pub fn envelope(input: &[u8]) {
    let Ok(message) = RaftMessage::decode(input) else { return };
    let Ok(mut node) = Node::start() else { return };
    node.inbox.raft_message(message);
    // It may stop, if the message says that it lost what it had acknowledged.
    let _ = node.work();
}

/// Examples of [`envelope`].
pub fn envelope_examples() -> Vec<Vec<u8>> {
    let entry = |index: u64| Entry { index, term: 6, data: write_entry_data().into(), ..Entry::default() };
    let kinds = [
        MessageType::MsgAppend,
        MessageType::MsgAppendResponse,
        MessageType::MsgHeartbeat,
        MessageType::MsgHeartbeatResponse,
        MessageType::MsgRequestVote,
        MessageType::MsgRequestPreVote,
        MessageType::MsgTimeoutNow,
    ];
    let messages = kinds.map(|kind| {
        let mut message = Message { from: 72, to: 71, term: 6, index: 5, log_term: 5, commit: 5, ..Message::default() };
        message.set_msg_type(kind);
        if kind == MessageType::MsgAppend {
            message.set_entries(vec![entry(6), entry(7)].into());
        }
        seal(&message).encode_to_vec()
    });
    let mut farewell = seal(&Message::default());
    (farewell.is_tombstone, farewell.region_epoch) = (true, Some(RegionEpoch { conf_ver: 4, version: 9 }));
    let mut merged = farewell.clone();
    let successor = |region| Successor { region: RegionId(region), version: 12 };
    let members = region().peers;
    Fate { members, first: successor(8), later: vec![successor(9)], absent: false }.put(&mut merged);
    // A question without a raft message in it.
    let doubt = RaftMessage { message: Bytes::new(), ..seal(&Message::default()) };
    messages.into_iter().chain([farewell, merged, doubt].map(|message| message.encode_to_vec())).collect()
}

fn seal(message: &Message) -> RaftMessage {
    RaftMessage {
        region_id: 7,
        from_peer: Some(Peer { id: 72, store_id: 2, ..Peer::default() }),
        to_peer: Some(Peer { id: 71, store_id: 1, ..Peer::default() }),
        message: message.write_to_bytes().unwrap_or_default().into(),
        region_epoch: region().region_epoch,
        ..RaftMessage::default()
    }
}

/// An image: the input is a chunk, or what is in one; it comes to a store that is to get an image.
pub fn image(input: &[u8]) {
    let raw = Bytes::copy_from_slice(input);
    if let Some(Chunk::Data(batch)) = chunk::decode(&raw) {
        assert_eq!(chunk::data(&batch), raw);
    }
    let Ok(mut node) = Node::start() else { return };
    let mut snapshot = Snapshot::default();
    snapshot.mut_metadata().index = 90;
    snapshot.mut_metadata().term = 6;
    snapshot.mut_metadata().mut_conf_state().set_voters(vec![71, 72, 73]);
    snapshot.data = region().encode_to_vec().into();
    let mut message = Message { from: 72, to: 71, term: 6, ..Message::default() };
    message.set_msg_type(MessageType::MsgSnapshot);
    message.set_snapshot(snapshot);
    let Ok(mut sink) = node.inbox.image(seal(&message)) else { return };
    for chunk in [raw, chunk::data(input), chunk::end(Totals { records: 1, digest: 0 })] {
        if sink.chunk(chunk).is_err() {
            break;
        }
    }
    let _ = sink.finish();
    let _ = node.work();
}

/// Examples of [`image`].
pub fn image_examples() -> Vec<Vec<u8>> {
    let mut batch = WriteBatch::new();
    batch.put(Cf::Default, b"b", b"large value");
    batch.put(Cf::Raw, b"key", b"value");
    let totals = Totals { records: 2, digest: 9 };
    vec![batch.as_slice().to_vec(), chunk::data(batch.as_slice()).to_vec(), chunk::end(totals).to_vec()]
}

/// Store 1 with its replica of the region, as it begins.
struct Node {
    inbox: nokv_raftstore::StoreInbox,
    parts: nokv_raftstore::LoopParts,
    log: Arc<SharedRaftLog<MemoryEngine>>,
    engine: MemoryEngine,
    clock: Arc<StillClock>,
}

impl Node {
    fn start() -> Result<Self, StoreError> {
        let (engine, clock) = (MemoryEngine::new(), Arc::new(StillClock::default()));
        let log = Arc::new(SharedRaftLog::new(engine.clone()));
        bootstrap(&engine, log.as_ref(), StoreId(1), &[Region::clone(&region())])?;
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let opened = open(engine.clone(), log.clone(), StoreId(1), Config::default(), clock.clone(), &logger)?;
        let mismatch = || StoreError::Mismatch("no raft loop".to_owned());
        let parts = opened.loops.into_iter().next().ok_or_else(mismatch)?;
        Ok(Node { inbox: opened.inbox, parts, log, engine, clock })
    }

    /// Takes in what arrived, and carries out some rounds, a tick before each.
    fn work(&mut self) -> Result<(), StoreError> {
        for _ in 0..ROUNDS {
            let now = self.clock.advance();
            self.parts.store.tick(now);
            while let Some(message) = self.parts.receiver.try_next() {
                self.parts.store.handle(message, now)?;
            }
            let mut round = Round::default();
            self.parts.store.collect(now, &mut round)?;
            nokv_engine::RaftLog::write(self.log.as_ref(), &round.log, round.sync)?;
            self.parts.store.persisted(&mut round);
            for task in round.apply_first.drain(..).chain(round.apply.drain(..)) {
                let mut applied = nokv_raftstore::apply::ApplyRound::default();
                self.parts.applier.apply(task, &mut applied)?;
                for report in applied.carry_out(&self.engine, &TellHere)? {
                    self.parts.store.handle(report, now)?;
                }
            }
        }
        self.engine.imports().map(drop).map_err(StoreError::from)
    }
}

/// A clock that moves when it is told to.
#[derive(Debug, Default)]
struct StillClock(AtomicU64);

impl StillClock {
    fn advance(&self) -> MonotonicTime {
        self.0.fetch_add(100_000_000, Ordering::Relaxed);
        self.now()
    }
}

impl Clock for StillClock {
    fn now(&self) -> MonotonicTime {
        MonotonicTime(self.0.load(Ordering::Relaxed))
    }
}
