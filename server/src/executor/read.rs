//! Reads: on the calling task, without latches, without a log entry. A long scan lets other tasks run in between.
//! A read waits for no write but those that chose their commit timestamp before it came and are not applied yet.

use bytes::Bytes;
use nokv_engine::{Engine, KeyRange};
use nokv_percolator::{BatchGet, Blocked, Found, Get, KeyError, LockInfo, Pair, ReadPoint, Reply, Scan};
use nokv_proto::metapb::Region;
use nokv_raftstore::{RegionError, RegionExt, RegionView, RequestContext};

use super::{ExecuteError, Executor};

/// A scan of one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionScan {
    /// First key (encoded); in a reverse scan it may be empty: down to the region's start.
    pub lower: Bytes,
    /// First key behind the range (encoded); empty = up to the region's end.
    pub upper: Bytes,
    /// The point in time.
    pub read: ReadPoint,
    /// How many pairs at most.
    pub limit: usize,
    /// Leave the values out.
    pub key_only: bool,
    /// From the end of the range to its start.
    pub reverse: bool,
}

impl RegionScan {
    /// The end from which the scan sets out must be this region's; the other one is cut to it.
    fn check(&self, region: &Region) -> Result<(), RegionError> {
        if !self.reverse {
            return region.check_key(&self.lower);
        }
        let ends_with_region = self.upper == region.end_key;
        let sets_out_inside = region.check_key(&self.upper).is_ok() && self.upper != region.start_key;
        if self.upper.is_empty() || ends_with_region || sets_out_inside {
            return Ok(());
        }
        Err(RegionError::KeyNotInRegion {
            key: self.upper.clone(),
            region: region.region_id(),
            start_key: region.start_key.clone(),
            end_key: region.end_key.clone(),
        })
    }
}

