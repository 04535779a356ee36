//! A stream's work by hand: frames in, polls counted, answers out. The requests are empty ones whose futures a test
//! holds, so that it decides when each is ready.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use bytes::Bytes;
use futures_channel::{mpsc, oneshot};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either};
use futures_util::task::{ArcWake, waker};
use nokv_proto::kvrpcpb::RawGetResponse;
use nokv_proto::tikvpb::batch_commands_request::Request;
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::batch_commands_response::Response;
use nokv_proto::tikvpb::batch_commands_response::response::Cmd as Reply;
use nokv_proto::tikvpb::{BatchCommandsEmptyRequest, BatchCommandsRequest, BatchCommandsResponse};
use parking_lot::Mutex;
use tonic::{Code, Status};

use super::tikv_dispatch::Answered;
use super::tikv_stream::{StreamBounds, StreamWork};

const BOUNDS: StreamBounds = StreamBounds {
    frame_requests_max: 8,
    under_way_max: 3,
    unsent_bytes_max: 1_000,
    frame_bytes_max: 500,
    answer_bytes_max: 2_000,
    turn_requests_max: 100,
};

/// Counts how often the task was woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl ArcWake for Wakes {
    fn wake_by_ref(arc_self: &Arc<Self>) {
        arc_self.0.fetch_add(1, Ordering::SeqCst);
    }
}

type Held = Arc<Mutex<BTreeMap<u64, oneshot::Sender<()>>>>;
type Started = BoxFuture<'static, (u64, Answered)>;
type Start = Box<dyn FnMut(u64, Option<Cmd>) -> Started>;
type Frames = mpsc::UnboundedReceiver<Result<BatchCommandsRequest, Status>>;

struct Rig {
    work: StreamWork<Frames, Start, Started>,
    frames: mpsc::UnboundedSender<Result<BatchCommandsRequest, Status>>,
    held: Held,
    wakes: Arc<Wakes>,
}

impl Rig {
    /// A request with a `delay_time` is held until it is let go; the others answer at once, with `test_id` bytes.
    fn new(bounds: StreamBounds) -> Rig {
        let (frames, incoming) = mpsc::unbounded();
        let held = Held::default();
        let holding = held.clone();
        let start = move |id, request: Option<Cmd>| -> Started {
            let Some(Cmd::Empty(BatchCommandsEmptyRequest { test_id, delay_time })) = request else {
                panic!("{request:?}")
            };
            let value = Bytes::from(vec![7; usize::try_from(test_id).unwrap()]);
            let cmd = Some(Reply::RawGet(RawGetResponse { value, ..Default::default() }));
            let answered = (id, Answered { response: Response { cmd }, refusal: None });
            if delay_time == 0 {
                return Either::<_, futures_util::future::Pending<_>>::Left(ready(answered)).boxed();
            }
            let (let_go, gone) = oneshot::channel();
            holding.lock().insert(id, let_go);
            gone.map(|_| answered).boxed()
        };
        let start: Start = Box::new(start);
        Rig { work: StreamWork::new(incoming, start, bounds), frames, held, wakes: Arc::default() }
    }

    /// Sends a frame of requests `(id, answer's bytes, held)`.
    fn send(&self, requests: &[(u64, u64, bool)]) {
        let request = |(_, bytes, held): &(u64, u64, bool)| {
            let empty = BatchCommandsEmptyRequest { test_id: *bytes, delay_time: u64::from(*held) };
            Request { cmd: Some(Cmd::Empty(empty)) }
        };
        let frame = BatchCommandsRequest {
            requests: requests.iter().map(request).collect(),
            request_ids: requests.iter().map(|(id, ..)| *id).collect(),
            ..Default::default()
        };
        self.frames.unbounded_send(Ok(frame)).unwrap();
    }

    fn advance(&mut self) {
        let waker = waker(self.wakes.clone());
        self.work.advance(&mut Context::from_waker(&waker));
    }

    fn wakes(&self) -> usize {
        self.wakes.0.swap(0, Ordering::SeqCst)
    }

    fn let_go(&self, id: u64) {
        self.held.lock().remove(&id).unwrap().send(()).unwrap();
    }

    fn take(&mut self) -> BatchCommandsResponse {
        self.work.take_frame().unwrap().unwrap()
    }

    fn held(&self) -> Vec<u64> {
        self.held.lock().keys().copied().collect()
    }
}

#[test]
fn what_is_ready_at_once_is_answered_in_one_frame_without_a_wake_up() {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(5, 1, false), (3, 2, false)]);
    rig.send(&[(9, 3, false)]);
    rig.advance();
    assert_eq!(rig.take().request_ids, [5, 3, 9]);
    assert!(!rig.work.has_frame());
    assert_eq!(rig.wakes(), 0);
}

