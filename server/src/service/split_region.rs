//! kvproto's `SplitRegion`: user keys to cut a region at, and no ids, which are drawn here.
//! What has no place in its answer's region error is said in a gRPC status.

use bytes::Bytes;
use nokv_engine::Engine;
use nokv_percolator::Key;
use nokv_proto::kvrpcpb::{SplitRegionRequest, SplitRegionResponse};
use tonic::Status;

use super::context::{check_write_key, request_context};
use super::region_error::{self, KeySpace};
use crate::admin::{AdminError, RegionAdmin, SplitAt};

pub(super) async fn split_region<E: Engine>(
    admin: &RegionAdmin<E>,
    request: SplitRegionRequest,
) -> Result<SplitRegionResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    if request.is_raw_kv {
        let text = "regions are cut at encoded keys only; name user keys and leave out is_raw_kv";
        return Err(Status::invalid_argument(text));
    }
    let cuts = cuts(&request)?;
    match admin.split(context.region_id, context.epoch, cuts).await {
        Ok(regions) => Ok(answer(regions)),
        Err(AdminError::Refused(reason)) => Err(Status::failed_precondition(reason)),
        Err(AdminError::Region(error)) => {
            let error = region_error::to_wire(error.into(), KeySpace::Transactional)?;
            Ok(SplitRegionResponse { region_error: Some(error), ..Default::default() })
        }
    }
}

/// The keys in order, each once.
fn cuts(request: &SplitRegionRequest) -> Result<Vec<SplitAt>, Status> {
    #[expect(deprecated, reason = "older clients name one key, in a field of its own")]
    let single = Some(&request.split_key).filter(|key| !key.is_empty() && request.split_keys.is_empty());
    let mut keys: Vec<&Bytes> = request.split_keys.iter().chain(single).collect();
    for (at, key) in keys.iter().enumerate() {
        check_write_key(key, &format!("split_keys[{at}]"))?;
    }
    keys.sort_unstable();
    keys.dedup();
    let cut = |key: &Bytes| SplitAt { start_key: Key::encode(key).into_encoded(), ..SplitAt::default() };
    Ok(keys.into_iter().map(cut).collect())
}

fn answer(regions: Vec<nokv_proto::metapb::Region>) -> SplitRegionResponse {
    #[expect(deprecated, reason = "older clients look at the first two only")]
    SplitRegionResponse {
        left: regions.first().cloned(),
        right: regions.get(1).cloned(),
        regions,
        ..Default::default()
    }
}
