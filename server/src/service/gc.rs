//! KvGC: the safe point of garbage collection, told to one region. It is in the region's log when this is answered;
//! what goes below it goes by and by, in the background.

use std::time::{SystemTime, UNIX_EPOCH};

use nokv_engine::Engine;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb::{GcRequest, GcResponse};
use tonic::Status;

use super::answer::answer;
use super::context::request_context;
use super::region_error::KeySpace;
use crate::executor::Executor;

/// A safe point never goes back, and from one in the future every read would be refused until then. The clocks of the
/// timestamp server and of this machine may differ by so much.
const AHEAD_MS_MAX: u64 = 60_000;

pub(super) async fn gc<E: Engine>(executor: &Executor<E>, request: GcRequest) -> Result<GcResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let safe_point = Timestamp(request.safe_point);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    check_past(safe_point, now_ms)?;
    let result = executor.raise_safe_point(&context, safe_point).await;
    answer(result, KeySpace::Transactional, |()| GcResponse::default())
}

fn check_past(safe_point: Timestamp, now_ms: u64) -> Result<(), Status> {
    if safe_point.physical_ms() <= now_ms.saturating_add(AHEAD_MS_MAX) {
        return Ok(());
    }
    Err(Status::invalid_argument(format!(
        "safe_point {safe_point} lies in the future by the clock of this store ({now_ms} ms since 1970); give one that \
         no transaction under way is older than"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_safe_point_in_the_future_is_refused() {
        let at = |ms| Timestamp::compose(ms, 0);
        assert!(check_past(at(1_000_000), 1_000_000).is_ok());
        assert!(check_past(at(1_000_000 + AHEAD_MS_MAX), 1_000_000).is_ok());
        assert!(check_past(at(1_000_001 + AHEAD_MS_MAX), 1_000_000).is_err());
        assert!(check_past(Timestamp::MAX, 1_000_000).is_err());
    }
}
