//! Placement over plain HTTP, on the port of everything else: `/tso` as `nokv tso` has it, and those pages of PD's
//! `/pd/api/v1` that clients and tools read. Answers are JSON; who does not lead says so with status 503.

use std::collections::HashMap;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Json, Router};
use nokv_placement::regions::RegionInfo;
use nokv_placement::state::StoreRecord;
use nokv_proto::metapb::Peer;
use nokv_proto::pdpb::{GetMembersRequest, Member};
use serde_json::{Value, json};

use super::led::Led;
use super::{Placement, PlacementError};

/// Timestamps of one request.
const BATCH_MAX: u32 = 65_536;

/// The pages.
pub(crate) fn pages(placement: Placement) -> Router {
    Router::new()
        .route("/tso", reading(get(tso)))
        .route("/pd/api/v1/members", reading(get(members)))
        .route("/pd/api/v1/stores", reading(get(stores)))
        .route("/pd/api/v1/regions", reading(get(regions)))
        .route("/pd/api/v1/health", reading(get(health)))
        .route("/pd/api/v1/version", reading(get(version)))
        .with_state(placement)
}

/// Clients of PD find by HEAD whether it is too old for a page; it answers that with 405, and so is this.
fn reading(get: MethodRouter<Placement>) -> MethodRouter<Placement> {
    get.head(async || StatusCode::METHOD_NOT_ALLOWED)
}

fn refuse(status: StatusCode, problem: impl Into<String>) -> Response {
    (status, Json(json!({ "error": problem.into() }))).into_response()
}

fn unavailable(error: &PlacementError) -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

async fn tso(State(placement): State<Placement>, Query(query): Query<HashMap<String, String>>) -> Response {
    let count = query.get("batch").map_or(Ok(1), |text| text.parse::<u32>());
    let unknown = query.keys().any(|name| name != "batch");
    let count = match count {
        Ok(count) if (1..=BATCH_MAX).contains(&count) && !unknown => count,
        _ => {
            let problem = format!("the only parameter is batch, a whole number from 1 to {BATCH_MAX}");
            return refuse(StatusCode::BAD_REQUEST, problem);
        }
    };
    match placement.timestamps(count).await {
        Ok(first) => Json(json!({ "timestamp": first, "count": count })).into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn members(State(placement): State<Placement>) -> Response {
    let Ok(told) = placement.get_members(GetMembersRequest::default()).await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "placement has no leader at the moment");
    };
    let leader = told.leader.as_ref().map(member_json);
    Json(json!({
        "header": { "cluster_id": told.header.map_or(0, |header| header.cluster_id) },
        "members": told.members.iter().map(member_json).collect::<Vec<_>>(),
        "leader": leader,
        "etcd_leader": leader,
    }))
    .into_response()
}

fn member_json(member: &Member) -> Value {
    json!({ "name": member.name, "member_id": member.member_id, "peer_urls": member.peer_urls,
            "client_urls": member.client_urls })
}

async fn health(State(placement): State<Placement>) -> Response {
    let Ok(told) = placement.get_members(GetMembersRequest::default()).await else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "placement has no leader at the moment");
    };
    let (_, leader) = placement.members();
    let one = |member: &Member| {
        let leads = leader.is_some_and(|leader| leader.0 == member.member_id);
        json!({ "name": member.name, "member_id": member.member_id, "client_urls": member.client_urls,
                "health": leads || placement.hears(member.member_id) })
    };
    Json(told.members.iter().map(one).collect::<Vec<_>>()).into_response()
}

async fn version() -> Response {
    Json(json!({ "version": env!("CARGO_PKG_VERSION"), "branch": "", "hash": "" })).into_response()
}

fn look(placement: &Placement, look: impl FnOnce(&mut Led) -> Value) -> Response {
    match placement.look(look) {
        Ok(page) => Json(page).into_response(),
        Err(error) => unavailable(&error),
    }
}

async fn stores(State(placement): State<Placement>) -> Response {
    let now_ms = placement.now_ms();
    look(&placement, |led| {
        let stores: Vec<Value> = led.state.stores().map(|record| store_json(led, record, now_ms)).collect();
        json!({ "count": stores.len(), "stores": stores })
    })
}

fn store_json(led: &Led, record: &StoreRecord, now_ms: u64) -> Value {
    let (store, sums) = (&record.store, led.state.regions().on_store(record.id()));
    let (report, silent_ms) = led.scheduler.last_word(record.id(), now_ms).unwrap_or_default();
    json!({
        "store": {
            "id": store.id, "address": store.address, "version": store.version,
            "state_name": format!("{:?}", record.state()),
            "labels": store.labels.iter().map(|it| json!({ "key": it.key, "value": it.value })).collect::<Vec<_>>(),
        },
        "status": {
            "capacity": format!("{}B", report.capacity_bytes), "available": format!("{}B", report.available_bytes),
            "leader_count": sums.leaders.len(), "region_count": sums.peers(),
            "region_size": sums.load_bytes >> 20, "silent_ms": silent_ms,
        },
    })
}

async fn regions(State(placement): State<Placement>) -> Response {
    look(&placement, |led| {
        let regions: Vec<Value> = led.state.regions().iter().map(region_json).collect();
        json!({ "count": regions.len(), "regions": regions })
    })
}

fn region_json(info: &RegionInfo) -> Value {
    let hex = |key: &[u8]| key.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let peer = |peer: &Peer| {
        let role = format!("{:?}", peer.role());
        json!({ "id": peer.id, "store_id": peer.store_id, "role_name": role, "is_learner": peer.role == 1 })
    };
    let (start, end) = info.bounds();
    let epoch = info.region.region_epoch.unwrap_or_default();
    json!({
        "id": info.id().0, "start_key": hex(start), "end_key": hex(end),
        "epoch": { "conf_ver": epoch.conf_ver, "version": epoch.version },
        "peers": info.region.peers.iter().map(peer).collect::<Vec<_>>(),
        "leader": info.leader.as_ref().map(peer),
        "written_bytes": info.flow.write_bytes, "read_bytes": info.flow.read_bytes,
        "written_keys": info.flow.records, "read_keys": info.flow.lookups,
        "approximate_size": info.size_bytes >> 20, "approximate_keys": info.keys,
    })
}
