//! Transfers between accounts that lie in all regions, and snapshots of all accounts, by keys or by scans.
//! The sum of all accounts never changes, in any snapshot.

use std::collections::BTreeMap;

use nokv_client::{Client, Error, Mutation, ScanRange, Transaction};
use parking_lot::Mutex;

use super::{LETTERS, Workloads, letter, number_in, value_of};
use crate::checkers::bank::{Statement, check};
use crate::random::Random;

const ACCOUNTS: u64 = 6;
const EACH: u64 = 100;

/// The bank's history.
#[derive(Debug, Default)]
pub struct Bank {
    statements: Mutex<Vec<Statement>>,
}

fn key(account: u64) -> String {
    format!("{}a{account:02}", letter(account))
}

fn account_of(key: &[u8]) -> Option<u64> {
    std::str::from_utf8(key.get(2..)?).ok()?.parse().ok()
}

impl Bank {
    pub(super) async fn open_accounts(&self, client: &Client) -> Result<(), Error> {
        let start_ts = client.timestamp().await?;
        let accounts = (0..ACCOUNTS).map(|account| Mutation::put(key(account), format!("{EACH}:"))).collect();
        client.two_phase_commit(key(0), accounts, start_ts).await.map(drop)
    }

    pub(super) async fn operate(&self, workloads: &Workloads, client: &Client, random: &mut Random) {
        let outcome = if random.chance(600) {
            let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS - 1));
            let to = if to >= from { to + 1 } else { to };
            self.transfer(client, from, to, random).await
        } else {
            self.statement(workloads, client, random.chance(500)).await
        };
        if let Err(error) = outcome {
            workloads.ended("bank", &error);
        }
    }

    pub(super) async fn read_all(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        self.statement(workloads, client, false).await?;
        self.statement(workloads, client, true).await
    }

    async fn transfer(&self, client: &Client, from: u64, to: u64, random: &mut Random) -> Result<(), Error> {
        let mut transaction = client.begin().await?;
        let there = transaction.batch_get([key(from), key(to)]).await?;
        let balance = |account| there.get(key(account).as_bytes()).and_then(|value| number_in(value));
        // A snapshot without an account shows in a statement; it is not for a transfer to mend it.
        let (Some(source), Some(target)) = (balance(from), balance(to)) else { return Ok(()) };
        let amount = random.between(1, 20).min(source);
        transaction.put(key(from), value_of(source - amount, random))?;
        transaction.put(key(to), value_of(target + amount, random))?;
        transaction.commit().await.map(drop)
    }

    async fn statement(&self, workloads: &Workloads, client: &Client, by_scan: bool) -> Result<(), Error> {
        let called = workloads.world.moment();
        let transaction = client.begin().await?;
        let balances = if by_scan { scan(&transaction).await? } else { get(&transaction).await? };
        workloads.world.note(format_args!("the bank at {}: {balances:?}", transaction.start_ts()));
        self.statements.lock().push(Statement { called, version: transaction.start_ts().0, balances });
        Ok(())
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        check(usize::try_from(ACCOUNTS).unwrap_or(0), ACCOUNTS * EACH, &self.statements.lock())
    }
}

async fn get(transaction: &Transaction) -> Result<BTreeMap<u64, u64>, Error> {
    let there = transaction.batch_get((0..ACCOUNTS).map(key)).await?;
    Ok(there.iter().filter_map(|(key, value)| Some((account_of(key)?, number_in(value)?))).collect())
}

async fn scan(transaction: &Transaction) -> Result<BTreeMap<u64, u64>, Error> {
    let mut balances = BTreeMap::new();
    for letter in LETTERS {
        let pairs = transaction.scan(ScanRange::new(format!("{letter}a"), format!("{letter}b")), 100).await?;
        balances.extend(pairs.iter().filter_map(|(key, value)| Some((account_of(key)?, number_in(value)?))));
    }
    Ok(balances)
}
