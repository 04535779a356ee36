//! One request to the region that holds a key: route, send, and learn from what goes wrong.
//! Everything that a better route or a pause can mend is mended here, under the operation's budget.

use std::time::Duration;

use nokv_percolator::Timestamp;

use crate::budget::{Budget, Wait};
use crate::call::Call;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::options::ReadFrom;
use crate::oracle::OracleError;
use crate::router::{Route, Verdict};
use crate::rpc::RpcError;

impl Client {
    /// Sends `call` once. `None`: there is no answer, the pause is over, find the route anew.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the deadline; [`Error::Refused`] or [`Error::InvalidInput`] if the store refuses for
    /// good. The budget knows whether any try may have been executed.
    pub(crate) async fn attempt<C: Call>(
        &self,
        route: &Route,
        mut call: C,
        budget: &mut Budget,
    ) -> Result<Option<C::Response>> {
        let inner = &self.inner;
        budget.check()?;
        call.set_context(route.context());
        let patience = budget.request_timeout(inner.options.request_timeout);
        let answer = tokio::time::timeout(patience, call.send(inner.rpc.as_ref(), &route.address)).await;
        let answer = answer.unwrap_or_else(|_| Err(RpcError::Timeout(patience.as_millis())));
        let verdict = match answer {
            Ok(mut response) => match C::take_region_error(&mut response) {
                None => {
                    inner.router.succeeded(route);
                    return Ok(Some(response));
                }
                Some(error) => {
                    budget.note(format!("store {}: {}", route.peer.store_id, error.message));
                    inner.router.region_failed(route, *error)
                }
            },
            Err(error) => {
                if matches!(error, RpcError::Timeout(_)) {
                    if patience < inner.options.request_timeout {
                        // It is the operation's deadline that cut it short: that says nothing about the store.
                        budget.note_may_have_run();
                        return Err(budget.expired());
                    }
                    budget.timed_out();
                }
                budget.note(format!("store {} at {}: {error}", route.peer.store_id, route.address));
                inner.router.rpc_failed(route, error)
            }
        };
        match verdict {
            Verdict::Again { wait, at_least, may_have_run } => {
                if may_have_run {
                    budget.note_may_have_run();
                }
                budget.back_off(wait, at_least).await?;
                Ok(None)
            }
            Verdict::Final { error, may_have_run } => {
                if may_have_run {
                    budget.note_may_have_run();
                }
                Err(error)
            }
        }
    }

    /// Sends `call` to the region that holds `key` (encoded as bounds are) until it is answered.
    ///
    /// # Errors
    /// As [`Client::attempt`].
    pub(crate) async fn call<C: Call>(
        &self,
        key: &[u8],
        call: &C,
        budget: &mut Budget,
    ) -> Result<(Route, C::Response)> {
        loop {
            let route = self.inner.router.locate(key, budget).await?;
            if let Some(response) = self.attempt(&route, call.clone(), budget).await? {
                return Ok((route, response));
            }
        }
    }

    /// As [`Client::call`], for a read: from one of the replicas first, if it may be, else and then from the leader.
    ///
    /// # Errors
    /// As [`Client::attempt`].
    pub(crate) async fn read_call<C: Call>(
        &self,
        key: &[u8],
        call: &C,
        from: ReadFrom,
        budget: &mut Budget,
    ) -> Result<(Route, C::Response)> {
        if from != ReadFrom::Leader {
            let route = self.inner.router.locate_replica(key, from, budget).await?;
            if let Some(response) = self.attempt(&route, call.clone(), budget).await? {
                return Ok((route, response));
            }
        }
        self.call(key, call, budget).await
    }

    /// Draws one timestamp, larger than all that anyone got before the call.
    ///
    /// # Errors
    /// [`Error::Unavailable`] at the deadline, [`Error::Protocol`] if the oracle is broken.
    pub(crate) async fn draw(&self, budget: &mut Budget) -> Result<Timestamp> {
        self.draw_some(1, budget).await
    }

    /// Draws `count` timestamps that follow one another, and returns the first.
    ///
    /// # Errors
    /// As [`Client::draw`].
    pub(crate) async fn draw_some(&self, count: u32, budget: &mut Budget) -> Result<Timestamp> {
        loop {
            budget.check()?;
            let patience = budget.request_timeout(self.inner.options.request_timeout);
            match tokio::time::timeout(patience, self.inner.oracle.timestamps(count)).await {
                Ok(Ok(Timestamp::ZERO)) => return Err(Error::Protocol("timestamp oracle: it gave 0".to_owned())),
                Ok(Ok(timestamp)) => return Ok(timestamp),
                Ok(Err(error @ OracleError::Protocol(_))) => return Err(Error::Protocol(error.to_string())),
                Ok(Err(error)) => budget.note(error.to_string()),
                Err(_) => budget.note(format!("timestamp oracle: no answer within {} ms", patience.as_millis())),
            }
            budget.back_off(Wait::Oracle, Duration::ZERO).await?;
        }
    }
}
