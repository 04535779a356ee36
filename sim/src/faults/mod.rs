//! What goes wrong, and how often: drawn from the seed before a run, so that every run has weather of its own. Each
//! kind of fault is a task of its own that acts now and then; all of them end at once when the second phase begins.
//!
//! | file | what |
//! | --- | --- |
//! | `kills.rs`, `pauses.rs`, `disks.rs`, `wipes.rs` | what happens to nodes |
//! | `network.rs`, `partitions.rs` | what happens between them |
//! | `oracle.rs`, `placement.rs`, `clients.rs` | what happens to the clock and the map, and to those who ask |
//! | `transfers.rs`, `promises.rs` | leaders that are told to go; voters that are tempted to forget |
//! | `splits.rs`, `merges.rs`, `members.rs` | what becomes of regions meanwhile |
//! | `collections.rs` | the safe point that rises, close behind those who work |

mod clients;
mod collections;
mod disks;
mod kills;
mod members;
mod merges;
mod network;
mod oracle;
mod partitions;
mod pauses;
mod placement;
mod promises;
mod splits;
mod transfers;
mod wipes;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nokv_engine::FaultPlan;
use nokv_transport::memory::LinkFaults;
use tokio::task::JoinSet;

use crate::random::Random;
use crate::scenario::Scenario;
use crate::workloads::{Actor, Workloads};
use crate::world::{DiskSpeed, Weather, World};

pub use partitions::Shape;

/// The faults of a run under way.
#[derive(Debug)]
pub struct Faults {
    tasks: JoinSet<()>,
    /// The clients at work; some die and are replaced.
    actors: Arc<parking_lot::Mutex<Vec<Actor>>>,
}

impl Faults {
    /// Lets things go wrong as `scenario` and the seed have it.
    pub fn begin(workloads: &Arc<Workloads>, scenario: &Scenario, actors: Vec<Actor>, random: &mut Random) -> Self {
        let world = &workloads.world;
        let actors = Arc::new(parking_lot::Mutex::new(actors));
        let mut tasks = JoinSet::new();
        if scenario.unreliable {
            network::set_out(world, random);
            tasks.spawn(network::change(world.clone(), random.fork()));
            tasks.spawn(network::clog(world.clone(), random.fork()));
            tasks.spawn(clients::die(workloads.clone(), actors.clone(), random.fork()));
        }
        if scenario.partitions {
            tasks.spawn(partitions::come_and_go(world.clone(), scenario.clients, random.fork()));
        }
        if scenario.crashes {
            tasks.spawn(kills::strike(world.clone(), random.fork()));
            let of_oracle = random.fork();
            if world.options.placement.is_none() {
                tasks.spawn(oracle::fail(world.clone(), of_oracle));
            }
        }
        if scenario.crashes && scenario.partitions {
            tasks.spawn(promises::tempt(world.clone(), random.fork()));
        }
        if scenario.disks {
            disks::set_out(world, random);
            tasks.spawn(disks::fail(world.clone(), random.fork()));
        }
        if scenario.pauses {
            tasks.spawn(pauses::come_and_go(world.clone(), random.fork()));
            tasks.spawn(clients::stand_still(workloads.clone(), actors.clone()));
        }
        if random.chance(500) {
            tasks.spawn(collections::raise(world.clone(), random.fork()));
        }
        if scenario.transfers {
            tasks.spawn(transfers::order(world.clone(), random.fork()));
        }
        match &world.options.placement {
            // It decides what becomes of regions.
            Some(placement) => {
                placement::begin(&mut tasks, placement, scenario);
                if scenario.spares > 0 {
                    tasks.spawn(wipes::strike(world.clone(), random.fork()));
                }
            }
            None => Self::begin_changes(&mut tasks, world, scenario),
        }
        Faults { tasks, actors }
    }

    /// What happens to regions. Its draws come from a stream of its own, so that the weather stays what it is without.
    fn begin_changes(tasks: &mut JoinSet<()>, world: &Arc<World>, scenario: &Scenario) {
        let mut random = Random::new(world.options.seed, "changes");
        world.weather.lock().old_maps_permille = if scenario.unreliable { random.below(400) } else { 0 };
        if scenario.splits {
            tasks.spawn(splits::order(world.clone(), random.fork()));
        }
        if scenario.members {
            tasks.spawn(members::change(world.clone(), random.fork()));
        }
        if scenario.spares > 0 {
            tasks.spawn(wipes::strike(world.clone(), random.fork()));
        }
        if scenario.merges {
            tasks.spawn(merges::order(world.clone(), scenario.members, random.fork()));
        }
    }

    /// Ends all faults: links deliver, disks work, paused nodes go on, dead ones start. Returns the clients.
    pub fn end(mut self, world: &Arc<World>) -> Vec<Actor> {
        self.tasks.abort_all();
        world.options.placement.iter().for_each(end_all);
        end_all(world);
        std::mem::take(&mut *self.actors.lock())
    }
}

/// Whatever is wrong with this world is so no more.
fn end_all(world: &Arc<World>) {
    world.note(format_args!("all faults end"));
    world.network.heal();
    world.network.set_faults_everywhere(LinkFaults::delay(Duration::from_micros(200), Duration::from_millis(1)));
    *world.weather.lock() = Weather::default();
    world.oracle.start();
    for slot in world.slots() {
        slot.set_faults(FaultPlan::default(), None);
        slot.disk.set_speed(DiskSpeed::INSTANT);
        if let Some(node) = slot.node() {
            node.steps_to_live.store(0, Ordering::Relaxed);
            node.process.go_on();
        }
    }
    world.start_all();
}

/// Counts a fault and writes it down.
fn begins(world: &World, what: std::fmt::Arguments<'_>) {
    world.counts.faults.fetch_add(1, Ordering::Relaxed);
    world.note(format_args!("fault: {what}"));
}

/// Sleeps for about `ms`, from a tenth to twice as long.
async fn about(ms: u64, random: &mut Random) {
    tokio::time::sleep(random.millis(ms / 10, ms * 2)).await;
}
