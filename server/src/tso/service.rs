//! Timestamps over HTTP: `GET /tso?batch=N` and `GET /healthz`; and, on the same port, the gRPC stream of `stream.rs`.
//!
//! Every answer is JSON, also the refusals: `{"error":"…"}` with 400 for a batch that cannot be, 404 and 405 for what
//! is not served, 503 for what may work later.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::oracle::{Oracle, OracleError};
use super::stream::{self, TsoStreams};
use super::{AllocateError, BATCH_MAX};

/// What `GET /tso` answers: `timestamp`, `timestamp + 1`, … up to `count` of them are the caller's alone.
#[derive(Debug, Serialize, Deserialize)]
struct TimestampAnswer {
    timestamp: u64,
    count: u32,
}

/// The routes.
pub(super) fn router(oracle: Oracle, stopping: watch::Receiver<bool>) -> Router {
    let streams = TsoStreams { oracle: oracle.clone(), stopping };
    Router::new()
        .route(stream::PATH, post(stream::serve).with_state(streams))
        .route("/tso", get(timestamps))
        .route("/healthz", get(healthy))
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .with_state(oracle)
}

async fn timestamps(State(oracle): State<Oracle>, Query(query): Query<HashMap<String, String>>) -> Response {
    let count = match batch(&query) {
        Ok(count) => count,
        Err(problem) => return refuse(StatusCode::BAD_REQUEST, problem),
    };
    match oracle.timestamps(count).await {
        Ok(first) => Json(TimestampAnswer { timestamp: first.0, count }).into_response(),
        Err(error @ OracleError::Allocate(AllocateError::BatchSize { .. })) => {
            refuse(StatusCode::BAD_REQUEST, error.to_string())
        }
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    }
}

/// One timestamp where nothing is said; unknown parameters are refused, for they may be misspelt.
fn batch(query: &HashMap<String, String>) -> Result<u32, String> {
    if let Some(unknown) = query.keys().filter(|name| *name != "batch").min() {
        return Err(format!("unknown parameter {unknown:?}; the only one is batch"));
    }
    let Some(text) = query.get("batch") else { return Ok(1) };
    match text.parse() {
        Ok(count) if (1..=BATCH_MAX).contains(&count) => Ok(count),
        _ => Err(format!("batch must be a whole number from 1 to {BATCH_MAX}, not {text:?}")),
    }
}

async fn healthy() -> Response {
    Json(serde_json::json!({ "status": "ok" })).into_response()
}

async fn unknown_path(uri: Uri) -> Response {
    if uri.path().starts_with("/pdpb.PD/") {
        // Clients of gRPC read a status, not a page.
        return tonic::Status::unimplemented("only pdpb.PD/Tso is served here").into_http();
    }
    let problem = format!("nothing is served at {}; there are /tso?batch=N and /healthz", uri.path());
    refuse(StatusCode::NOT_FOUND, problem)
}

async fn wrong_method() -> Response {
    refuse(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here".into())
}

fn refuse(status: StatusCode, problem: String) -> Response {
    (status, Json(serde_json::json!({ "error": problem }))).into_response()
}
