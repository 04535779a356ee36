//! kvproto's `ReadIndex`: how far a replica has to have applied to hold every write acknowledged before now. Followers
//! ask it of the leader before they serve a read.

use nokv_engine::Engine;
use nokv_percolator::Timestamp;
use nokv_proto::kvrpcpb::{ReadIndexRequest, ReadIndexResponse};
use nokv_raftstore::RequestContext;
use tonic::Status;

use super::context::request_context;
use super::region_error::{self, KeySpace};
use crate::executor::Executor;

pub(super) async fn read_index<E: Engine>(
    executor: &Executor<E>,
    request: ReadIndexRequest,
) -> Result<ReadIndexResponse, Status> {
    let context = request_context(request.context.as_ref())?;
    let context = RequestContext { replica_read: false, ..context };
    match executor.read_index(&context, Timestamp(request.start_ts)).await {
        Ok(read_index) => Ok(ReadIndexResponse { read_index, ..Default::default() }),
        Err(error) => {
            let error = region_error::to_wire(error, KeySpace::Transactional)?;
            Ok(ReadIndexResponse { region_error: Some(error), ..Default::default() })
        }
    }
}
