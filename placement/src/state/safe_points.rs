//! How far back in time data is kept. One safe point for the cluster; versions that nobody reading at or above it needs
//! may be removed. Holders (backups, long readers, services of clients) and named snapshots hold it back.

use nokv_engine::WriteBatch;

use super::records::{HolderRecord, Records};
use super::{Refusal, Reply, State};

/// The most holders at a time.
const HOLDERS_MAX: usize = 1_000;
/// The most characters in a holder's or a snapshot's name.
const NAME_BYTES_MAX: usize = 128;
/// The name under which clients know what holds the safe point back if nobody does.
const NOBODY: &str = "gc_worker";

/// Who holds the safe point back the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceSafePoint {
    /// Its name.
    pub holder: String,
    /// For how long, in seconds.
    pub ttl_s: i64,
    /// Where it holds it.
    pub safe_point: u64,
}

impl State {
    /// The lowest timestamp that somebody still reads at `now_ms`; `None` = nobody holds anything.
    pub fn held_at(&self, now_ms: u64) -> Option<u64> {
        let holders = self.holders.values().filter(|holder| holder.until_ms > now_ms).map(|holder| holder.safe_point);
        holders.chain(self.snapshots.values().map(|snapshot| snapshot.timestamp)).min()
    }

    pub(super) fn advance_safe_point(&mut self, target: u64, now_ms: u64, batch: &mut WriteBatch) -> Reply {
        self.expire(now_ms, batch);
        let allowed = self.held_at(now_ms).map_or(target, |held| held.min(target));
        if allowed > self.safe_point {
            self.safe_point = allowed;
            Records(batch).safe_point(allowed);
        }
        Reply::SafePoint(self.safe_point)
    }

    pub(super) fn hold_safe_point(
        &mut self,
        holder: String,
        safe_point: u64,
        ttl_s: i64,
        now_ms: u64,
        batch: &mut WriteBatch,
    ) -> Result<Reply, Refusal> {
        check_name(&holder)?;
        let known = self.holders.contains_key(&holder);
        let adds = ttl_s > 0 && !known;
        if adds && self.holders.values().filter(|other| other.until_ms > now_ms).count() >= HOLDERS_MAX {
            return Err(Refusal::Full { what: "holders of the safe point", count: HOLDERS_MAX });
        }
        self.expire(now_ms, batch);
        if ttl_s <= 0 {
            if self.holders.remove(&holder).is_some() {
                Records(batch).holder(&holder, None);
            }
        } else if safe_point >= self.safe_point {
            let ttl_ms = u64::try_from(ttl_s).unwrap_or(0).saturating_mul(1_000);
            let record = HolderRecord { safe_point, until_ms: now_ms.saturating_add(ttl_ms) };
            Records(batch).holder(&holder, Some(&record));
            self.holders.insert(holder, record);
        }
        Ok(Reply::Holder(self.least_holder(now_ms)))
    }

    /// Who holds the safe point back the most; with nobody there, the safe point itself does.
    fn least_holder(&self, now_ms: u64) -> ServiceSafePoint {
        let least = self.holders.iter().min_by_key(|(_, record)| record.safe_point);
        match least {
            Some((name, record)) => {
                let ttl_s = record.until_ms.saturating_sub(now_ms) / 1_000;
                let ttl_s =
                    if record.until_ms == u64::MAX { i64::MAX } else { i64::try_from(ttl_s).unwrap_or(i64::MAX) };
                ServiceSafePoint { holder: name.clone(), ttl_s, safe_point: record.safe_point }
            }
            None => ServiceSafePoint { holder: NOBODY.to_owned(), ttl_s: i64::MAX, safe_point: self.safe_point },
        }
    }

    fn expire(&mut self, now_ms: u64, batch: &mut WriteBatch) {
        self.holders.retain(|name, record| {
            let holds = record.until_ms > now_ms;
            if !holds {
                Records(batch).holder(name, None);
            }
            holds
        });
    }
}

pub(super) fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Refusal::Wrong("a name has 1 to 128 bytes, and no control characters"));
    }
    Ok(())
}
