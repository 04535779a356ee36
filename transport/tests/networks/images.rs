//! What every network owes to an image: its chunks arrive in order and whole, or its sender is told that they did not;
//! and it is told exactly once.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use nokv_transport::{ImageReport, ImageSink, ImageSource, OutgoingImage};

use crate::contract::{FOUR, ONE, Rig, THREE, TWO};
use crate::recorder::message;

/// Images that arrived whole.
pub type Received = Arc<Mutex<Vec<(u64, Vec<Bytes>)>>>;

/// The number of a message whose image is refused.
const REFUSED: u64 = 404;
/// A chunk that is not taken.
const WRONG: &[u8] = b"wrong";

/// Keeps the chunks until the end; but one.
#[derive(Debug)]
pub struct KeepingSink {
    number: u64,
    chunks: Vec<Bytes>,
    received: Received,
}

impl KeepingSink {
    pub fn begin(number: u64, received: &Received) -> Result<Box<dyn ImageSink>, String> {
        if number == REFUSED {
            return Err("no room for it".to_owned());
        }
        Ok(Box::new(KeepingSink { number, chunks: Vec::new(), received: Arc::clone(received) }))
    }
}

impl ImageSink for KeepingSink {
    fn chunk(&mut self, chunk: Bytes) -> Result<(), String> {
        if chunk == WRONG {
            return Err("a chunk is wrong".to_owned());
        }
        self.chunks.push(chunk);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), String> {
        if self.chunks.last().is_some_and(|last| last != "end") {
            return Err("the end is missing".to_owned());
        }
        self.received.lock().unwrap().push((self.number, self.chunks));
        Ok(())
    }
}

/// Chunks from memory; after the last one it ends, or fails.
#[derive(Debug)]
struct Chunks {
    rest: std::collections::VecDeque<Bytes>,
    fails: bool,
}

impl ImageSource for Chunks {
    fn next_chunk(&mut self) -> Result<Option<Bytes>, String> {
        match self.rest.pop_front() {
            None if self.fails => Err("the disk is broken".to_owned()),
            next => Ok(next),
        }
    }
}

type Outcomes = Arc<Mutex<Vec<Result<(), String>>>>;

fn image(chunks: &[Bytes], fails: bool) -> (OutgoingImage, Outcomes) {
    let outcomes = Outcomes::default();
    let told = Arc::clone(&outcomes);
    let report = ImageReport::new(move |outcome| told.lock().unwrap().push(outcome));
    let source = Box::new(Chunks { rest: chunks.iter().cloned().collect(), fails });
    (OutgoingImage { source, report }, outcomes)
}

fn chunks() -> Vec<Bytes> {
    let mut chunks: Vec<Bytes> = (0..40u8).map(|number| vec![number; 100_000].into()).collect();
    chunks.push(Bytes::from_static(b"end"));
    chunks
}

fn outcome_of<R: Rig>(rig: &mut R, outcomes: &Outcomes) -> Result<(), String> {
    rig.wait_until(|| !outcomes.lock().unwrap().is_empty());
    (0..3).for_each(|_| rig.tick());
    let told = outcomes.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "told more than once");
    told[0].clone()
}

pub fn images_arrive_whole_and_in_order<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.start(TWO);
    let (one, at_two) = (rig.network(ONE), rig.inbox(TWO));
    let sent: Vec<_> = (1..=2)
        .map(|number| {
            let (image, outcomes) = image(&chunks(), false);
            one.send_image(TWO, message(ONE, TWO, number), image);
            outcomes
        })
        .collect();
    for outcomes in sent {
        assert_eq!(outcome_of(&mut rig, &outcomes), Ok(()));
    }
    let mut received = at_two.images();
    received.sort_by_key(|(number, _)| *number);
    assert_eq!(received, [(1, chunks()), (2, chunks())]);
}

pub fn the_sender_is_told_why_an_image_was_not_taken<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.start(TWO);
    let one = rig.network(ONE);
    let (refused, outcomes) = image(&chunks(), false);
    one.send_image(TWO, message(ONE, TWO, REFUSED), refused);
    assert_eq!(outcome_of(&mut rig, &outcomes), Err("no room for it".to_owned()));

    let mut wrong = chunks();
    wrong[7] = Bytes::from_static(WRONG);
    let (wrong, outcomes) = image(&wrong, false);
    one.send_image(TWO, message(ONE, TWO, 1), wrong);
    assert_eq!(outcome_of(&mut rig, &outcomes), Err("a chunk is wrong".to_owned()));
    assert_eq!(rig.inbox(TWO).images(), []);
}

pub fn an_image_that_cannot_be_read_does_not_arrive<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.start(TWO);
    let (broken, outcomes) = image(&chunks()[..7], true);
    rig.network(ONE).send_image(TWO, message(ONE, TWO, 1), broken);
    assert_eq!(outcome_of(&mut rig, &outcomes), Err("the disk is broken".to_owned()));
    assert_eq!(rig.inbox(TWO).images(), []);
}

pub fn an_image_to_a_store_that_is_not_there_fails<R: Rig>() {
    let mut rig = R::new();
    rig.start(ONE);
    rig.start(THREE);
    rig.kill(THREE);
    for to in [THREE, FOUR] {
        let (image, outcomes) = image(&chunks(), false);
        rig.network(ONE).send_image(to, message(ONE, to, 1), image);
        outcome_of(&mut rig, &outcomes).unwrap_err();
    }
}

/// All cases about images, on one rig.
macro_rules! contract {
    ($rig:ty) => {
        $crate::images::contract!(
            $rig,
            images_arrive_whole_and_in_order,
            the_sender_is_told_why_an_image_was_not_taken,
            an_image_that_cannot_be_read_does_not_arrive,
            an_image_to_a_store_that_is_not_there_fails
        );
    };
    ($rig:ty, $($case:ident),+) => {
        $(
            #[test]
            fn $case() {
                $crate::images::$case::<$rig>();
            }
        )+
    };
}
pub(crate) use contract;
