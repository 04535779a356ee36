//! Reading a range of keys in order at a timestamp, region by region and page by page.
//! Locked keys do not stop the keys before them from being used.

use bytes::Bytes;
use nokv_percolator::{Key, Timestamp};
use nokv_proto::kvrpcpb;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{Error, InvalidInput, Result};
use crate::key_error;
use crate::options::ReadFrom;

/// A key and its value.
pub type Pair = (Bytes, Bytes);

/// Keys from `start` (inclusive; empty: from the first key) to `end` (exclusive; empty: to the last).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanRange {
    /// First key.
    pub start: Bytes,
    /// First key no longer in the range; empty for no end.
    pub end: Bytes,
}

impl ScanRange {
    /// The keys from `start` to `end`.
    pub fn new(start: impl AsRef<[u8]>, end: impl AsRef<[u8]>) -> Self {
        ScanRange { start: Bytes::copy_from_slice(start.as_ref()), end: Bytes::copy_from_slice(end.as_ref()) }
    }

    /// Every key.
    pub fn all() -> Self {
        Self::default()
    }

    /// # Errors
    /// [`InvalidInput::EmptyRange`] if the range ends before it starts.
    pub(crate) fn check(&self) -> Result<()> {
        if self.ends_at(&self.start) && !self.end.is_empty() { Err(InvalidInput::EmptyRange.into()) } else { Ok(()) }
    }

    /// Whether `key` lies behind the range.
    pub(crate) fn ends_at(&self, key: &[u8]) -> bool {
        !self.end.is_empty() && key >= self.end.as_ref()
    }
}

/// What one request yields: rows, and where to go on (`None`: the key space ends here).
struct Page {
    pairs: Vec<Pair>,
    next: Option<Bytes>,
}

impl Client {
    /// The first `limit` pairs of `range` with their newest committed values, as of one moment, by key.
    ///
    /// Rows are held in memory: bound `limit`, and go on behind the last key for more.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::Unavailable`] at the deadline; [`InvalidInput::EmptyRange`].
    pub async fn scan(&self, range: ScanRange, limit: usize) -> Result<Vec<Pair>> {
        let version = self.timestamp().await?;
        self.scan_at(range, limit, version).await
    }

    /// The first `limit` pairs of `range` as of `version`, by key.
    ///
    /// # Errors
    /// As [`Client::scan`].
    pub async fn scan_at(&self, range: ScanRange, limit: usize, version: Timestamp) -> Result<Vec<Pair>> {
        range.check()?;
        let mut rows = Vec::new();
        let mut size = PageSize::new(self.inner.options.scan_page_rows);
        let mut next = Some(range.start.clone());
        while let Some(from) = next {
            if rows.len() >= limit || range.ends_at(&from) {
                break;
            }
            // The deadline is for progress: a long scan may take long, but not without a page.
            let mut budget = self.budget("scan");
            let page = self.page(from, &range, limit - rows.len(), &mut size, version, &mut budget).await?;
            let inside = page.pairs.into_iter().take_while(|(key, _)| !range.ends_at(key));
            rows.extend(inside.take(limit - rows.len()));
            next = page.next;
        }
        Ok(rows)
    }

    /// The rows of one region from `from` on, as far as one request and the locks in the way let it go.
    async fn page(
        &self,
        from: Bytes,
        range: &ScanRange,
        limit: usize,
        size: &mut PageSize,
        version: Timestamp,
        budget: &mut Budget,
    ) -> Result<Page> {
        let encoded = Key::encode(&from);
        let mut read_from = self.inner.options.read_from;
        loop {
            let rows = size.rows(limit);
            let request = kvrpcpb::ScanRequest {
                start_key: from.clone(),
                // TinyKV's own store does not look at it and reads on to the end of the region.
                end_key: range.end.clone(),
                limit: rows,
                version: version.0,
                ..Default::default()
            };
            let (route, answer) = match self.read_call(encoded.as_encoded(), &request, read_from, budget).await {
                Ok(answered) => answered,
                Err(error) => {
                    size.shrink(rows, error)?;
                    continue;
                }
            };
            let mut locks = Vec::new();
            let whole = answer.error.map(|error| kvrpcpb::KvPair { error: Some(error), ..Default::default() });
            let mut pairs: Vec<Pair> = Vec::with_capacity(answer.pairs.len());
            for pair in whole.into_iter().chain(answer.pairs) {
                match pair.error.map(|error| *error) {
                    Some(kvrpcpb::KeyError { locked: Some(lock), .. }) => locks.push(lock),
                    Some(error) => {
                        let address = route.address.to_string();
                        return Err(Error::Refused { address, reason: key_error::words(&error) });
                    }
                    // What lies behind the first locked key comes again with the next request.
                    None if locks.is_empty() => pairs.push((pair.key, pair.value)),
                    None => {}
                }
            }
            if let Some(lock) = locks.first() {
                let locked = lock.key.clone();
                self.resolve(locks, budget).await?;
                if pairs.is_empty() {
                    // A replica may have heard of the lock, and not yet of its end.
                    read_from = ReadFrom::Leader;
                    continue;
                }
                return Ok(Page { pairs, next: Some(locked) });
            }
            let next = match pairs.last() {
                Some((last, _)) if pairs.len() >= rows as usize => Some(successor(last)),
                _ if route.region.end_key.is_empty() => None,
                _ => Some(Key::decode_encoded(&route.region.end_key).map(Bytes::from).map_err(|_| {
                    Error::Protocol(format!("region {} ends at bytes that encode no key", route.region.id))
                })?),
            };
            return Ok(Page { pairs, next });
        }
    }
}

/// How many rows to ask for at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageSize(u32);

impl PageSize {
    pub(crate) fn new(rows: u32) -> Self {
        PageSize(rows.max(1))
    }

    /// The rows to ask for where `wanted` more are wanted.
    pub(crate) fn rows(self, wanted: usize) -> u32 {
        u32::try_from(wanted).unwrap_or(u32::MAX).min(self.0)
    }

    /// Asks for less from now on, if that is what the error calls for; a page of one row cannot shrink.
    ///
    /// # Errors
    /// The error itself, if it is another, or there is nothing to shrink.
    pub(crate) fn shrink(&mut self, asked: u32, error: Error) -> Result<()> {
        match error {
            Error::InvalidInput(InvalidInput::MessageTooLarge { .. }) if asked > 1 => {
                self.0 = (asked / 4).max(1);
                Ok(())
            }
            error => Err(error),
        }
    }
}

/// The first key behind `key`.
pub(crate) fn successor(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next.into()
}
