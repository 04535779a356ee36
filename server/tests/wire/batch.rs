//! `tikvpb.Tikv/BatchCommands`: many requests on one stream, each answered under its id, in any order; and the same
//! calls alone.

use bytes::Bytes;
use nokv_proto::kvrpcpb::*;
use nokv_proto::tikvpb::batch_commands_request::Request;
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::batch_commands_response::response::Cmd as Reply;
use nokv_proto::tikvpb::tikv_client::TikvClient;
use nokv_proto::tikvpb::{BatchCommandsEmptyRequest, BatchCommandsRequest, BatchCommandsResponse, Refusal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::rig::{Rig, TTL_MS, bytes_of, context, key, ms, text};

/// A stream of batches to the rig's store.
struct Batches {
    frames: mpsc::UnboundedSender<BatchCommandsRequest>,
    answers: Streaming<BatchCommandsResponse>,
}

struct Answer {
    id: u64,
    reply: Option<Reply>,
    refusal: Option<Refusal>,
}

impl Batches {
    async fn open(rig: &Rig) -> Batches {
        let (frames, outgoing) = mpsc::unbounded_channel();
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let answers = tikv(rig).await.batch_commands(outgoing).await.unwrap().into_inner();
        Batches { frames, answers }
    }

    fn send(&self, requests: Vec<(u64, Cmd)>) {
        let (request_ids, cmds): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let requests = cmds.into_iter().map(|cmd| Request { cmd: Some(cmd) }).collect();
        self.frames.send(BatchCommandsRequest { requests, request_ids, ..Default::default() }).unwrap();
    }

    /// The next frame's answers.
    async fn frame(&mut self) -> Vec<Answer> {
        let frame = self.answers.message().await.unwrap().unwrap();
        assert_eq!(frame.request_ids.len(), frame.responses.len());
        let refusal = |id| frame.refusals.iter().find(|refusal| refusal.request_id == id).cloned();
        let answers = frame.request_ids.iter().zip(&frame.responses);
        answers.map(|(id, response)| Answer { id: *id, reply: response.cmd.clone(), refusal: refusal(*id) }).collect()
    }

    /// One request's answer, with nothing else under way.
    async fn ask(&mut self, cmd: Cmd) -> Reply {
        self.send(vec![(77, cmd)]);
        let mut answers = self.frame().await;
        let Answer { id, reply, refusal } = answers.pop().unwrap();
        assert!(answers.is_empty());
        assert_eq!((id, refusal), (77, None));
        reply.unwrap()
    }
}

async fn tikv(rig: &Rig) -> TikvClient<Channel> {
    let channel = Channel::from_shared(format!("http://{}", rig.address)).unwrap().connect().await.unwrap();
    TikvClient::new(channel)
}

fn raw_get(region: u64, name: &str) -> RawGetRequest {
    RawGetRequest { context: Some(context(region)), key: key(name), ..Default::default() }
}

fn raw_put(region: u64, name: &str, value: &str) -> RawPutRequest {
    RawPutRequest { context: Some(context(region)), key: key(name), value: key(value), ..Default::default() }
}

fn prewrite(start: u64, mutations: &[(Op, &str, &str)]) -> PrewriteRequest {
    let mutation = |(op, name, value): &(Op, &str, &str)| Mutation {
        op: (*op).into(),
        key: key(name),
        value: key(value),
        ..Default::default()
    };
    PrewriteRequest {
        context: Some(context(1)),
        mutations: mutations.iter().map(mutation).collect(),
        primary_lock: key(mutations[0].1),
        start_version: start,
        lock_ttl: TTL_MS,
        ..Default::default()
    }
}

fn commit(start: u64, commit: u64, keys: &[&str]) -> CommitRequest {
    let (context, keys) = (Some(context(1)), bytes_of(keys));
    CommitRequest { context, start_version: start, commit_version: commit, keys, ..Default::default() }
}

fn status(primary: &str, lock_ts: u64) -> CheckTxnStatusRequest {
    CheckTxnStatusRequest { context: Some(context(1)), primary_key: key(primary), lock_ts, ..Default::default() }
}

#[tokio::test]
async fn a_mixed_batch_is_answered_request_by_request() {
    let rig = Rig::start().await;
    let mut batches = Batches::open(&rig).await;
    let puts = (0..40).map(|id| (id, Cmd::RawPut(raw_put(1 + id % 2, ["a", "n"][id as usize % 2], "v"))));
    batches.send(puts.chain([(100, Cmd::RawGet(raw_get(2, "z"))), (101, Cmd::RawGet(raw_get(1, "z")))]).collect());
    let mut answers = std::collections::BTreeMap::new();
    while answers.len() < 42 {
        for answer in batches.frame().await {
            assert_eq!(answer.refusal, None);
            assert!(answers.insert(answer.id, answer.reply.unwrap()).is_none(), "{} came twice", answer.id);
        }
    }
    for id in 0..40 {
        assert_eq!(answers[&id], Reply::RawPut(RawPutResponse::default()));
    }
    assert_eq!(answers[&100], Reply::RawGet(RawGetResponse { not_found: true, ..Default::default() }));
    let Reply::RawGet(elsewhere) = &answers[&101] else { panic!("{:?}", answers[&101]) };
    assert!(elsewhere.region_error.as_ref().unwrap().key_not_in_region.is_some());

    let scan = RawScanRequest { context: Some(context(1)), limit: 10, key_only: true, ..Default::default() };
    let Reply::RawScan(scanned) = batches.ask(Cmd::RawScan(scan)).await else { panic!() };
    assert_eq!(scanned.kvs, [KvPair { key: key("a"), ..Default::default() }]);
    let delete = RawDeleteRequest { context: Some(context(1)), key: key("a"), ..Default::default() };
    assert_eq!(batches.ask(Cmd::RawDelete(delete)).await, Reply::RawDelete(RawDeleteResponse::default()));
    let Reply::RawGet(gone) = batches.ask(Cmd::RawGet(raw_get(1, "a"))).await else { panic!() };
    assert!(gone.not_found);
    drop(batches);
    rig.stop().await;
}

#[tokio::test]
async fn a_transactions_life_in_kvprotos_numbers() {
    let mut rig = Rig::start().await;
    rig.write(1, 1, 2, &[("e", "o")]).await;
    let mut batches = Batches::open(&rig).await;
    let start = ms(10);
    // TinyKV's 3 is what only locks; here it is 2.
    let mutations = [(Op::Put, "a", "1"), (Op::Lock, "b", ""), (Op::Insert, "c", "3"), (Op::CheckNotExists, "d", "")];
    let Reply::Prewrite(answer) = batches.ask(Cmd::Prewrite(prewrite(start, &mutations))).await else { panic!() };
    assert_eq!(answer, PrewriteResponse::default());
    let exists = prewrite(start, &[(Op::Insert, "e", "x")]);
    let Reply::Prewrite(answer) = batches.ask(Cmd::Prewrite(exists)).await else { panic!() };
    assert_eq!(answer.errors[0].already_exist.as_ref().unwrap().key, key("e"));

    let locks = ScanLockRequest { context: Some(context(1)), max_version: start, ..Default::default() };
    let Reply::ScanLock(locks) = batches.ask(Cmd::ScanLock(locks)).await else { panic!() };
    let kinds: Vec<_> = locks.locks.iter().map(|lock| (text(&lock.key), lock.lock_type())).collect();
    assert_eq!(kinds, [("a".to_owned(), Op::Put), ("b".to_owned(), Op::Lock), ("c".to_owned(), Op::Put)]);

    let beat = TxnHeartBeatRequest {
        context: Some(context(1)),
        primary_lock: key("a"),
        start_version: start,
        advise_lock_ttl: TTL_MS * 2,
        ..Default::default()
    };
    let Reply::TxnHeartBeat(beaten) = batches.ask(Cmd::TxnHeartBeat(beat)).await else { panic!() };
    assert_eq!((beaten.lock_ttl, beaten.error), (TTL_MS * 2, None));

    let alive = CheckTxnStatusRequest { current_ts: ms(11), ..status("a", start) };
    let Reply::CheckTxnStatus(alive) = batches.ask(Cmd::CheckTxnStatus(alive)).await else { panic!() };
    assert_eq!((alive.lock_ttl, alive.commit_version, alive.action), (TTL_MS * 2, 0, 0));
    assert_eq!(alive.lock_info.unwrap().primary_lock, key("a"));
    let Reply::CheckTxnStatus(unknown) = batches.ask(Cmd::CheckTxnStatus(status("zz", start))).await else { panic!() };
    let Reply::CheckTxnStatus(lost) = batches.ask(Cmd::CheckTxnStatus(status("l", start))).await else { panic!() };
    assert!(unknown.region_error.is_some());
    assert!(lost.error.unwrap().txn_not_found.is_some());

    let done = batches.ask(Cmd::Commit(commit(start, ms(12), &["a", "b", "c"]))).await;
    assert_eq!(done, Reply::Commit(CommitResponse::default()));
    let keys = bytes_of(&["a", "b", "c", "d"]);
    let get = BatchGetRequest { context: Some(context(1)), keys, version: ms(13), need_commit_ts: true };
    let Reply::BatchGet(found) = batches.ask(Cmd::BatchGet(get)).await else { panic!() };
    let pair = |name, value| KvPair { key: key(name), value: key(value), commit_ts: ms(12), ..Default::default() };
    assert_eq!(found.pairs, [pair("a", "1"), pair("c", "3")]);
    let get = GetRequest { context: Some(context(1)), key: key("a"), version: ms(13), ..Default::default() };
    let Reply::Get(found) = batches.ask(Cmd::Get(get)).await else { panic!() };
    assert_eq!(found.value, key("1"));

    // kvproto's current_ts is field 5: were TinyKV's 4 read as the present, this lock's time would not be over.
    let put = prewrite(ms(20), &[(Op::Put, "a", "2")]);
    assert_eq!(batches.ask(Cmd::Prewrite(put)).await, Reply::Prewrite(PrewriteResponse::default()));
    let over = CheckTxnStatusRequest { current_ts: ms(20 + TTL_MS), ..status("a", ms(20)) };
    let Reply::CheckTxnStatus(over) = batches.ask(Cmd::CheckTxnStatus(over)).await else { panic!() };
    assert_eq!((over.lock_ttl, over.commit_version, over.action()), (0, 0, Action::TtlExpireRollback));
    drop(batches);
    rig.stop().await;
}

#[tokio::test]
async fn what_others_left_is_cleaned_up() {
    let mut rig = Rig::start().await;
    rig.lock(1, ms(10), &[("a", "1"), ("b", "2")]).await;
    rig.write(1, ms(11), ms(12), &[("c", "3")]).await;
    let mut batches = Batches::open(&rig).await;
    let cleanup = |name: &str, start, now| {
        let (context, current_ts) = (Some(context(1)), now);
        Cmd::Cleanup(CleanupRequest { context, key: key(name), start_version: start, current_ts })
    };
    let Reply::Cleanup(alive) = batches.ask(cleanup("a", ms(10), ms(11))).await else { panic!() };
    assert!(alive.error.unwrap().locked.is_some());
    let Reply::Cleanup(ended) = batches.ask(cleanup("a", ms(10), 0)).await else { panic!() };
    assert_eq!(ended, CleanupResponse::default());
    let Reply::Cleanup(committed) = batches.ask(cleanup("c", ms(11), 0)).await else { panic!() };
    assert_eq!((committed.commit_version, committed.error), (ms(12), None));
    let resolve = ResolveLockRequest { context: Some(context(1)), start_version: ms(10), ..Default::default() };
    let resolved = batches.ask(Cmd::ResolveLock(resolve)).await;
    assert_eq!(resolved, Reply::ResolveLock(ResolveLockResponse::default()));
    let keys = bytes_of(&["d"]);
    let rollback =
        BatchRollbackRequest { context: Some(context(1)), start_version: ms(20), keys, ..Default::default() };
    let undone = batches.ask(Cmd::BatchRollback(rollback)).await;
    assert_eq!(undone, Reply::BatchRollback(BatchRollbackResponse::default()));
    let scan = ScanRequest { context: Some(context(1)), limit: 10, version: ms(30), ..Default::default() };
    let Reply::Scan(scanned) = batches.ask(Cmd::Scan(scan)).await else { panic!() };
    assert_eq!(scanned.pairs, [KvPair { key: key("c"), value: key("3"), ..Default::default() }]);
    drop(batches);
    rig.stop().await;
}

#[tokio::test]
async fn a_slow_request_holds_up_nobody_and_answers_come_as_they_are_ready() {
    let rig = Rig::start().await;
    let mut batches = Batches::open(&rig).await;
    let slow = Cmd::Empty(BatchCommandsEmptyRequest { test_id: 1, delay_time: 60_000 });
    let at_once = Cmd::Empty(BatchCommandsEmptyRequest { test_id: 2, delay_time: 0 });
    batches.send(vec![(1, slow), (2, Cmd::RawPut(raw_put(1, "a", "v"))), (3, at_once)]);
    let mut answered: Vec<u64> = Vec::new();
    while answered.len() < 2 {
        answered.extend(batches.frame().await.iter().map(|answer| answer.id));
    }
    answered.sort_unstable();
    assert_eq!(answered, [2, 3], "nobody waits for the slow one");
    let found = batches.ask(Cmd::RawGet(raw_get(1, "a"))).await;
    assert_eq!(found, Reply::RawGet(RawGetResponse { value: key("v"), ..Default::default() }));

    // The client goes away with a request under way; the store, and its end, do not wait for that.
    drop(batches);
    let mut again = Batches::open(&rig).await;
    assert!(matches!(again.ask(Cmd::RawGet(raw_get(1, "a"))).await, Reply::RawGet(_)));
    drop(again);
    rig.stop().await;
}

#[tokio::test]
async fn a_bad_request_gets_its_own_error_among_good_ones() {
    let rig = Rig::start().await;
    let mut batches = Batches::open(&rig).await;
    let good = || Cmd::RawGet(raw_get(1, "a"));
    let bad: Vec<(Cmd, Code, &str)> = vec![
        (Cmd::RawGet(RawGetRequest::default()), Code::InvalidArgument, "no context"),
        (Cmd::Get(GetRequest::default()), Code::InvalidArgument, "no context"),
        (Cmd::RawPut(raw_put(1, "", "v")), Code::InvalidArgument, "key is empty"),
        (Cmd::Prewrite(prewrite(1, &[(Op::Rollback, "a", "")])), Code::InvalidArgument, "op is 3"),
        (
            Cmd::Prewrite(PrewriteRequest { for_update_ts: 1, ..prewrite(1, &[(Op::Put, "a", "")]) }),
            Code::InvalidArgument,
            "pessimistic",
        ),
        (
            Cmd::RawScan(RawScanRequest { reverse: true, context: Some(context(1)), ..Default::default() }),
            Code::InvalidArgument,
            "reverse",
        ),
        (Cmd::RawBatchPut(RawBatchPutRequest::default()), Code::Unimplemented, "RawBatchPut is not served"),
        (Cmd::PessimisticLock(PessimisticLockRequest::default()), Code::Unimplemented, "PessimisticLock"),
    ];
    let mut requests = vec![(0, good())];
    for (at, (cmd, ..)) in bad.iter().enumerate() {
        requests.extend([(2 * at as u64 + 1, cmd.clone()), (2 * at as u64 + 2, good())]);
    }
    let (count, nothing) = (requests.len(), Request { cmd: None });
    batches.send(requests);
    let frame = BatchCommandsRequest { requests: vec![nothing], request_ids: vec![999], ..Default::default() };
    batches.frames.send(frame).unwrap();
    let mut answers = std::collections::BTreeMap::new();
    while answers.len() < count + 1 {
        answers.extend(batches.frame().await.into_iter().map(|answer| (answer.id, answer)));
    }
    for (at, (_, code, words)) in bad.iter().enumerate() {
        let answer = &answers[&(2 * at as u64 + 1)];
        let refusal = answer.refusal.as_ref().unwrap();
        assert_eq!(Code::from(refusal.code as i32), *code, "{words}");
        assert!(refusal.message.contains(words), "{refusal:?}");
        let in_kvprotos_words = format!("{:?}", answer.reply.as_ref().unwrap());
        assert!(in_kvprotos_words.contains(words), "{in_kvprotos_words}");
    }
    for at in 0..=bad.len() as u64 {
        let answer = &answers[&(2 * at)];
        assert_eq!(answer.refusal, None);
        assert!(matches!(&answer.reply, Some(Reply::RawGet(found)) if found.not_found), "{:?}", answer.reply);
    }
    assert_eq!(answers[&999].reply, None);
    drop(batches);
    rig.stop().await;
}

#[tokio::test]
async fn ids_that_belong_to_no_request_end_the_stream_and_no_other() {
    let rig = Rig::start().await;
    let (mut broken, mut other) = (Batches::open(&rig).await, Batches::open(&rig).await);
    let requests = vec![Request { cmd: Some(Cmd::RawGet(raw_get(1, "a"))) }];
    broken.frames.send(BatchCommandsRequest { requests, request_ids: vec![1, 2], ..Default::default() }).unwrap();
    let status: Status = broken.answers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("1 requests and 2 request_ids"), "{status:?}");
    assert!(matches!(other.ask(Cmd::RawGet(raw_get(1, "a"))).await, Reply::RawGet(_)));
    drop((broken, other));
    rig.stop().await;
}

