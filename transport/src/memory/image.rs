//! Images on the in-memory network: a sequence of steps through the same faulty link, one chunk a step. A lost chunk
//! fails the image, as a broken stream would; a clogged link holds it. The sender is told how it ended.

use nokv_proto::raft_serverpb::RaftMessage;

use super::deliver::{Happening, Step};
use super::{Event, MemoryNetwork, State};
use crate::{ImageSink, Inbox, OutgoingImage, StoreId};

/// An image under way from one store to another.
#[derive(Debug)]
pub(super) struct Transfer {
    from: StoreId,
    to: StoreId,
    /// Until the receiver has seen it.
    message: Option<Box<RaftMessage>>,
    sink: Option<Box<dyn ImageSink>>,
    image: OutgoingImage,
    network: MemoryNetwork,
}

impl Transfer {
    pub(super) fn concerns(&self, store: StoreId) -> bool {
        self.from == store || self.to == store
    }

    pub(super) fn ends(&self) -> (StoreId, StoreId) {
        (self.from, self.to)
    }

    /// Hands the next chunk over. Not under the network's lock.
    pub(super) fn advance(mut self: Box<Self>, inbox: &dyn Inbox) {
        match self.hand_over(inbox) {
            Ok(true) => {
                let network = self.network.clone();
                network.resume(self);
            }
            Ok(false) => self.image.report.tell(Ok(())),
            Err(why) => self.image.report.tell(Err(why)),
        }
    }

    /// Whether there is more to come.
    fn hand_over(&mut self, inbox: &dyn Inbox) -> Result<bool, String> {
        if let Some(message) = self.message.take() {
            self.sink = Some(inbox.image(*message)?);
            return Ok(true);
        }
        match (self.image.source.next_chunk()?, &mut self.sink) {
            (Some(chunk), Some(sink)) => sink.chunk(chunk).map(|()| true),
            _ => self.sink.take().map_or(Ok(()), ImageSink::finish).map(|()| false),
        }
    }
}

impl MemoryNetwork {
    pub(super) fn begin_image(&self, from: StoreId, to: StoreId, message: RaftMessage, image: OutgoingImage) {
        if !self.state.lock().stores.contains_key(&to) {
            return image.report.tell(Err("no address is known for the store".to_owned()));
        }
        let message = Some(Box::new(message));
        self.resume(Box::new(Transfer { from, to, message, sink: None, image, network: self.clone() }));
    }

    /// Lets the next step of `transfer` happen in its time, unless it is lost.
    fn resume(&self, transfer: Box<Transfer>) {
        let lost = {
            let mut state = self.state.lock();
            let now = state.now;
            let link = state.link(transfer.from, transfer.to);
            let fate = link.fate(now).first;
            match fate.filter(|_| !link.cut) {
                Some(at) => {
                    state.schedule(at, Event::Image(transfer));
                    None
                }
                None => Some(transfer),
            }
        };
        // Outside of the lock: its report and its sink are other people's code.
        drop(lost);
        self.deliver_if_instant();
    }
}

impl State {
    pub(super) fn image_arrives(&mut self, transfer: Box<Transfer>) -> Step {
        let (from, to) = transfer.ends();
        let inbox = self.inbox(to);
        let link = self.link(from, to);
        if link.clogged && !link.cut {
            link.held_images.push(*transfer);
            return Step::image(Happening::Held { from, to }, None, None);
        }
        match inbox.filter(|_| !self.link(from, to).cut) {
            Some(inbox) => Step::image(Happening::Delivered { from, to }, Some(inbox), Some(transfer)),
            None => Step::image(Happening::Lost { from, to }, None, Some(transfer)),
        }
    }
}
