//! Which records of a key nobody needs any more, once nobody reads below a safe point: the rule itself, on the records
//! of one key from the newest to the oldest.
//!
//! ```text
//!   safe point 50:   70 Put    kept: above
//!                    50 Lock   kept: a transaction that started at 50 has to meet it
//!                    45 Put    kept: what a reader at 50 sees          (45 Delete: goes, but after all older ones)
//!                    40 Rollback, 30 Put, 20 Delete, 10 Put            go
//! ```
//!
//! Whoever reads, prewrites or is told the fate of a transaction does so at the safe point or above; there everything
//! is as before. (That nobody comes from below is the executor's to refuse, and that no lock from below is left is the
//! business of whoever sets the safe point: see `docs/data-path.md`.)

use crate::{Timestamp, WriteKind};

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody may need it.
    Keep,
    /// It goes.
    Remove,
    /// It goes once all older records of the key are gone: as long as one is left, this deletion hides it.
    RemoveLast,
}

/// Judges the records of one key.
///
/// It only ever grows surer: what it judged before stays right, whatever is written above the safe point meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judge {
    safe_point: Timestamp,
    /// A record seen before says what a reader at the safe point sees.
    is_decided: bool,
    /// The oldest record kept: where it is, and whether it is a put.
    oldest_kept: Option<(Timestamp, bool)>,
    /// The one before it.
    second_oldest_kept: Option<Timestamp>,
}

impl Judge {
    /// A judge of a key of which nothing has been seen.
    pub fn new(safe_point: Timestamp) -> Self {
        Self { safe_point, ..Self::default() }
    }

    /// Judges the record of `kind` at `at`. Records come from the newest to the oldest, each once.
    pub fn judge(&mut self, at: Timestamp, kind: WriteKind) -> Verdict {
        let verdict = self.verdict(at, kind);
        if verdict == Verdict::Keep {
            self.second_oldest_kept = self.oldest_kept.map(|(at, _)| at);
            self.oldest_kept = Some((at, kind == WriteKind::Put));
        }
        verdict
    }

    fn verdict(&mut self, at: Timestamp, kind: WriteKind) -> Verdict {
        let is_change = matches!(kind, WriteKind::Put | WriteKind::Delete);
        if at >= self.safe_point {
            // At the safe point itself a reader sees it, and a writer that starts there conflicts with it.
            self.is_decided |= is_change && at == self.safe_point;
            return Verdict::Keep;
        }
        if self.is_decided && !nokv_engine::is_planted("collect what the safe point sees") {
            return Verdict::Remove;
        }
        self.is_decided |= is_change;
        match kind {
            WriteKind::Put if nokv_engine::is_planted("collect what the safe point sees") => Verdict::Remove,
            WriteKind::Put => Verdict::Keep,
            WriteKind::Delete => Verdict::RemoveLast,
            WriteKind::Lock | WriteKind::Rollback => Verdict::Remove,
        }
    }

    /// After the oldest record: unless the key is written, nothing of it goes at a safe point up to this one.
    pub fn quiet_up_to(&self) -> Timestamp {
        match (self.oldest_kept, self.second_oldest_kept) {
            (None, _) | (Some((_, true)), None) => Timestamp::MAX,
            // A lone put stays for ever; beneath something newer it goes once that is below the safe point, or at it.
            (Some((_, true)), Some(newer)) => Timestamp(newer.0.saturating_sub(1)),
            (Some((at, false)), _) => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Keep, Remove, RemoveLast};
    use WriteKind::{Delete, Lock, Put, Rollback};

    fn judged(safe_point: u64, records: &[(u64, WriteKind)]) -> (Vec<Verdict>, u64) {
        let mut judge = Judge::new(Timestamp(safe_point));
        let verdicts = records.iter().map(|(at, kind)| judge.judge(Timestamp(*at), *kind)).collect();
        (verdicts, judge.quiet_up_to().0)
    }

    #[test]
    fn what_a_reader_at_the_safe_point_sees_stays_and_all_below_goes() {
        let records = [(70, Put), (50, Lock), (45, Put), (40, Rollback), (30, Put), (20, Delete), (10, Put)];
        assert_eq!(judged(50, &records), (vec![Keep, Keep, Keep, Remove, Remove, Remove, Remove], 49));
        assert_eq!(judged(51, &records).0, [Keep, Remove, Keep, Remove, Remove, Remove, Remove]);
        assert_eq!(judged(10, &records).0, [Keep; 7]);
        assert_eq!(judged(0, &records), (vec![Keep; 7], 19));
    }

    #[test]
    fn a_deletion_goes_after_what_it_hides_unless_somebody_may_start_at_it() {
        assert_eq!(judged(50, &[(45, Delete), (40, Put)]), (vec![RemoveLast, Remove], u64::MAX));
        assert_eq!(judged(45, &[(45, Delete), (40, Put)]), (vec![Keep, Remove], 45));
        assert_eq!(judged(46, &[(46, Rollback), (45, Lock), (44, Delete)]).0, [Keep, Remove, RemoveLast]);
    }

    #[test]
    fn it_knows_until_when_looking_again_is_for_nothing() {
        assert_eq!(judged(50, &[(45, Put)]).1, u64::MAX);
        assert_eq!(judged(50, &[(60, Put), (45, Put)]).1, 59);
        assert_eq!(judged(59, &[(60, Put), (45, Put)]).0, [Keep, Keep]);
        assert_eq!(judged(60, &[(60, Put), (45, Put)]).0, [Keep, Remove]);
        assert_eq!(judged(50, &[(60, Rollback), (45, Put)]).1, 59);
        assert_eq!(judged(50, &[(60, Rollback)]).1, 60);
        assert_eq!(judged(61, &[(60, Rollback)]).0, [Remove]);
        assert_eq!(judged(50, &[]).1, u64::MAX);
    }
}