#[test]
fn answers_leave_as_they_become_ready_and_a_slow_one_holds_nobody_up() {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(1, 1, true), (2, 2, false), (3, 3, true)]);
    rig.advance();
    assert_eq!(rig.take().request_ids, [2]);
    rig.wakes();
    rig.let_go(3);
    assert_eq!(rig.wakes(), 1);
    rig.send(&[(4, 4, false)]);
    rig.advance();
    assert_eq!(rig.take().request_ids, [3, 4]);
    rig.let_go(1);
    drop(rig.frames);
    let waker = waker(rig.wakes.clone());
    rig.work.advance(&mut Context::from_waker(&waker));
    assert!(!rig.work.is_over(), "its answer has not left");
    assert_eq!(rig.work.take_frame().unwrap().unwrap().request_ids, [1]);
    assert!(rig.work.is_over());
}

#[test]
fn at_the_bound_of_requests_under_way_nothing_is_begun_and_at_most_one_frame_is_read() {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(1, 1, true), (2, 1, true), (3, 1, true), (4, 1, true)]);
    rig.send(&[(5, 1, true)]);
    rig.advance();
    assert_eq!(rig.held(), [1, 2, 3]);
    assert!(!rig.work.can_begin());
    rig.let_go(2);
    rig.advance();
    assert_eq!(rig.held(), [1, 3, 4]);
    assert_eq!(rig.take().request_ids, [2]);
}

#[test]
fn answers_that_nobody_takes_hold_further_requests_back() {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(1, 400, false), (2, 400, false), (3, 400, false), (4, 400, false)]);
    rig.advance();
    assert_eq!(rig.take().request_ids, [1]);
    assert_eq!(rig.take().request_ids, [2]);
    assert_eq!(rig.take().request_ids, [3], "each has a frame of its own: two do not fit into one");
    assert!(!rig.work.has_frame() && rig.work.can_begin());
    rig.advance();
    assert_eq!(rig.take().request_ids, [4]);
}

#[test]
fn a_long_frame_gives_others_of_the_thread_their_turn() {
    let mut rig = Rig::new(StreamBounds { turn_requests_max: 2, ..BOUNDS });
    rig.send(&[(1, 1, false), (2, 1, false), (3, 1, false)]);
    rig.advance();
    assert_eq!(rig.wakes(), 1, "it asks to be polled again");
    assert_eq!(rig.take().request_ids, [1, 2]);
    rig.advance();
    assert_eq!(rig.take().request_ids, [3]);
    assert_eq!(rig.wakes(), 0);
}

#[test]
fn an_answer_that_is_too_large_is_refused_and_its_neighbours_are_not() {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(1, 10, false), (2, 3_000, false), (3, 10, false)]);
    rig.advance();
    let frame = rig.take();
    assert_eq!(frame.request_ids, [1, 2, 3]);
    let [refusal] = frame.refusals.as_slice() else { panic!("{frame:?}") };
    assert_eq!((refusal.request_id, Code::from(refusal.code.cast_signed())), (2, Code::ResourceExhausted));
    let Some(Reply::RawGet(answer)) = &frame.responses[1].cmd else { panic!("{frame:?}") };
    assert!(answer.value.is_empty() && answer.error.contains("2000"), "{answer:?}");
}

/// What ends a stream: `frame` comes while request 1 is held and request 2 is answered.
fn ends_with(frame: Result<BatchCommandsRequest, Status>) -> Status {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(1, 1, true), (2, 1, false)]);
    rig.frames.unbounded_send(frame).unwrap();
    rig.send(&[(3, 1, true)]);
    rig.advance();
    assert_eq!(rig.take().request_ids, [2], "what is answered is not lost");
    assert!(rig.held.lock().remove(&1).unwrap().is_canceled(), "what was under way is dropped");
    assert_eq!(rig.held(), [0; 0], "nothing is begun after it");
    let status = rig.work.take_frame().unwrap().unwrap_err();
    assert!(rig.work.is_over());
    status
}

#[test]
fn a_frame_that_makes_no_sense_ends_the_stream() {
    let requests = vec![Request::default(); 2];
    let status = ends_with(Ok(BatchCommandsRequest { requests, request_ids: vec![7], ..Default::default() }));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("2 requests and 1 request_ids"), "{status:?}");

    let (requests, request_ids) = (vec![Request::default(); 9], vec![7; 9]);
    let status = ends_with(Ok(BatchCommandsRequest { requests, request_ids, ..Default::default() }));
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("9 requests, 8 at most"), "{status:?}");

    assert_eq!(ends_with(Err(Status::data_loss("cut"))).message(), "cut");
}

#[test]
fn dropping_the_work_drops_what_is_under_way() {
    let mut rig = Rig::new(BOUNDS);
    rig.send(&[(1, 1, true)]);
    rig.advance();
    let held = rig.held.lock().remove(&1).unwrap();
    assert!(!held.is_canceled());
    drop(rig.work);
    assert!(held.is_canceled());
}
