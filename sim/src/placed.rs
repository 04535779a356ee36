//! A run in which placement takes part: its nodes are a world of their own, with a network, disks and clocks, hurt and
//! judged like the world of the data. Here the two are made to fit and reckoned up as one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use nokv_placement::state::Settings;
use nokv_proto::metapb::Region;
use nokv_raftstore::Config;
use nokv_server::placement::{PlacementOptions, region_of};
use nokv_transport::StoreId;

use crate::random::Random;
use crate::run::{RunOptions, regions, with_early_cuts};
use crate::world::{World, WorldOptions};

/// How many nodes host it.
const HOSTS: u64 = 3;
/// Sets its seed apart from that of the data's world.
const SALT: u64 = 0x706c_6163_656d_656e;

/// Placement's world. It delivers messages from now on; its nodes are down.
pub fn world(options: &RunOptions) -> Arc<World> {
    let seed = options.seed ^ SALT;
    let mut random = Random::new(seed, options.scenario.name);
    let config = Config { log_entries_slack: random.between(4, 200), ..Config::default() };
    let config = if random.chance(500) { with_early_cuts(config, &mut random) } else { config };
    let members = (1..=HOSTS).map(StoreId).collect();
    let world = World::new(WorldOptions {
        seed,
        stores: HOSTS,
        spares: 0,
        apart: false,
        regions: vec![region_of(&members)],
        config,
        drift_ppm_max: if options.scenario.drift { 45_000 } else { 100 },
        sink: options.sink.clone(),
        placement: None,
        hosts: Some(PlacementOptions {
            members,
            first_region: first_region(options),
            highest_id: regions(&options.scenario).iter().flat_map(|it| &it.peers).map(|it| it.id).max().unwrap_or(0),
            settings: settings(options, &mut random),
        }),
    });
    tokio::spawn(world.clone().deliver());
    world
}

/// A region that stands for the whole keyspace until the leaders of all tell of themselves.
fn first_region(options: &RunOptions) -> Region {
    let first = regions(&options.scenario).into_iter().next().unwrap_or_default();
    Region { start_key: Default::default(), end_key: Default::default(), ..first }
}

/// Times as short as a run is.
fn settings(options: &RunOptions, random: &mut Random) -> Settings {
    Settings {
        store_silent_ms: random.between(700, 2_000),
        store_down_ms: random.between(2_000, 6_000),
        cooldown_ms: random.between(0, 3_000),
        merge_bytes_max: if options.scenario.merges { 1 << 20 } else { 0 },
        merge_after_split_ms: random.between(0, 3_000),
        hot_bytes_min: 0,
        gc_life_ms: 0,
        ..Settings::initial()
    }
}

/// Resolves at the first violation in placement's world, if there is one.
pub async fn violated(placement: Option<&Arc<World>>) -> String {
    match placement {
        Some(placement) => placement.violated().await,
        None => std::future::pending().await,
    }
}

/// The traces of both, as one hash and one number of lines.
pub fn digest(world: &World) -> (u64, u64) {
    let (hash, lines) = world.trace.digest();
    match &world.options.placement {
        None => (hash, lines),
        Some(placement) => {
            let (others, more) = placement.trace.digest();
            (hash.rotate_left(1) ^ others, lines + more)
        }
    }
}

/// Nodes killed, disks failed and other faults, in both.
pub fn faults(world: &World) -> [u64; 3] {
    let mut faults = [0; 3];
    for world in [Some(world), world.options.placement.as_deref()].into_iter().flatten() {
        let of = [&world.counts.kills, &world.counts.disk_failures, &world.counts.faults];
        let more = of.map(|counter: &AtomicU64| counter.load(Ordering::Relaxed));
        faults.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
    }
    faults
}
