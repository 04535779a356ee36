//! Transfers between accounts that lie in all regions, and snapshots of all accounts, by keys or by scans.
//! The sum of all accounts never changes, in any snapshot. For half of all seeds, an account that is emptied is closed:
//! its key is deleted, until somebody pays something in again.

use std::collections::BTreeMap;

use bytes::Bytes;
use nokv_client::{Client, Error, Mutation, ScanRange, Transaction};
use nokv_percolator::Timestamp;
use parking_lot::Mutex;

use super::{LETTERS, Workloads, letter, number_in, value_of};
use crate::checkers::bank::{Statement, check};
use crate::random::Random;

const ACCOUNTS: u64 = 6;
const EACH: u64 = 100;

/// Statements, counted back, of which one is read once more.
const REPEATED_BACK: usize = 12;

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
            self.transfer(client, (from, to), closes_accounts(workloads), random).await
        } else {
            let by_scan = random.chance(500);
            match self.statement(workloads, client, by_scan).await {
                Ok(()) => self.repeat(workloads, client, by_scan).await,
                failed => failed,
            }
        };
        if let Err(error) = outcome {
            workloads.ended("bank", &error);
        }
    }

    pub(super) async fn read_all(&self, workloads: &Workloads, client: &Client) -> Result<(), Error> {
        self.statement(workloads, client, false).await?;
        self.statement(workloads, client, true).await
    }

    async fn transfer(
        &self,
        client: &Client,
        (from, to): (u64, u64),
        closes: bool,
        random: &mut Random,
    ) -> Result<(), Error> {
        let mut transaction = client.begin().await?;
        let there = transaction.batch_get([key(from), key(to)]).await?;
        let balance = |account| there.get(key(account).as_bytes()).and_then(|value| number_in(value));
        let closed = closes.then_some(0);
        // A snapshot without an account shows in a statement; it is not for a transfer to mend it.
        let (Some(source), Some(target)) = (balance(from).or(closed), balance(to).or(closed)) else { return Ok(()) };
        let amount = random.between(1, 20);
        let amount = if closes && amount > 15 { source } else { amount.min(source) };
        if closes && source == amount {
            transaction.delete(key(from))?;
        } else {
            transaction.put(key(from), value_of(source - amount, random))?;
        }
        transaction.put(key(to), value_of(target + amount, random))?;
        transaction.commit().await.map(drop)
    }

    async fn statement(&self, workloads: &Workloads, client: &Client, by_scan: bool) -> Result<(), Error> {
        let called = workloads.world.moment();
        let transaction = client.begin().await?;
        let balances = if by_scan { scan(&transaction).await? } else { get(&transaction).await? };
        let balances = with_closed(balances, workloads);
        workloads.world.note(format_args!("the bank at {}: {balances:?}", transaction.start_ts()));
        self.statements.lock().push(Statement { called, version: transaction.start_ts().0, balances });
        Ok(())
    }

    /// Reads a statement of the past once more, as of then: whoever serves it must know that nothing can have changed.
    async fn repeat(&self, workloads: &Workloads, client: &Client, by_scan: bool) -> Result<(), Error> {
        let called = workloads.world.moment();
        let version = {
            let statements = self.statements.lock();
            // Now an older one, now a younger one.
            let back = statements.len() % REPEATED_BACK;
            statements.iter().nth_back(back).map(|statement| Timestamp(statement.version))
        };
        let Some(version) = version else { return Ok(()) };
        let balances = if by_scan { scan_at(client, version).await? } else { get_at(client, version).await? };
        let balances = with_closed(balances, workloads);
        workloads.world.note(format_args!("the bank once more at {version}: {balances:?}"));
        self.statements.lock().push(Statement { called, version: version.0, balances });
        Ok(())
    }

    pub(super) fn judge(&self) -> Result<(), String> {
        check(usize::try_from(ACCOUNTS).unwrap_or(0), ACCOUNTS * EACH, &self.statements.lock())
    }
}

/// Whether accounts without money are closed in this run.
fn closes_accounts(workloads: &Workloads) -> bool {
    Random::new(workloads.world.options.seed, "closed accounts").chance(500)
}

/// An account that may be closed and is not there has no money.
fn with_closed(mut balances: Balances, workloads: &Workloads) -> Balances {
    if closes_accounts(workloads) {
        for account in 0..ACCOUNTS {
            balances.entry(account).or_default();
        }
    }
    balances
}

type Balances = BTreeMap<u64, u64>;

fn balances<'p>(pairs: impl IntoIterator<Item = (&'p Bytes, &'p Bytes)>) -> Balances {
    pairs.into_iter().filter_map(|(key, value)| Some((account_of(key)?, number_in(value)?))).collect()
}

async fn get(transaction: &Transaction) -> Result<Balances, Error> {
    Ok(balances(&transaction.batch_get((0..ACCOUNTS).map(key)).await?))
}

async fn get_at(client: &Client, version: Timestamp) -> Result<Balances, Error> {
    Ok(balances(&client.batch_get_at((0..ACCOUNTS).map(key), version).await?))
}

fn accounts_of(letter: &str) -> ScanRange {
    ScanRange::new(format!("{letter}a"), format!("{letter}b"))
}

async fn scan(transaction: &Transaction) -> Result<Balances, Error> {
    let mut all = Balances::new();
    for letter in LETTERS {
        all.extend(balances(transaction.scan(accounts_of(letter), 100).await?.iter().map(|(k, v)| (k, v))));
    }
    Ok(all)
}

async fn scan_at(client: &Client, version: Timestamp) -> Result<Balances, Error> {
    let mut all = Balances::new();
    for letter in LETTERS {
        all.extend(balances(client.scan_at(accounts_of(letter), 100, version).await?.iter().map(|(k, v)| (k, v))));
    }
    Ok(all)
}
