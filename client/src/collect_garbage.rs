//! Setting the safe point: what every transaction that is older than it left locked is ended first, on all regions, as
//! its primary says; then each region is told. What lies below goes by and by, on the stores.
//!
//! Why this order is enough: a transaction whose locks come after the first walk draws its commit timestamp after that,
//! and so above the safe point; or its stores choose it, above all that was read there, the walk included. What a
//! primary says of it is not collected. And once a region is told, it lets nobody
//! from below the safe point write a lock.

use bytes::Bytes;
use nokv_percolator::{Key, Timestamp};
use nokv_proto::kvrpcpb::{GcRequest, LockInfo, ScanLockRequest};
use nokv_proto::metapb::Region;

use crate::budget::Budget;
use crate::client::Client;
use crate::error::{Error, InvalidInput, Result};
use crate::key_error;
use crate::known_outcomes::TxnOutcome;
use crate::scan::successor;

/// Locks asked for at once.
const LOCKS_PAGE: u32 = 1_024;

/// What setting the safe point met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GarbageReport {
    /// Regions that know the safe point now.
    pub regions: u64,
    /// Locks of older transactions that had committed: they became visible, as they ought to be.
    pub locks_committed: u64,
    /// Locks of older transactions that were rolled back; some may have been alive.
    pub locks_rolled_back: u64,
}

impl Client {
    /// Declares that nobody reads or begins below `safe_point` any more, so that what only they could see may go.
    ///
    /// A transaction that is older and has not committed is ended, alive or not. The safe point never goes back; from
    /// then on whoever reads or begins below it is refused. If this fails half-way, nothing is broken, and it can be
    /// called again. For each region that it walks over it takes up to the deadline of [`crate::Options`].
    ///
    /// # Errors
    /// [`InvalidInput::SafePoint`] if it does not lie in the past; [`Error::Unavailable`] if a region does not answer;
    /// [`Error::Refused`] if a store does not know the calls.
    pub async fn collect_garbage(&self, safe_point: Timestamp) -> Result<GarbageReport> {
        let now = self.timestamp().await?;
        if safe_point.is_zero() || safe_point >= now {
            return Err(InvalidInput::SafePoint { safe_point, now }.into());
        }
        let mut report = GarbageReport::default();
        let mut next = Some(Bytes::new());
        while let Some(from) = next {
            next = self.end_older(from, safe_point, &mut report).await?;
        }
        let mut next = Some(Bytes::new());
        while let Some(from) = next {
            next = self.tell_safe_point(from, safe_point).await?;
            report.regions += 1;
        }
        Ok(report)
    }

    /// Ends what older transactions left in a region, from the user key `from` on, as far as one request shows it.
    /// Where to go on.
    async fn end_older(&self, from: Bytes, safe_point: Timestamp, report: &mut GarbageReport) -> Result<Option<Bytes>> {
        let mut budget = self.budget("garbage collection: locks");
        let request = ScanLockRequest {
            max_version: safe_point.0 - 1,
            start_key: from.clone(),
            limit: LOCKS_PAGE,
            ..ScanLockRequest::default()
        };
        let (route, answer) = self.call(&encoded(&from), &request, &mut budget).await?;
        if let Some(error) = answer.error {
            return Err(Error::Refused { address: route.address.to_string(), reason: key_error::words(&error) });
        }
        let next = match answer.locks.last() {
            Some(last) if answer.locks.len() >= LOCKS_PAGE as usize => Some(successor(&last.key)),
            _ => behind(&route.region)?,
        };
        self.end_owners(answer.locks, &mut budget, report).await?;
        Ok(next)
    }

    /// Ends the owners of `locks`, and then the locks.
    async fn end_owners(&self, locks: Vec<LockInfo>, budget: &mut Budget, report: &mut GarbageReport) -> Result<()> {
        for ((owner, primary), locks) in by_owner(locks) {
            let outcome = self.decide(owner, &primary, budget).await?;
            match outcome {
                TxnOutcome::Committed(_) => report.locks_committed += locks.len() as u64,
                TxnOutcome::RolledBack => report.locks_rolled_back += locks.len() as u64,
            }
            self.finish(owner, outcome, &locks, budget).await?;
        }
        Ok(())
    }

    /// Tells the region of the user key `from`. Where the next one begins.
    async fn tell_safe_point(&self, from: Bytes, safe_point: Timestamp) -> Result<Option<Bytes>> {
        let mut budget = self.budget("garbage collection: safe point");
        let request = GcRequest { safe_point: safe_point.0, ..GcRequest::default() };
        let (route, answer) = self.call(&encoded(&from), &request, &mut budget).await?;
        match answer.error {
            None => behind(&route.region),
            Some(error) => Err(Error::Refused { address: route.address.to_string(), reason: key_error::words(&error) }),
        }
    }
}

/// Where a region's bounds have the user key; the beginning for the empty one.
fn encoded(user_key: &Bytes) -> Bytes {
    if user_key.is_empty() { Bytes::new() } else { Key::encode(user_key).into_encoded() }
}

/// The first user key behind a region.
fn behind(region: &Region) -> Result<Option<Bytes>> {
    if region.end_key.is_empty() {
        return Ok(None);
    }
    let key = Key::decode_encoded(&region.end_key);
    key.map(|key| Some(key.into()))
        .map_err(|_| Error::Protocol(format!("region {} ends at bytes that encode no key", region.id)))
}

/// Locks by their owner and its primary.
pub(crate) fn by_owner(locks: Vec<LockInfo>) -> std::collections::BTreeMap<(Timestamp, Bytes), Vec<LockInfo>> {
    let mut by_owner = std::collections::BTreeMap::<_, Vec<LockInfo>>::new();
    for lock in locks {
        let owner = (Timestamp(lock.lock_version), lock.primary_lock.clone());
        by_owner.entry(owner).or_default().push(lock);
    }
    by_owner
}
