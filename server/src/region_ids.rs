//! New ids for regions and peers, drawn from the timestamp server: it never gives a timestamp twice and never goes
//! back, whatever fails, so an id made from one was never used before and is larger than all that were. A cluster with
//! placement asks that instead ([`IdSource`]).
//!
//! ```text
//!   timestamp:  milliseconds since 1970 << 18 | counter
//!   id:         (timestamp >> 8) - (2026-01-01 00:00 >> 8), for each multiple of 256 among the timestamps drawn
//! ```
//!
//! Such ids are larger than those that people choose for a topology file, rise with time (a store's later peer of a
//! region must have the larger id), and stay below 2^53 for two centuries, so that no reader of JSON rounds them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use nokv_client::{OracleError, Timestamp, TimestampOracle};

/// Timestamps that one id takes, as a power of two.
const ID_SHIFT: u32 = 8;
/// Ids drawn by one request.
const IDS_AT_ONCE: usize = 32;
/// 2026-01-01 in milliseconds since 1970: no id was drawn before.
const FIRST_MS: u64 = 1_767_225_600_000;
/// Ids from here on are drawn, those below are people's.
pub const DRAWN_ID_MIN: u64 = 1 << 32;
/// How often a request is tried, and the pause before the next try.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// Draws ids. Cheap to clone.
#[derive(Clone)]
pub struct RegionIds {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Timestamps(Arc<dyn TimestampOracle>),
    Asked(Arc<dyn IdSource>),
}

/// Somebody who gives ids, each once, and larger than all that were given before.
pub trait IdSource: Send + Sync {
    /// So many ids, rising.
    ///
    /// # Errors
    /// [`IdError`].
    fn ids(&self, count: u32) -> BoxFuture<'_, Result<Vec<u64>, IdError>>;
}

/// Why there are no ids. Nothing was done; try again, or give ids of your own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The timestamp server does not answer, or not as it should.
    #[error("no ids can be drawn: {0}")]
    Oracle(#[from] OracleError),
    /// Its clock shows a time at which this program did not exist; timestamps of it were never used for ids.
    #[error("no ids can be drawn: the timestamp server's clock is before February 2026; correct it")]
    ClockTooEarly,
}

impl RegionIds {
    /// Draws from this timestamp server.
    pub fn new(oracle: Arc<dyn TimestampOracle>) -> Self {
        Self { source: Source::Timestamps(oracle) }
    }

    /// Asks whoever gives ids in this cluster.
    pub fn asked_of(source: Arc<dyn IdSource>) -> Self {
        Self { source: Source::Asked(source) }
    }

    /// So many ids, rising.
    ///
    /// # Errors
    /// [`IdError`].
    pub async fn draw(&self, count: usize) -> Result<Vec<u64>, IdError> {
        let oracle = match &self.source {
            Source::Timestamps(oracle) => oracle,
            Source::Asked(source) => return source.ids(u32::try_from(count).unwrap_or(u32::MAX)).await,
        };
        let mut ids = Vec::with_capacity(count);
        while ids.len() < count {
            let wanted = (count - ids.len()).min(IDS_AT_ONCE);
            let timestamps = u32::try_from(wanted << ID_SHIFT).unwrap_or(u32::MAX);
            let first = draw_timestamps(oracle.as_ref(), timestamps).await?;
            ids.extend(ids_among(first, wanted)?);
        }
        Ok(ids)
    }
}

async fn draw_timestamps(oracle: &dyn TimestampOracle, count: u32) -> Result<Timestamp, OracleError> {
    let mut tries = 1;
    loop {
        match oracle.timestamps(count).await {
            Err(OracleError::Unavailable(_)) if tries < TRIES => tries += 1,
            answer => return answer,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl std::fmt::Debug for RegionIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegionIds").finish_non_exhaustive()
    }
}

/// The ids of the `count << ID_SHIFT` timestamps from `first` on: that many multiples lie among them, wherever they
/// begin.
fn ids_among(first: Timestamp, count: usize) -> Result<impl Iterator<Item = u64>, IdError> {
    let origin = Timestamp::compose(FIRST_MS, 0).0 >> ID_SHIFT;
    let lowest = first.0.div_ceil(1 << ID_SHIFT).checked_sub(origin).filter(|id| *id >= DRAWN_ID_MIN);
    let lowest = lowest.ok_or(IdError::ClockTooEarly)?;
    Ok((lowest..).take(count))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Gives timestamps that follow one another, from some odd place on.
    struct Counter(AtomicU64);

    impl TimestampOracle for Counter {
        fn timestamps(&self, count: u32) -> BoxFuture<'_, Result<Timestamp, OracleError>> {
            let first = self.0.fetch_add(u64::from(count), Ordering::SeqCst);
            Box::pin(std::future::ready(Ok(Timestamp(first))))
        }
    }

    #[tokio::test]
    async fn ids_rise_and_never_repeat_whatever_is_drawn_between() {
        let start = Timestamp::compose(1_790_000_000_000, 77).0;
        let oracle = Arc::new(Counter(start.into()));
        let ids = RegionIds::new(oracle.clone());
        let mut drawn = Vec::new();
        for count in [1, 4, 100, 1] {
            let some = ids.draw(count).await.unwrap();
            assert_eq!(some.len(), count);
            drawn.extend(some);
            // A transaction draws one.
            oracle.timestamps(1).await.unwrap();
        }
        assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]), "{drawn:?}");
        assert!(drawn.iter().all(|id| (DRAWN_ID_MIN..1 << 53).contains(id)), "{drawn:?}");
    }

    #[tokio::test]
    async fn a_clock_before_the_first_id_is_refused() {
        let ids = RegionIds::new(Arc::new(Counter(Timestamp::compose(FIRST_MS + 1, 0).0.into())));
        assert_eq!(ids.draw(1).await, Err(IdError::ClockTooEarly));
    }
}
