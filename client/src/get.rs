//! Reading single keys at a timestamp, alone or many at once.
//! TinyKv has no batch get, so many keys are many requests, side by side.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{StreamExt, TryStreamExt};
use nokv_percolator::{Key, Timestamp};
use nokv_proto::kvrpcpb;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::key_error;
use crate::options::ReadFrom;

impl Client {
    /// The newest committed value of `key`, or `None`. Linearizable: it sees every write acknowledged before the call.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::Unavailable`] at the deadline.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        // One key needs no snapshot: the newest version that its leader has is the answer, without a timestamp.
        self.get_at(key, Timestamp::MAX).await
    }

    /// The value of `key` as of `version`, or `None`.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn get_at(&self, key: impl AsRef<[u8]>, version: Timestamp) -> Result<Option<Bytes>> {
        self.check_key(key.as_ref())?;
        self.read(Bytes::copy_from_slice(key.as_ref()), version, &mut self.budget("get")).await
    }

    /// The newest committed values of `keys` as of one moment; absent keys are left out.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn batch_get<K: AsRef<[u8]>>(&self, keys: impl IntoIterator<Item = K>) -> Result<BTreeMap<Bytes, Bytes>> {
        let version = self.timestamp().await?;
        self.batch_get_at(keys, version).await
    }

    /// The values of `keys` as of `version`; absent keys are left out.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn batch_get_at<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        version: Timestamp,
    ) -> Result<BTreeMap<Bytes, Bytes>> {
        let keys: Vec<Bytes> = keys.into_iter().map(|key| Bytes::copy_from_slice(key.as_ref())).collect();
        for key in &keys {
            self.check_key(key)?;
        }
        let budget = self.budget("batch get");
        let reads = keys.into_iter().map(|key| {
            let mut budget = budget.clone();
            async move { Ok((key.clone(), self.read(key, version, &mut budget).await?)) }
        });
        let pairs = futures_util::stream::iter(reads).buffer_unordered(self.inner.options.concurrency.max(1));
        pairs.try_filter_map(async |(key, value)| Ok(value.map(|value| (key, value)))).try_collect().await
    }

    /// Reads one key, resolving or waiting for the locks in the way.
    async fn read(&self, key: Bytes, version: Timestamp, budget: &mut Budget) -> Result<Option<Bytes>> {
        let encoded = Key::encode(&key);
        let request = kvrpcpb::GetRequest { key, version: version.0, ..Default::default() };
        let mut from = self.inner.options.read_from;
        loop {
            let (route, answer) = self.read_call(encoded.as_encoded(), &request, from, budget).await?;
            let Some(error) = answer.error else {
                return Ok((!answer.not_found).then_some(answer.value));
            };
            let Some(lock) = error.locked else {
                return Err(Error::Refused { address: route.address.to_string(), reason: key_error::words(&error) });
            };
            self.resolve(vec![lock], budget).await?;
            // A replica may have heard of the lock, and not yet of its end.
            from = ReadFrom::Leader;
        }
    }
}
