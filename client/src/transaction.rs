//! An optimistic transaction: reads at one snapshot, writes kept here until the commit.
//! Nothing reaches a store before `commit`, so to drop or roll back a transaction costs nothing.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use nokv_percolator::Timestamp;
use tokio::time::Instant;

use crate::client::Client;
use crate::error::{InvalidInput, Result};
use crate::mutation::{Mutation, Write};
use crate::scan::{Pair, ScanRange, successor};

/// A transaction under snapshot isolation: it reads what was committed before it began, and its own writes; it
/// commits only if nobody else has since committed a key that it writes or locks.
///
/// Two transactions that each read what the other writes may both commit (write skew): [`Transaction::lock_key`] what
/// a decision rests on.
#[derive(Debug)]
pub struct Transaction {
    client: Client,
    start_ts: Timestamp,
    began: Instant,
    writes: BTreeMap<Bytes, Write>,
    bytes: usize,
}

impl Client {
    /// Begins a transaction: all its reads are as of now.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] if there is no timestamp by the deadline.
    pub async fn begin(&self) -> Result<Transaction> {
        let began = Instant::now();
        let start_ts = self.timestamp().await?;
        Ok(Transaction { client: self.clone(), start_ts, began, writes: BTreeMap::new(), bytes: 0 })
    }
}

impl Transaction {
    /// The snapshot that it reads at, and its name.
    pub fn start_ts(&self) -> Timestamp {
        self.start_ts
    }

    /// Whether there is nothing to commit.
    pub fn is_read_only(&self) -> bool {
        self.writes.is_empty()
    }

    /// The value of `key`: its own write if there is one, else the snapshot's.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        match self.writes.get(key.as_ref()) {
            Some(Write::Put(value)) => Ok(Some(value.clone())),
            Some(Write::Delete) => Ok(None),
            Some(Write::Lock) | None => self.client.get_at(key, self.start_ts).await,
        }
    }

    /// The values of `keys`, own writes included; absent keys are left out.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn batch_get<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<BTreeMap<Bytes, Bytes>> {
        let mut values = BTreeMap::new();
        let mut others = Vec::new();
        for key in keys {
            match self.writes.get(key.as_ref()) {
                Some(Write::Put(value)) => drop(values.insert(Bytes::copy_from_slice(key.as_ref()), value.clone())),
                Some(Write::Delete) => {}
                Some(Write::Lock) | None => others.push(key),
            }
        }
        values.append(&mut self.client.batch_get_at(others, self.start_ts).await?);
        Ok(values)
    }

    /// The first `limit` pairs of `range`, own writes included, by key.
    ///
    /// # Errors
    /// As [`Client::scan`].
    pub async fn scan(&self, range: ScanRange, limit: usize) -> Result<Vec<Pair>> {
        range.check()?;
        let own = || self.writes.range::<Bytes, _>(bounds(&range)).filter(|(_, write)| **write != Write::Lock);
        // Each own deletion can hide one row of the snapshot, so with so many more of them enough remain.
        let hidden = own().filter(|(_, write)| **write == Write::Delete).count();
        let asked = limit.saturating_add(hidden);
        let snapshot = self.client.scan_at(range.clone(), asked, self.start_ts).await?;
        // A snapshot that was cut at the limit says nothing about the keys behind its last.
        let known_to = match snapshot.last() {
            Some((last, _)) if snapshot.len() >= asked => successor(last),
            _ => range.end.clone(),
        };
        let known = ScanRange { start: range.start.clone(), end: known_to };
        let mut rows: BTreeMap<Bytes, Bytes> = snapshot.into_iter().collect();
        for (key, write) in own().take_while(|(key, _)| !known.ends_at(key)) {
            match write {
                Write::Put(value) => drop(rows.insert(key.clone(), value.clone())),
                Write::Delete | Write::Lock => drop(rows.remove(key)),
            }
        }
        Ok(rows.into_iter().take(limit).collect())
    }

    /// Sets `key` to `value` at commit.
    ///
    /// # Errors
    /// [`InvalidInput`] if a bound is broken; the transaction is as it was.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<()> {
        self.buffer(Mutation::put(key, value))
    }

    /// Removes `key` at commit.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        self.buffer(Mutation::delete(key))
    }

    /// Makes the commit fail if anybody commits `key` between this transaction's begin and its commit. An own write
    /// of the key does that as well, and stays.
    ///
    /// # Errors
    /// As [`Transaction::put`].
    pub fn lock_key(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        if self.writes.contains_key(key.as_ref()) {
            return Ok(());
        }
        self.buffer(Mutation::lock(key))
    }

    /// Commits all writes at once and returns the commit timestamp. Without writes there is nothing to do: the start
    /// timestamp is returned.
    ///
    /// When this returns, every later begin anywhere sees the writes. Should the caller drop the future, the commit
    /// still runs to its end, unheard.
    ///
    /// # Errors
    /// [`crate::Error::Aborted`] and [`crate::Error::Unavailable`]: certainly not committed, begin again;
    /// [`crate::Error::Undetermined`]: read to find out.
    pub async fn commit(self) -> Result<Timestamp> {
        let primary = self.primary();
        let Some(primary) = primary else { return Ok(self.start_ts) };
        let mutations = self.writes.into_iter().map(|(key, write)| Mutation { key, write }).collect();
        let budget = self.client.budget("commit");
        self.client.commit_mutations(&primary, mutations, self.start_ts, None, self.began.elapsed(), budget).await
    }

    /// Gives the transaction up. As to drop it, in words.
    pub fn rollback(self) {}

    /// The first key that is written, or if there is none, the first that is only locked.
    fn primary(&self) -> Option<Bytes> {
        let written = self.writes.iter().find(|(_, write)| **write != Write::Lock);
        written.or_else(|| self.writes.iter().next()).map(|(key, _)| key.clone())
    }

    fn buffer(&mut self, mutation: Mutation) -> Result<()> {
        match &mutation.write {
            Write::Put(value) => self.client.check_pair(&mutation.key, value)?,
            Write::Delete | Write::Lock => self.client.check_key(&mutation.key)?,
        }
        let options = self.client.options();
        let (keys_max, bytes_max) = (options.transaction_keys_max, options.transaction_bytes_max);
        let old = self.writes.get(&mutation.key);
        let keys = self.writes.len() + usize::from(old.is_none());
        let replaced = old.map_or(0, |old| mutation.key.len() + old.bytes());
        let bytes = self.bytes + mutation.bytes() - replaced;
        if keys > keys_max || bytes > bytes_max {
            return Err(InvalidInput::TransactionTooLarge { keys, bytes, keys_max, bytes_max }.into());
        }
        self.bytes = bytes;
        self.writes.insert(mutation.key, mutation.write);
        Ok(())
    }
}

fn bounds(range: &ScanRange) -> (Bound<&Bytes>, Bound<&Bytes>) {
    let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&range.end) };
    (Bound::Included(&range.start), end)
}
