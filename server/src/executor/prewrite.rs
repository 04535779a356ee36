//! Prewrites of transactions that choose their own commit timestamp: in one phase, or asynchronously. Beside what every
//! write does, such a one is announced to readers from before its bound is chosen until it is applied. Where that
//! cannot be had it goes in two phases, and its answer says so: neither a bound nor a commit timestamp.

use nokv_engine::Engine;
use nokv_percolator::{Announcement, CommitBy, Key, LatchGuard, Outcome, Prewrite, PrewriteReply, Timestamp};
use nokv_raftstore::{Proposal, RegionView, RequestContext};

use super::budget::Charge;
use super::freshness::Leadership;
use super::safe_point::check_at_least;
use super::write::WriteCommand as _;
use super::{ExecuteError, Executor};

/// What a prewrite holds until its fate is known. In this order it is given back: who latches a key next announces it
/// next.
type Held = (Option<Announcement>, Option<LatchGuard>, Charge);

impl<E: Engine> Executor<E> {
    /// Runs a prewrite. If it is to choose its own commit timestamp, that is at most `max_commit_ts` (zero: no limit)
    /// or it goes in two phases.
    ///
    /// # Errors
    /// As [`Executor::write`].
    pub async fn prewrite(
        &self,
        context: &RequestContext,
        mut command: Prewrite,
        max_commit_ts: Timestamp,
    ) -> Result<PrewriteReply, ExecuteError> {
        if command.commit_by == CommitBy::TwoPhases {
            return self.write(context, &command).await;
        }
        self.admit(context, encoded(&command))?;
        let charge = self.charge(command.bytes())?;
        let latches = self.latch(encoded(&command)).await?;
        let (reply, proposal) = {
            let view = self.view_after_all_reads(context, &command).await?;
            let safe_point = self.safe_point();
            if check_at_least(command.start_ts, safe_point).is_err() {
                let (Ok(view) | Err(view)) = view;
                return self.checked(command.refuse_below(&view.view, safe_point));
            }
            let announced = match &view {
                Ok(_) => self.announcements.announce(&command, max_commit_ts),
                Err(_) => None,
            };
            let announcement = match announced {
                Some((bound, announcement)) => {
                    command.min_commit_ts = bound;
                    Some(announcement)
                }
                None => {
                    command.commit_by = CommitBy::TwoPhases;
                    None
                }
            };
            let (Ok(view) | Err(view)) = view;
            view.load().write(|| encoded(&command));
            let Outcome { batch, reply } = self.checked(command.execute(&view.view))?;
            if batch.is_empty() {
                // What was announced is withdrawn before the latches are.
                drop(announcement);
                return Ok(reply);
            }
            let latches = (!nokv_engine::is_planted("release latches before the write is applied")).then_some(latches);
            let held: Box<Held> = Box::new((announcement, latches, charge));
            let proposal = Proposal { region_id: context.region_id, term: view.term, epoch: view.epoch(), batch, held };
            (reply, proposal)
        };
        self.replicate(proposal).await?;
        Ok(reply)
    }

    /// A view; `Err` holds one under whose leadership it is not known how far earlier leaders read.
    async fn view_after_all_reads(
        &self,
        context: &RequestContext,
        command: &Prewrite,
    ) -> Result<Result<RegionView<E::View>, RegionView<E::View>>, ExecuteError> {
        let view = self.view(context, encoded(command)).await?;
        let leadership = Leadership::of(&view);
        if self.freshness.covers(leadership) {
            return Ok(Ok(view));
        }
        // It must not keep old data on disk while the oracle is asked.
        drop(view);
        self.freshness.draw(leadership, &self.announcements).await;
        let view = self.view(context, encoded(command)).await?;
        let covered = self.freshness.covers(Leadership::of(&view));
        Ok(if covered { Ok(view) } else { Err(view) })
    }
}

fn encoded(command: &Prewrite) -> impl Iterator<Item = &[u8]> {
    command.keys().map(Key::as_encoded)
}
