//! `GET /digest?region=ID`: one number for a replica's bytes at an applied index. Replicas that applied the same log
//! must give the same. It reads the whole region, on a thread where waiting hurts nobody.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use nokv_engine::{Engine as _, RocksEngine};
use nokv_raftstore::digest;
use serde::{Deserialize, Serialize};

use super::Pages;
use super::pages::refuse;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    region: u64,
}

#[derive(Debug, Serialize)]
struct Answer {
    region: u64,
    applied_index: u64,
    records: u64,
    bytes: u64,
    /// Sixteen hexadecimal digits: more than the numbers of JSON can hold.
    digest: String,
}

pub(super) async fn digest_of_region(State(pages): State<Pages<RocksEngine>>, Query(asked): Query<Asked>) -> Response {
    let raftstore = pages.executor.raftstore().clone();
    let found = raftstore.regions().into_iter().find(|status| status.state.region.id == asked.region);
    let Some(found) = found else {
        return refuse(StatusCode::NOT_FOUND, &format!("region {} is not on this store", asked.region));
    };
    let digested = tokio::task::spawn_blocking(move || {
        let view = raftstore.engine().view();
        digest(&view, &found.state.region)
    });
    match digested.await {
        Ok(Ok(digest)) => Json(Answer {
            region: asked.region,
            applied_index: digest.applied_index,
            records: digest.records,
            bytes: digest.bytes,
            digest: format!("{:016x}", digest.digest),
        })
        .into_response(),
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
