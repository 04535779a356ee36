//! Raw keys: no transactions, no timestamps, apart from all transactional data. One key is linearizable.
//! A raw key lies in the byte space of the region bounds as it is, unencoded.

use bytes::Bytes;
use nokv_proto::{kvrpcpb, tinykvpb};

use crate::budget::Budget;
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::router::Route;
use crate::scan::{PageSize, Pair, ScanRange, successor};

impl Client {
    /// The value of a raw key, or `None`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the deadline; [`Error::Refused`]; [`Error::InvalidInput`].
    pub async fn raw_get(&self, key: impl AsRef<[u8]>) -> Result<Option<Bytes>> {
        let key = self.raw_key(key.as_ref())?;
        let request = kvrpcpb::RawGetRequest { key: key.clone(), ..Default::default() };
        let (route, answer) =
            self.read_call(&key, &request, self.inner.options.read_from, &mut self.budget("raw get")).await?;
        answered(&route, answer.error)?;
        Ok((!answer.not_found).then_some(answer.value))
    }

    /// Sets a raw key.
    ///
    /// A request whose answer is lost is sent again: where others write the same key at the same time, this value may
    /// come back once after theirs.
    ///
    /// # Errors
    /// [`Error::Undetermined`] if it may have been written; else as [`Client::raw_get`].
    pub async fn raw_put(&self, key: impl AsRef<[u8]>, value: impl Into<Bytes>) -> Result<()> {
        let (key, value) = (self.raw_key(key.as_ref())?, value.into());
        self.check_pair(&key, &value)?;
        let request = kvrpcpb::RawPutRequest { key: key.clone(), value, ..Default::default() };
        let (route, answer) = self.raw_write("raw put", &key, &request).await?;
        answered(&route, answer.error)
    }

    /// Deletes a raw key; whether it was there makes no difference. As [`Client::raw_put`] otherwise.
    ///
    /// # Errors
    /// As [`Client::raw_put`].
    pub async fn raw_delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = self.raw_key(key.as_ref())?;
        let request = kvrpcpb::RawDeleteRequest { key: key.clone(), ..Default::default() };
        let (route, answer) = self.raw_write("raw delete", &key, &request).await?;
        answered(&route, answer.error)
    }

    /// The first `limit` raw pairs of `range`, by key. No snapshot: keys written meanwhile may or may not be seen.
    ///
    /// # Errors
    /// As [`Client::raw_get`].
    pub async fn raw_scan(&self, range: ScanRange, limit: usize) -> Result<Vec<Pair>> {
        range.check()?;
        let mut rows: Vec<Pair> = Vec::new();
        let mut size = PageSize::new(self.options().scan_page_rows);
        let mut next = Some(range.start.clone());
        while let Some(from) = next {
            if rows.len() >= limit || range.ends_at(&from) {
                break;
            }
            let asked = size.rows(limit - rows.len());
            let request = tinykvpb::RawScanRequest { start_key: from.clone(), limit: asked, ..Default::default() };
            let (route, answer) =
                match self.read_call(&from, &request, self.inner.options.read_from, &mut self.budget("raw scan")).await
                {
                    Ok(answered) => answered,
                    Err(error) => {
                        size.shrink(asked, error)?;
                        next = Some(from);
                        continue;
                    }
                };
            answered(&route, answer.error)?;
            let pairs: Vec<Pair> = answer.kvs.into_iter().map(|pair| (pair.key, pair.value)).collect();
            next = match pairs.last() {
                Some((last, _)) if pairs.len() >= asked as usize => Some(successor(last)),
                _ => (!route.region.end_key.is_empty()).then(|| route.region.end_key.clone()),
            };
            rows.extend(pairs.into_iter().take_while(|(key, _)| !range.ends_at(key)).take(limit - rows.len()));
        }
        Ok(rows)
    }

    /// Sends a raw write; an error after a try that may have been executed says so.
    async fn raw_write<C: Call>(&self, operation: &'static str, key: &[u8], call: &C) -> Result<(Route, C::Response)> {
        let mut budget: Budget = self.budget(operation);
        let outcome = self.call(key, call, &mut budget).await;
        outcome.map_err(|error| match budget.may_have_run() {
            true => Error::Undetermined { operation, start_ts: None, last: error.to_string() },
            false => error,
        })
    }

    fn raw_key(&self, key: &[u8]) -> Result<Bytes> {
        self.check_key(key)?;
        Ok(Bytes::copy_from_slice(key))
    }
}

/// A raw answer's own error is a text, and final.
fn answered(route: &Route, error: String) -> Result<()> {
    if error.is_empty() { Ok(()) } else { Err(Error::Refused { address: route.address.to_string(), reason: error }) }
}
