//! Raw keys, each written once.
//! What was acknowledged must be there for ever after, whatever dies.

use std::collections::BTreeMap;

use nokv_client::{Client, Error};
use parking_lot::Mutex;

use super::{Ended, Workloads, letter, number_in, value_of};
use crate::checkers::raw::{RawRead, RawWrite, check};
use crate::random::Random;

/// The raw keys' history.
#[derive(Debug, Default)]
pub struct RawKeys {
    writes: Mutex<BTreeMap<u64, RawWrite>>,
    reads: Mutex<Vec<RawRead>>,
}

fn key(number: u64) -> String {
    format!("{}w{number:06}", letter(number))
}

impl RawKeys {
    pub(super) async fn operate(&self, workloads: &Workloads, client: &Client, random: &mut Random) {
        if random.chance(600) {
            self.write(workloads, client, random).await;
            return;
        }
        let written: Vec<u64> = self.writes.lock().keys().rev().take(20).copied().collect();
        let Some(number) = random.pick(&written) else { return };
        if let Err(error) = self.read(workloads, client, *number).await {
            workloads.ended("raw read", &error);
        }
    }

    pub(super) async fn read_all(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        let written: Vec<u64> = self.writes.lock().keys().copied().collect();
        for number in written {
            self.read(workloads, client, number).await?;
        }
        Ok(())
    }

    async fn write(&self, workloads: &Workloads, client: &Client, random: &mut Random) {
        let world = &workloads.world;
        let number = workloads.unique();
        let write = RawWrite { value: number, called: world.moment(), acknowledged: None, refused: false };
        self.writes.lock().insert(number, write);
        let write = match client.raw_put(key(number), value_of(number, random)).await {
            Ok(()) => RawWrite { acknowledged: Some(world.moment()), ..write },
            Err(error) => RawWrite { refused: workloads.ended("raw write", &error) == Ended::Without, ..write },
        };
        world.note(format_args!("raw key {number}: {write:?}"));
        self.writes.lock().insert(number, write);
    }

    async fn read(&self, workloads: &Workloads, client: &Client, number: u64) -> Result<(), Error> {
        let called = workloads.world.moment();
        let value = client.raw_get(key(number)).await?;
        let value = value.map(|value| number_in(&value).unwrap_or(u64::MAX));
        workloads.world.note(format_args!("raw key {number} holds {value:?}"));
        self.reads.lock().push(RawRead { key: number, called, returned: workloads.world.moment(), value });
        Ok(())
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        check(&self.writes.lock(), &self.reads.lock())
    }
}
