//! Random nights, from a seed: stores die while their regions sleep, fall asleep or wake, on a network that loses,
//! delays and reorders. Within a bounded time every region must be led again by a store that is up.

use std::time::Duration;

use nokv_raftstore::{Config, Role};
use nokv_transport::RegionId;
use nokv_transport::memory::LinkFaults;

use crate::cluster::Cluster;

/// Regions, each with a peer on all three stores.
const REGIONS: u64 = 24;
/// Stores that die in one night, one after the other.
const DEATHS: usize = 8;
/// Virtual time within which all regions are led again: a few election timeouts, since votes may be lost and split.
const LED_WITHIN: Duration = Duration::from_secs(20);

/// Sleeps through the night of `seed`. Returns how many replicas slept when their stores died.
///
/// # Errors
/// Which regions nobody leads, and what the stores know of them.
pub fn night(seed: u64) -> Result<usize, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let splits: Vec<String> = (1..REGIONS).map(|number| format!("k{number:03}")).collect();
    let splits: Vec<&[u8]> = splits.iter().map(String::as_bytes).collect();
    let config = Config { seed, hibernate_after_ticks: random.usize(1..20), ..Config::default() };
    let mut cluster = Cluster::new(3, &splits, config);
    cluster.network.set_faults_everywhere(LinkFaults {
        drop_permille: random.u16(0..30),
        duplicate_permille: random.u16(0..30),
        reorder_permille: random.u16(0..30),
        delay_min: Duration::from_millis(1),
        delay_max: Duration::from_millis(random.u64(1..60)),
        reorder_by_max: Duration::from_millis(200),
    });
    cluster.run(Duration::from_secs(5));
    let mut slept = 0;
    for _ in 0..DEATHS {
        cluster.run(Duration::from_millis(random.u64(0..6_000)));
        for _ in 0..random.u32(0..6) {
            touch(&mut cluster, random.u64(1..=REGIONS));
            cluster.run(Duration::from_millis(random.u64(0..300)));
        }
        let dies = random.u64(1..=3);
        slept += cluster.node(dies).handle.regions().iter().filter(|status| status.is_asleep).count();
        let unsynced = cluster.unsynced(dies);
        cluster.crash(dies, usize::try_from(random.u64(0..=unsynced)).unwrap_or(0));
        all_are_led(&mut cluster).map_err(|what| format!("seed {seed}, store {dies} is dead: {what}"))?;
        cluster.start(dies);
    }
    all_are_led(&mut cluster).map_err(|what| format!("seed {seed}, all are back: {what}"))?;
    Ok(slept)
}

/// Writes to a region, if it is led: that wakes it.
fn touch(cluster: &mut Cluster, region: u64) {
    if let Some(leader) = cluster.leader(region) {
        let key = format!("k{:03}-touched", region - 1);
        drop(cluster.node(leader).put(region, key.as_bytes(), b""));
    }
}

fn all_are_led(cluster: &mut Cluster) -> Result<(), String> {
    let mut waited = Duration::ZERO;
    loop {
        let missing: Vec<u64> = (1..=REGIONS).filter(|region| cluster.leader(*region).is_none()).collect();
        let Some(first) = missing.first() else { return Ok(()) };
        if waited >= LED_WITHIN {
            return Err(format!("nobody leads {missing:?}\n{}", describe(cluster, *first)));
        }
        cluster.run(Duration::from_millis(500));
        waited += Duration::from_millis(500);
    }
}

fn describe(cluster: &mut Cluster, region: u64) -> String {
    let known = cluster.up().filter_map(|node| {
        let status = node.handle.region(RegionId(region))?;
        let role = match status.state.role {
            Role::Leader => "leads",
            Role::Follower => "follows",
            Role::Candidate => "campaigns",
        };
        Some(format!(
            "store {}: {role} in term {} under {:?}, committed {} of {}{}\n",
            node.store,
            status.state.term,
            status.state.leader.map(|leader| leader.store_id),
            status.committed_index,
            status.last_index,
            if status.is_asleep { ", asleep" } else { "" },
        ))
    });
    known.collect()
}