impl<E: Engine> Executor<E> {
    /// Reads one key.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn get(&self, context: &RequestContext, command: &Get) -> Result<Reply<Option<Found>>, ExecuteError> {
        let keys = [command.key.as_encoded()];
        let follower = self.follower_view(context, command.read.version, |region| check_all(region, keys)).await?;
        let view = match follower {
            Some(view) => view,
            None => {
                self.admit(context, keys)?;
                let blocked = self.checked(self.announcements.before_get(&command.read, keys))?;
                // Seldom anything is; in a box, so that every other get pays nothing for it.
                if !blocked.is_empty()
                    && let Some(lock) = Box::pin(self.await_withdrawal(blocked)).await
                {
                    return Ok(Err(KeyError::Locked(lock)));
                }
                self.view(context, keys).await?
            }
        };
        if let Err(error) = self.check_safe_point(command.read.version) {
            return Ok(Err(error));
        }
        let reply = self.checked(command.execute(&view.view))?;
        let found = reply.as_ref().ok().and_then(Option::as_ref);
        view.load().read(found.map_or(0, |found| found.value.len()), || keys.into_iter());
        Ok(reply)
    }

    /// Reads several keys of one region.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn batch_get(
        &self,
        context: &RequestContext,
        command: &BatchGet,
    ) -> Result<Reply<Vec<Pair>>, ExecuteError> {
        let keys = || command.keys.iter().map(|key| key.as_encoded());
        let follower = self.follower_view(context, command.read.version, |region| check_all(region, keys())).await?;
        let view = match follower {
            Some(view) => view,
            None => {
                self.admit(context, keys())?;
                self.pass(self.checked(self.announcements.before_get(&command.read, keys()))?).await?;
                self.view(context, keys()).await?
            }
        };
        if let Err(error) = self.check_safe_point(command.read.version) {
            return Ok(Err(error));
        }
        let pairs = self.checked(command.execute(&view.view))?;
        view.load().read(pairs.iter().map(pair_bytes).sum(), keys);
        Ok(Ok(pairs))
    }

    /// Reads a range, cut to the region.
    ///
    /// # Errors
    /// See [`ExecuteError`].
    pub async fn scan(&self, context: &RequestContext, scan: &RegionScan) -> Result<Reply<Vec<Pair>>, ExecuteError> {
        let view = match self.follower_view(context, scan.read.version, |region| scan.check(region)).await? {
            Some(view) => view,
            None => self.view_to_scan(context, scan).await?,
        };
        if let Err(error) = self.check_safe_point(scan.read.version) {
            return Ok(Err(error));
        }
        let (mut lower, mut upper) = cut(&scan.lower, &scan.upper, &view.region);
        let mut pairs = Vec::new();
        let mut bytes = 0;
        while pairs.len() < scan.limit {
            let step = Scan {
                range: KeyRange::new(&lower, &upper),
                read: scan.read.clone(),
                limit: scan.limit - pairs.len(),
                bytes_max: self.options.scan_step_bytes,
                key_only: scan.key_only,
                reverse: scan.reverse,
            };
            let part = self.checked(step.execute(&view.view))?;
            bytes += part.pairs.iter().map(pair_bytes).sum::<usize>();
            if bytes > self.options.scan_bytes_max {
                return Err(ExecuteError::AnswerTooLarge { bytes_max: self.options.scan_bytes_max });
            }
            pairs.extend(part.pairs);
            let Some(resume_at) = part.resume_at else { break };
            *(if scan.reverse { &mut upper } else { &mut lower }) = resume_at.into_encoded();
            tokio::task::yield_now().await;
        }
        let set_out = if scan.reverse { &upper } else { &lower };
        view.load().scanned(pairs.len(), bytes, set_out);
        Ok(Ok(pairs))
    }

    /// A view of the region whose announced locks were heeded.
    pub(super) async fn view_to_scan(
        &self,
        context: &RequestContext,
        scan: &RegionScan,
    ) -> Result<RegionView<E::View>, ExecuteError> {
        loop {
            let admitted = self.admit_if(context, |region| scan.check(region))?;
            let (lower, upper) = cut(&scan.lower, &scan.upper, &admitted.region);
            let range = KeyRange::new(&lower, &upper);
            self.pass(self.checked(self.announcements.before_scan(&scan.read, range))?).await?;
            let view = self.view(context, []).await?;
            // A region that has grown meanwhile has keys that were not looked at: again.
            if view.epoch().version == admitted.region.epoch().version {
                return Ok(view);
            }
        }
    }

    /// Waits until what is in the way is applied or given up.
    pub(super) async fn pass(&self, blocked: Vec<Blocked>) -> Result<(), RegionError> {
        if blocked.is_empty() {
            return Ok(());
        }
        match Box::pin(self.await_withdrawal(blocked)).await {
            None => Ok(()),
            Some(_) => Err(RegionError::ServerIsBusy {
                reason: "a write that may have to be read has been under way for too long".to_owned(),
                backoff_ms: 100,
            }),
        }
    }

    /// As [`Executor::pass`]; returns a lock that is still in the way when patience is over.
    async fn await_withdrawal(&self, blocked: Vec<Blocked>) -> Option<LockInfo> {
        let deadline = tokio::time::Instant::now() + self.options.announced_wait_max;
        for Blocked { lock, gone } in blocked {
            if tokio::time::timeout_at(deadline, gone).await.is_err() {
                return Some(lock);
            }
        }
        None
    }
}

fn check_all<'k>(region: &Region, keys: impl IntoIterator<Item = &'k [u8]>) -> Result<(), RegionError> {
    keys.into_iter().try_for_each(|key| region.check_key(key))
}

/// The part of the range that is the region's.
pub(super) fn cut(lower: &Bytes, upper: &Bytes, region: &Region) -> (Bytes, Bytes) {
    let lower = lower.max(&region.start_key).clone();
    let upper = match (upper.is_empty(), region.end_key.is_empty()) {
        (true, _) => region.end_key.clone(),
        (false, true) => upper.clone(),
        (false, false) => upper.min(&region.end_key).clone(),
    };
    (lower, upper)
}

fn pair_bytes(pair: &Pair) -> usize {
    pair.key.len() + pair.result.as_ref().map_or(0, |found| found.value.len())
}