#[tokio::test]
async fn a_store_that_stops_ends_its_streams() {
    let rig = Rig::start().await;
    let mut batches = Batches::open(&rig).await;
    assert!(matches!(batches.ask(Cmd::RawGet(raw_get(1, "a"))).await, Reply::RawGet(_)));
    // Waits for everything to end; the stream is still open at our side.
    rig.stop().await;
    assert_eq!(batches.answers.message().await.unwrap(), None);
}

#[tokio::test]
async fn a_value_too_large_for_an_answer_is_refused_and_the_stream_goes_on() {
    let rig = Rig::start().await;
    let mut batches = Batches::open(&rig).await;
    let large = RawPutRequest { value: Bytes::from(vec![7; 9 << 20]), ..raw_put(1, "a", "") };
    let Reply::RawPut(refused) = batches.ask(Cmd::RawPut(large)).await else { panic!() };
    assert!(refused.region_error.unwrap().raft_entry_too_large.is_some());
    assert!(matches!(batches.ask(Cmd::RawGet(raw_get(1, "a"))).await, Reply::RawGet(_)));
    drop(batches);
    rig.stop().await;
}

#[tokio::test]
async fn the_same_calls_alone() {
    let rig = Rig::start().await;
    let mut client = tikv(&rig).await;
    assert_eq!(client.kv_prewrite(prewrite(5, &[(Op::Lock, "a", "")])).await.unwrap().into_inner(), Default::default());
    assert_eq!(client.kv_commit(commit(5, 6, &["a"])).await.unwrap().into_inner(), Default::default());
    let found = client.kv_check_txn_status(status("a", 5)).await.unwrap().into_inner();
    assert_eq!(found.commit_version, 6);
    client.raw_put(raw_put(1, "a", "v")).await.unwrap();
    let scan = RawScanRequest { context: Some(context(1)), limit: 1, ..Default::default() };
    let scanned = client.raw_scan(scan).await.unwrap().into_inner();
    assert_eq!(scanned.kvs, [KvPair { key: key("a"), value: key("v"), ..Default::default() }]);
    let other_cf = RawScanRequest { context: Some(context(1)), limit: 1, cf: "lock".to_owned(), ..Default::default() };
    let refused = client.raw_scan(other_cf).await.unwrap().into_inner();
    assert!(refused.kvs[0].error.as_ref().unwrap().abort.contains("lock"), "{refused:?}");
    let status = client.raw_get(RawGetRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let status = client.kv_import(ImportRequest::default()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "kv_import is not served"));
    drop(client);
    rig.stop().await;
}
