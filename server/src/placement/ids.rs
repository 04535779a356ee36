//! Ids for what this node's regions are split into, from placement: whoever leads it is asked, and asked again after
//! it has moved.

use futures_util::future::BoxFuture;
use nokv_client::{OracleError, PlacementLink};
use nokv_proto::pdpb::{AllocIdRequest, AllocIdResponse};
use tonic::Status;

use crate::region_ids::{IdError, IdSource};

/// Asks placement for ids.
#[derive(Clone, Debug)]
pub struct PlacementIds {
    link: PlacementLink,
}

impl PlacementIds {
    /// Asks whoever `link` finds.
    pub fn new(link: PlacementLink) -> Self {
        Self { link }
    }

    async fn ask(&self, count: u32) -> Result<Vec<u64>, Status> {
        let answered = self.link.ask(|leader| {
            let request = AllocIdRequest { header: Some(leader.header()), count };
            async move { leader.client().alloc_id(request).await }
        });
        let AllocIdResponse { header, id, count } = answered.await?;
        if let Some(error) = header.and_then(|header| header.error) {
            return Err(Status::failed_precondition(error.message));
        }
        // The last of the batch is told.
        Ok((id.saturating_sub(u64::from(count)) + 1..=id).collect())
    }
}

impl IdSource for PlacementIds {
    fn ids(&self, count: u32) -> BoxFuture<'_, Result<Vec<u64>, IdError>> {
        Box::pin(async move {
            let asked = self.ask(count).await;
            asked.map_err(|status| IdError::Oracle(OracleError::Unavailable(status.message().to_owned())))
        })
    }
}
