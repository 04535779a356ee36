//! The safe point of garbage collection advances by itself, so far behind the present as the cluster's settings say,
//! and not beyond what somebody holds: a service with a time to live, or a named snapshot.
//!
//! Placement's record comes first: from then on nobody can hold anything below. Then whoever leads ends the older
//! transactions and tells every region, as `nokv gc` does. If it fails half-way, the next turn, here or on another
//! leader, does it again.

use std::time::Duration;

use nokv_client::Client;
use nokv_percolator::Timestamp;
use nokv_placement::state::{Command, Reply};
use slog::{Logger, info, warn};
use tokio::time::Instant;

use super::Placement;

/// How often it is looked whether a turn is due.
const LOOK: Duration = Duration::from_secs(5);
/// The longest pause between two turns. A turn touches every region, and wakes those that sleep.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Runs for ever; does something only while this node leads placement.
pub async fn keep_safe_point(placement: Placement, client: Client, log: Logger) {
    let mut told = Timestamp::ZERO;
    let mut last: Option<Instant> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        let Ok(life_ms) = placement.look(|led| led.state.settings().gc_life_ms) else {
            // Another leader may get further than this one did; what it told is told again, once.
            (told, last) = (Timestamp::ZERO, None);
            continue;
        };
        let pause = PAUSE_MAX.min(Duration::from_millis(life_ms / 2));
        if life_ms == 0 || last.is_some_and(|last| last.elapsed() < pause) {
            continue;
        }
        match turn(&placement, &client, life_ms, told, &log).await {
            Ok(safe_point) => (told, last) = (safe_point, Some(Instant::now())),
            Err(why) => warn!(log, "the safe point is not told everywhere, and is told again"; "why" => why),
        }
    }
}

/// The safe point that every region knows now.
async fn turn(
    placement: &Placement,
    client: &Client,
    life_ms: u64,
    told: Timestamp,
    log: &Logger,
) -> Result<Timestamp, String> {
    let now = Timestamp(placement.timestamps(1).await.map_err(|error| error.to_string())?);
    let target = Timestamp::compose(now.physical_ms().saturating_sub(life_ms), 0);
    let reply = placement.decide(Command::AdvanceSafePoint { target: target.0 }).await;
    let safe_point = match reply.map_err(|error| error.to_string())? {
        Reply::SafePoint(safe_point) => Timestamp(safe_point),
        _ => return Err("the safe point was asked for, and something else was answered".to_owned()),
    };
    if safe_point.is_zero() || safe_point <= told {
        return Ok(told);
    }
    let report = client.collect_garbage(safe_point).await.map_err(|error| error.to_string())?;
    info!(log, "the safe point was advanced"; "to" => safe_point.0, "regions" => report.regions,
        "locks committed" => report.locks_committed, "locks rolled back" => report.locks_rolled_back);
    Ok(safe_point)
}
