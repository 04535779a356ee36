//! A few keys, each read and written on its own: they must behave like registers in one process.
//! Every value is written once, which makes judging them exact.

use std::collections::BTreeMap;

use nokv_client::{Client, Error};
use parking_lot::Mutex;

use super::{Ended, Workloads, letter, number_in, value_of};
use crate::checkers::register::{Action, Operation, check};
use crate::random::Random;

const REGISTERS: u64 = 4;

/// The registers' history.
#[derive(Debug, Default)]
pub struct Registers {
    /// By register; `None` = it turned out to be without effect.
    history: Mutex<BTreeMap<u64, Vec<Option<Operation>>>>,
}

fn key(register: u64) -> String {
    format!("{}r{register}", letter(register))
}

impl Registers {
    pub(super) async fn operate(&self, workloads: &Workloads, client: &Client, random: &mut Random) {
        let register = random.below(REGISTERS);
        if random.chance(500) {
            self.write(workloads, client, register, random).await;
        } else if let Err(error) = self.read(workloads, client, register).await {
            workloads.ended("register read", &error);
        }
    }

    pub(super) async fn read_all(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        for register in 0..REGISTERS {
            self.read(workloads, client, register).await?;
        }
        Ok(())
    }

    async fn read(&self, workloads: &Workloads, client: &Client, register: u64) -> Result<(), Error> {
        let world = &workloads.world;
        let called = world.moment();
        let value = client.get(key(register)).await?;
        let returned = Some(world.moment());
        let number = value.as_deref().map_or(Some(0), number_in).unwrap_or(u64::MAX);
        world.note(format_args!("register {register} holds {number}"));
        let operation = Operation { action: Action::Read(number), called, returned };
        self.history.lock().entry(register).or_default().push(Some(operation));
        Ok(())
    }

    async fn write(&self, workloads: &Workloads, client: &Client, register: u64, random: &mut Random) {
        let world = &workloads.world;
        let number = workloads.unique();
        let operation = Operation { action: Action::Write(number), called: world.moment(), returned: None };
        let position = {
            let mut history = self.history.lock();
            let operations = history.entry(register).or_default();
            operations.push(Some(operation));
            operations.len() - 1
        };
        let known = match client.put(key(register), value_of(number, random)).await {
            Ok(_) => Some(Operation { returned: Some(world.moment()), ..operation }),
            Err(error) if workloads.ended("register write", &error) == Ended::Without => None,
            Err(_) => Some(operation),
        };
        world.note(format_args!("register {register}: wrote {number}: {known:?}"));
        if let Some(slot) = self.history.lock().entry(register).or_default().get_mut(position) {
            *slot = known;
        }
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        for (register, operations) in self.history.lock().iter() {
            let operations: Vec<Operation> = operations.iter().flatten().copied().collect();
            check(&operations).map_err(|what| format!("register {register}: {what}"))?;
        }
        Ok(())
    }
}
