//! The task of a link: wait for a message, dial, stream until the stream ends, pause, again.
//! Only this task dials, changes the link's state, reports the store as unreachable and logs about it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slog::{Logger, debug, info, warn};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::backoff::Backoff;
use super::codec::BatchCodec;
use super::connect::{connect, whole_story};
use super::link::{Link, LinkState};
use super::network::InboxSlot;
use super::options::GrpcOptions;
use crate::AddressBook;

/// `nokvpb.RaftTransport/Stream`. The codec is ours, so the call is not the generated one.
const STREAM_PATH: &str = "/nokvpb.RaftTransport/Stream";
/// A stream is looked at this many times within the time in which it counts as stalled.
const LOOKS_PER_STALL: u32 = 4;
/// Looks are not closer together than this, whatever the options say.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

/// The driver of one link.
#[derive(Debug)]
pub(super) struct Driver {
    link: Arc<Link>,
    book: AddressBook,
    inbox: Arc<InboxSlot>,
    options: GrpcOptions,
    logger: Logger,
    backoff: Backoff,
    /// The last thing that was logged above debug was a failure; further failures are no news.
    failure_logged: bool,
}

/// Why an attempt is over.
enum Ended {
    /// The connection did not come up.
    NotConnected(String),
    /// The stream was up and broke, or the receiver ended it.
    Broken(String),
    /// The stream took nothing for too long.
    Stalled,
    /// The address book says another address.
    Moved,
    /// The address book has the store no more.
    Removed,
}

impl Driver {
    pub(super) fn new(
        link: Arc<Link>,
        book: AddressBook,
        inbox: Arc<InboxSlot>,
        options: GrpcOptions,
        logger: Logger,
    ) -> Driver {
        let backoff = Backoff::new(options.backoff_min, options.backoff_max);
        Driver { link, book, inbox, options, logger, backoff, failure_logged: false }
    }

    /// Runs until the store leaves the address book, or the task is aborted.
    pub(super) async fn run(mut self) {
        loop {
            self.link.queue.wait_for_message().await;
            let ended = match self.book.get(self.link.store) {
                Some(address) => self.attempt(&address).await,
                None => Ended::Removed,
            };
            let why = match ended {
                Ended::Moved => {
                    info!(self.logger, "the store has moved; connecting to its new address");
                    self.link.set_state(LinkState::Idle);
                    continue;
                }
                Ended::Removed => return self.retire(),
                Ended::NotConnected(why) => {
                    self.link.counters.connect_failures.increment();
                    why
                }
                Ended::Broken(why) => {
                    self.link.counters.streams_broken.increment();
                    why
                }
                Ended::Stalled => {
                    self.link.counters.streams_broken.increment();
                    self.link.counters.streams_stalled.increment();
                    format!("the stream took nothing for {:?}", self.options.stall_timeout)
                }
            };
            self.lost(&why);
            self.pause().await;
        }
    }

    async fn attempt(&mut self, address: &Arc<str>) -> Ended {
        self.link.set_state(LinkState::Connecting);
        let channel = match connect(address, &self.options).await {
            Ok(channel) => channel,
            Err(why) => return Ended::NotConnected(why),
        };
        self.link.counters.connects.increment();
        self.link.set_state(LinkState::Connected);
        info!(self.logger, "connected"; "address" => %address);
        self.failure_logged = false;
        let up_since = Instant::now();
        let ended = tokio::select! {
            status = stream(&self.link, channel) => Ended::Broken(status),
            ended = self.watch(address) => ended,
        };
        // A connection that breaks at once, again and again, must not be dialled in a tight loop.
        if up_since.elapsed() >= self.options.backoff_max {
            self.backoff.reset();
        }
        ended
    }

    /// Ends when the stream has to: it takes nothing, or goes to a place where the store is no more.
    async fn watch(&self, address: &Arc<str>) -> Ended {
        let mut looks = interval((self.options.stall_timeout / LOOKS_PER_STALL).max(SHORTEST_LOOK));
        // After a pause of this whole process one look is due, not many: the stream needs time to go on, too.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = self.link.queue.progress().batches_taken;
        let mut stuck_looks = 0;
        // The first look is at once and says nothing.
        looks.tick().await;
        loop {
            looks.tick().await;
            match self.book.get(self.link.store) {
                None => return Ended::Removed,
                Some(now) if now != *address => return Ended::Moved,
                Some(_) => {}
            }
            let progress = self.link.queue.progress();
            let stuck = progress.messages > 0 && progress.batches_taken == seen;
            stuck_looks = if stuck { stuck_looks + 1 } else { 0 };
            if stuck_looks > LOOKS_PER_STALL {
                return Ended::Stalled;
            }
            seen = progress.batches_taken;
        }
    }

    fn lost(&mut self, why: &str) {
        let dropped = self.link.queue.close();
        self.link.counters.dropped_disconnected.add(dropped);
        self.link.set_state(LinkState::Pausing);
        if self.failure_logged {
            debug!(self.logger, "the store is still unreachable"; "why" => why);
        } else {
            warn!(self.logger, "the store is unreachable; messages to it are dropped"; "why" => why);
            self.failure_logged = true;
        }
        self.inbox.unreachable(self.link.store);
    }

    async fn pause(&mut self) {
        let pause = self.backoff.pause(rand::random());
        let up = tokio::select! {
            () = sleep(pause) => false,
            () = self.link.store_is_up.notified() => true,
        };
        if up {
            self.backoff.reset();
        }
        self.link.set_state(LinkState::Idle);
        self.link.queue.open();
    }

    fn retire(&self) {
        self.link.set_state(LinkState::Retired);
        let dropped = self.link.queue.close();
        self.link.counters.dropped_disconnected.add(dropped);
        info!(self.logger, "the store has left the address book; the link to it is over");
    }
}

/// Streams what is sent on the link until the stream ends; why it did.
async fn stream(link: &Arc<Link>, channel: Channel) -> String {
    let mut client = Grpc::new(channel);
    if let Err(error) = client.ready().await {
        return whole_story(&error);
    }
    let request = Request::new(link.outbound());
    let mut answer = pin!(client.client_streaming(request, PathAndQuery::from_static(STREAM_PATH), BatchCodec));
    match answer.as_mut().await {
        Ok(_done) => "the store ended the stream".to_owned(),
        Err(status) => describe(&status),
    }
}

fn describe(status: &Status) -> String {
    format!("{:?}: {}", status.code(), whole_story(status))
}
