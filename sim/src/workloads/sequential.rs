//! Writers that insert 0, 1, 2, … one after another, into all regions in turn, and readers that look how far they are.
//! What a reader sees has no gap, since no writer begins before the last one is acknowledged.

use std::collections::BTreeMap;

use nokv_client::{Client, Error};
use parking_lot::Mutex;

use super::{Workloads, letter};
use crate::checkers::sequential::{Sighting, Stream, check};
use crate::random::Random;

/// Inserts after which a writer is done, so that reading stays cheap.
const INSERTS_MAX: usize = 40;

/// The inserts' history.
#[derive(Debug, Default)]
pub struct Inserts {
    /// By writer: a client, and how many streams it completed before.
    streams: Mutex<BTreeMap<(u64, u64), Stream>>,
}

fn key(stream: (u64, u64), number: u64) -> String {
    format!("{}s{:04}-{:03}-{number:04}", letter(number), stream.0, stream.1)
}

impl Inserts {
    pub(super) async fn operate(&self, workloads: &Workloads, client: &Client, number: u64, random: &mut Random) {
        let outcome = if random.chance(700) {
            self.insert(workloads, client, number).await
        } else {
            let streams: Vec<(u64, u64)> = self.streams.lock().keys().copied().collect();
            match random.pick(&streams) {
                Some(stream) => self.look(workloads, client, *stream).await,
                None => Ok(()),
            }
        };
        if let Err(error) = outcome {
            workloads.ended("inserts", &error);
        }
    }

    pub(super) async fn read_all(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        let streams: Vec<(u64, u64)> = self.streams.lock().keys().copied().collect();
        for stream in streams {
            self.look(workloads, client, stream).await?;
        }
        Ok(())
    }

    /// Inserts the next number. If the outcome is unknown or bad, the same number comes again: it says the same.
    async fn insert(&self, workloads: &Workloads, client: &Client, writer: u64) -> Result<(), Error> {
        let (stream, number) = {
            let mut streams = self.streams.lock();
            let own = streams.range((writer, 0)..(writer + 1, 0)).next_back();
            let turn = own.map_or(0, |((_, turn), stream)| turn + u64::from(stream.acknowledged.len() >= INSERTS_MAX));
            let stream = streams.entry((writer, turn)).or_default();
            ((writer, turn), stream.acknowledged.len() as u64)
        };
        client.put(key(stream, number), "in").await?;
        let moment = workloads.world.moment();
        workloads.world.note(format_args!("inserts: {stream:?} acknowledged {number}"));
        self.streams.lock().entry(stream).or_default().acknowledged.push(moment);
        Ok(())
    }

    async fn look(&self, workloads: &Workloads, client: &Client, stream: (u64, u64)) -> Result<(), Error> {
        let world = &workloads.world;
        let called = world.moment();
        let behind = self.streams.lock().get(&stream).map_or(0, |stream| stream.acknowledged.len() as u64) + 2;
        let there = client.batch_get((0..behind).map(|number| key(stream, number))).await?;
        let seen: Vec<u64> = (0..behind).filter(|number| there.contains_key(key(stream, *number).as_bytes())).collect();
        world.note(format_args!("inserts: {stream:?} shows {} of {behind}", seen.len()));
        let sighting = Sighting { called, returned: world.moment(), seen };
        self.streams.lock().entry(stream).or_default().sightings.push(sighting);
        Ok(())
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        for (stream, history) in self.streams.lock().iter() {
            check(history).map_err(|what| format!("stream {stream:?}: {what}"))?;
        }
        Ok(())
    }
}
