//! `nokv gc`: sets the safe point of garbage collection, once. Whoever wants it to go by itself runs this from time to
//! time, until placement keeps the safe point.

use std::time::Duration;

use clap::{ArgGroup, Args};
use nokv_client::{Client, Timestamp};
use serde_json::json;

use super::connect::{ConnectArgs, Timestamps};
use super::exit::{Answer, Failure};

/// Ends what transactions older than the safe point left locked, then tells every region: reads below it are refused
/// from then on, and what only they could see goes by and by. It never goes back.
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("when").required(true))]
pub(super) struct GcArgs {
    /// The safe point, as a timestamp
    #[arg(long, value_name = "TIMESTAMP", group = "when", value_parser = clap::value_parser!(u64).range(1..))]
    safe_point: Option<u64>,
    /// The safe point, as a time before now: 90s, 10m, 24h, 7d. No transaction and no read may take longer
    #[arg(long, value_name = "TIME", group = "when", value_parser = parse_time)]
    before: Option<Duration>,
    #[command(flatten)]
    pub(super) connect: ConnectArgs,
}

pub(super) fn run(args: &GcArgs) -> Result<Answer, Failure> {
    let (safe_point, before) = (args.safe_point.map(Timestamp), args.before);
    args.connect.with_client(Timestamps::Needed, async |client: Client| {
        let safe_point = match (safe_point, before) {
            (Some(safe_point), _) => safe_point,
            (None, before) => earlier(client.timestamp().await?, before.unwrap_or_default()),
        };
        let report = client.collect_garbage(safe_point).await?;
        if args.connect.output.json {
            return Ok(Answer::json(&json!({
                "safe_point": safe_point.0,
                "regions": report.regions,
                "locks_committed": report.locks_committed,
                "locks_rolled_back": report.locks_rolled_back,
            })));
        }
        Ok(Answer::ok(format!(
            "safe point {} in {} regions; locks of older transactions: {} committed, {} rolled back\n",
            safe_point.0, report.regions, report.locks_committed, report.locks_rolled_back
        )))
    })
}

/// So long before `now`, and before it in any case.
fn earlier(now: Timestamp, before: Duration) -> Timestamp {
    let before_ms = u64::try_from(before.as_millis()).unwrap_or(u64::MAX);
    let then = Timestamp::compose(now.physical_ms().saturating_sub(before_ms), now.logical());
    then.min(Timestamp(now.0.saturating_sub(1)))
}

/// A number of seconds, minutes, hours or days.
fn parse_time(text: &str) -> Result<Duration, String> {
    let problem = || format!("{text:?} is no time; give a number and a unit, as in 90s, 10m, 24h or 7d");
    let (unit_at, unit) = text.char_indices().next_back().ok_or_else(problem)?;
    let number: u64 = text.get(..unit_at).and_then(|number| number.parse().ok()).ok_or_else(problem)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(problem()),
    };
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_number_and_a_unit() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_time("2d"), Ok(Duration::from_secs(172_800)));
        for bad in ["", "10", "m", "-1m", "1.5h", "10 m", "10µ", "99999999999999999999s", "999999999999999999d"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_safe_point_lies_before_the_present() {
        let now = Timestamp::compose(1_000_000, 5);
        assert_eq!(earlier(now, Duration::from_secs(1)), Timestamp::compose(999_000, 5));
        assert_eq!(earlier(now, Duration::ZERO), Timestamp(now.0 - 1));
        assert_eq!(earlier(now, Duration::MAX).physical_ms(), 0);
    }
}
