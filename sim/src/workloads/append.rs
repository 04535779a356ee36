//! Transactions that read lists and append to them, each element once in the whole run.
//! The lists are read whole, so the checker knows the order of all appends.

use nokv_client::{Client, Error, Transaction as ClientTransaction};
use parking_lot::Mutex;

use super::{Ended, Workloads, letter};
use crate::checkers::append::{Ending, Step, Transaction, check};
use crate::random::Random;

/// Lists in use at a time.
const LISTS: u64 = 5;
/// Appends after which a list gives way to a new one, so that reading stays cheap.
const APPENDS_MAX: u64 = 25;

/// The lists' history.
#[derive(Debug, Default)]
pub struct Lists {
    history: Mutex<Vec<Transaction>>,
    /// Appends begun so far: decides which lists are in use.
    appends: Mutex<u64>,
}

fn key(list: u64) -> String {
    format!("{}l{list:04}", letter(list))
}

impl Lists {
    pub(super) async fn operate(&self, workloads: &Workloads, client: &Client, random: &mut Random) {
        let first = *self.appends.lock() / APPENDS_MAX;
        let steps: Vec<Step> = (0..random.between(1, 4))
            .map(|_| {
                let key = first + random.below(LISTS);
                if random.chance(500) {
                    *self.appends.lock() += 1;
                    Step::Append { key, element: workloads.unique() }
                } else {
                    Step::Read { key, elements: Vec::new() }
                }
            })
            .collect();
        if let Err(error) = self.run(workloads, client, steps).await {
            workloads.ended("lists", &error);
        }
    }

    pub(super) async fn read_all(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        let lists = *self.appends.lock() / APPENDS_MAX + LISTS;
        let steps = (0..lists).map(|key| Step::Read { key, elements: Vec::new() }).collect();
        self.run(workloads, client, steps).await
    }

    pub(super) async fn read_newest(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        let first = *self.appends.lock() / APPENDS_MAX;
        let steps = (first..first + LISTS).map(|key| Step::Read { key, elements: Vec::new() }).collect();
        self.run(workloads, client, steps).await
    }

    /// Runs a transaction whose reads are still to be filled in.
    async fn run(&self, workloads: &Workloads, client: &Client, steps: Vec<Step>) -> Result<(), Error> {
        let world = &workloads.world;
        let begun = Transaction { called: world.moment(), returned: 0, ending: Ending::Unknown, steps: steps.clone() };
        let position = {
            let mut history = self.history.lock();
            history.push(begun.clone());
            history.len() - 1
        };
        let outcome = attempt(client, steps).await;
        let (ending, steps) = match &outcome {
            Ok(steps) => (Ending::Committed, steps.clone()),
            Err(error) if workloads.ended("transaction on lists", error) == Ended::Without => {
                (Ending::Aborted, begun.steps.clone())
            }
            Err(_) => (Ending::Unknown, begun.steps.clone()),
        };
        let ended = Transaction { returned: world.moment(), ending, steps, ..begun };
        world.note(format_args!("lists: {:?} {:?}", ended.ending, ended.steps));
        if let Some(slot) = self.history.lock().get_mut(position) {
            *slot = ended;
        }
        outcome.map(drop)
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        check(&self.history.lock())
    }
}

async fn attempt(client: &Client, mut steps: Vec<Step>) -> Result<Vec<Step>, Error> {
    let mut transaction = client.begin().await?;
    for step in &mut steps {
        match step {
            Step::Read { key, elements } => *elements = list(&transaction, *key).await?,
            Step::Append { key, element } => {
                let mut elements = list(&transaction, *key).await?;
                elements.push(*element);
                let text: Vec<String> = elements.iter().map(u64::to_string).collect();
                transaction.put(self::key(*key), text.join(","))?;
            }
        }
    }
    transaction.commit().await?;
    Ok(steps)
}

async fn list(transaction: &ClientTransaction, list: u64) -> Result<Vec<u64>, Error> {
    let value = transaction.get(key(list)).await?.unwrap_or_default();
    let text = std::str::from_utf8(&value).unwrap_or_default();
    Ok(text.split(',').filter_map(|element| element.parse().ok()).collect())
}
