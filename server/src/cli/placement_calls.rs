//! What the commands about the whole cluster have in common: they ask whoever leads placement (`nokvpb.Placement`).
//! While placement has no leader they wait for one, as long as the flags allow.

use std::time::Duration;

use nokv_client::PlacementLink;
use nokv_proto::nokvpb::placement_client::PlacementClient;
use nokv_proto::nokvpb::{
    ChangeSnapshotRequest, ChangeStoreRequest, OperatorView, PlacementChangeResponse, ViewRequest, ViewResponse,
};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::exit::{Answer, Failure};
use super::find_args::unreached;
use super::region_args::ClusterArgs;

/// The pause between two tries while placement has no leader.
const PAUSE: Duration = Duration::from_millis(100);

/// Placement, as commands ask it.
pub(super) struct PlacementCalls {
    link: PlacementLink,
    deadline: Instant,
}

impl ClusterArgs {
    /// Whoever leads placement of this cluster.
    pub(super) fn placement(&self) -> Result<PlacementCalls, Failure> {
        Ok(PlacementCalls { link: self.find.link(self.stores.scope)?, deadline: self.deadline() })
    }
}

impl PlacementCalls {
    pub(super) fn link(&self) -> &PlacementLink {
        &self.link
    }

    /// The cluster as the leader sees it, with so many of the operators that ended last.
    pub(super) async fn view(&self, ended_max: u32) -> Result<ViewResponse, Failure> {
        loop {
            let asked = self.link.ask(|leader| async move {
                let request = ViewRequest { cluster_id: leader.cluster_id, ended_max };
                PlacementClient::new(leader.channel()).view(request).await
            });
            match asked.await {
                Ok(view) => return Ok(view),
                Err(status) => self.pause(&status).await?,
            }
        }
    }

    /// Has a store leave, or stay.
    pub(super) async fn change_store(&self, store_id: u64, keep: bool) -> Result<(), Failure> {
        self.change(async || {
            let asked = self.link.ask(|leader| async move {
                let request = ChangeStoreRequest { cluster_id: leader.cluster_id, store_id, keep };
                PlacementClient::new(leader.channel()).change_store(request).await
            });
            asked.await
        })
        .await
    }

    /// Has a snapshot stand (at a timestamp that is not 0) or fall. Run twice, the second may be refused although the
    /// first was heard.
    pub(super) async fn change_snapshot(&self, name: &str, timestamp: u64) -> Result<(), Failure> {
        self.change(async || {
            let asked = self.link.ask(|leader| {
                let name = name.to_owned();
                let request = ChangeSnapshotRequest { cluster_id: leader.cluster_id, name, timestamp };
                async move { PlacementClient::new(leader.channel()).change_snapshot(request).await }
            });
            asked.await
        })
        .await
    }

    async fn change(&self, ask: impl AsyncFn() -> Result<PlacementChangeResponse, Status>) -> Result<(), Failure> {
        loop {
            match ask().await {
                Ok(answer) if answer.refused.is_empty() => return Ok(()),
                Ok(answer) => return Err(Failure::error(answer.refused)),
                Err(status) => self.pause(&status).await?,
            }
        }
    }

    async fn pause(&self, status: &Status) -> Result<(), Failure> {
        let helps = matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded);
        if !helps || Instant::now() + PAUSE >= self.deadline {
            return Err(unreached(status));
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

/// An operator as one line for people.
pub(super) fn operator_line(operator: &OperatorView) -> [String; 6] {
    let steps = operator.steps.iter().enumerate().map(|(at, step)| {
        let under_way = operator.outcome.is_empty() && u32::try_from(at) == Ok(operator.at);
        if under_way { format!("> {step}") } else { step.clone() }
    });
    let state = match operator.outcome.as_str() {
        "" => format!("{} s left", operator.left_ms / 1_000),
        outcome if operator.why.is_empty() => outcome.to_owned(),
        outcome => format!("{outcome}: {}", operator.why),
    };
    [
        operator.region_id.to_string(),
        operator.kind.clone(),
        operator.reason.clone(),
        steps.collect::<Vec<_>>().join(", "),
        format!("{} s", operator.age_ms / 1_000),
        state,
    ]
}

/// An operator as JSON.
pub(super) fn operator_json(operator: &OperatorView) -> serde_json::Value {
    serde_json::json!({
        "region_id": operator.region_id, "kind": operator.kind, "reason": operator.reason, "steps": operator.steps,
        "at": operator.at, "age_ms": operator.age_ms, "left_ms": operator.left_ms, "outcome": operator.outcome,
        "why": operator.why,
    })
}

/// Bytes as people read them.
pub(super) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// What a change comes to, in the form asked for.
pub(super) fn said(json: bool, text: String, value: &serde_json::Value) -> Answer {
    if json { Answer::json(value) } else { Answer::ok(format!("{text}\n")) }
}
