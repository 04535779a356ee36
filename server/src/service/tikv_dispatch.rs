//! One request of a batch, whichever call it is: handed to what serves the call alone, and answered in the batch's
//! words. A request that is refused is answered under its own id; its neighbours do not notice.

use std::sync::Arc;
use std::time::Duration;

use nokv_engine::Engine;
use nokv_proto::errorpb;
use nokv_proto::tikvpb::batch_commands_request::request::Cmd;
use nokv_proto::tikvpb::batch_commands_response::Response;
use nokv_proto::tikvpb::batch_commands_response::response::Cmd as Reply;
use nokv_proto::tikvpb::{BatchCommandsEmptyRequest, BatchCommandsEmptyResponse};
use tonic::{Code, Status};

use super::answer::Answer;
use super::calls::Calls;
use super::tikv_calls::tikv_calls;
use super::tikv_refusal::Refusable;
use super::{delete_range, gc, raw, txn_read, txn_write};
use crate::executor::Executor;

/// The longest that an empty request may ask its answer to be held back.
const EMPTY_DELAY_MAX: Duration = Duration::from_secs(60);
/// What a client is told to wait if this node cannot serve for the moment.
const BACKOFF_MS: u64 = 100;

/// What serves requests, alone or in a batch.
#[derive(Debug)]
pub(super) struct Dispatch<E: Engine> {
    pub(super) executor: Executor<E>,
    pub(super) calls: Arc<Calls>,
}

/// What a request of a batch is answered.
#[derive(Debug)]
pub(super) struct Answered {
    /// In kvproto's words.
    pub(super) response: Response,
    /// Why it was not executed, if so.
    pub(super) refusal: Option<Status>,
}

macro_rules! dispatch {
    (
        hot { $($hot:ident $hot_method:ident($hot_request:ident) -> $hot_response:ident: $hot_serve:path;)* }
        served { $($name:ident $method:ident($request:ident) -> $response:ident: $serve:path;)* }
        batched { $($unserved:ident),* }
        refused { $($rest:tt)* }
    ) => {
        impl<E: Engine> Dispatch<E> {
            /// Does what one request of a batch asks for. Dropping the future gives the answer up, as for a call alone.
            pub(super) async fn run(self: Arc<Self>, request: Option<Cmd>) -> Answered {
                let Some(request) = request else { return nothing() };
                match request {
                    $(Cmd::$hot(request) => {
                        let result = self.calls.$hot_method.measure($hot_serve(&self.executor, request)).await;
                        answered(result, Reply::$hot)
                    })*
                    $(Cmd::$name(request) => {
                        let call = Box::pin(self.calls.$method.measure($serve(&self.executor, request)));
                        answered(call.await, Reply::$name)
                    })*
                    Cmd::Empty(request) => empty(request).await,
                    $(Cmd::$unserved(_) => unserved(stringify!($unserved), Reply::$unserved),)*
                }
            }
        }
    };
}

tikv_calls!(dispatch);

/// Wraps what the call by itself would have answered.
fn answered<A: Answer + Refusable>(result: Result<A, Status>, wrap: impl FnOnce(A) -> Reply) -> Answered {
    match result {
        Ok(answer) => Answered { response: Response { cmd: Some(wrap(answer)) }, refusal: None },
        Err(status) => {
            let text = status.message().to_owned();
            // Nothing is wrong with the request if it is this node that cannot: another one will.
            let answer = if status.code() == Code::Unavailable { A::refused(busy(text)) } else { A::because(text) };
            Answered { response: Response { cmd: Some(wrap(answer)) }, refusal: Some(status) }
        }
    }
}

fn busy(reason: String) -> Box<errorpb::Error> {
    let message = reason.clone();
    let server_is_busy = Some(errorpb::ServerIsBusy { reason, backoff_ms: BACKOFF_MS, ..Default::default() });
    Box::new(errorpb::Error { message, server_is_busy, ..Default::default() })
}

fn unserved<A: Refusable>(name: &str, wrap: impl FnOnce(A) -> Reply) -> Answered {
    let text = format!("{name} is not served");
    let refusal = Some(Status::unimplemented(text.clone()));
    Answered { response: Response { cmd: Some(wrap(A::because(text))) }, refusal }
}

/// A request without a command, or with one that is unknown here, which decodes to the same.
fn nothing() -> Answered {
    let refusal = Some(Status::unimplemented("a request of the batch has no command, or one that is unknown here"));
    Answered { response: Response { cmd: None }, refusal }
}

/// Answers itself, after the time that it asks for.
async fn empty(request: BatchCommandsEmptyRequest) -> Answered {
    if request.delay_time > 0 {
        tokio::time::sleep(Duration::from_millis(request.delay_time).min(EMPTY_DELAY_MAX)).await;
    }
    let answer = BatchCommandsEmptyResponse { test_id: request.test_id };
    Answered { response: Response { cmd: Some(Reply::Empty(answer)) }, refusal: None }
}

impl Answered {
    /// Instead of an answer that is larger than an answer may be.
    pub(super) fn too_large(response: &Response, bytes: usize, bytes_max: usize) -> Answered {
        let text = format!("the answer has {bytes} bytes, {bytes_max} at most are sent; ask for less at once");
        let cmd = response.cmd.as_ref().map(|cmd| because_in_place_of(cmd, &text));
        Answered { response: Response { cmd }, refusal: Some(Status::resource_exhausted(text)) }
    }
}

macro_rules! because_in_place_of {
    (
        hot { $($hot:ident $hot_method:ident($hot_request:ident) -> $hot_response:ident: $hot_serve:path;)* }
        served { $($name:ident $method:ident($request:ident) -> $response:ident: $serve:path;)* }
        batched { $($unserved:ident),* }
        refused { $($rest:tt)* }
    ) => {
        /// The refusal in the kind of answer that `reply` is.
        fn because_in_place_of(reply: &Reply, text: &str) -> Reply {
            match reply {
                $(Reply::$hot(_) => Reply::$hot(Refusable::because(text.to_owned())),)*
                $(Reply::$name(_) => Reply::$name(Refusable::because(text.to_owned())),)*
                $(Reply::$unserved(_) => Reply::$unserved(Refusable::because(text.to_owned())),)*
                Reply::Empty(answer) => Reply::Empty(*answer),
            }
        }
    };
}

tikv_calls!(because_in_place_of);
