//! A client: the production client on simulated links, and a task that uses it. It may die at any moment, leaving locks
//! and requests behind; another takes its place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nokv_client::{Client, Options, ReadFrom};
use tokio::task::JoinHandle;

use super::{Workloads, think};
use crate::random::Random;
use crate::world::{ClientLink, NodesDirectory, OracleLink, World};

/// A client of `world`, and its links.
pub fn connect(world: &Arc<World>, number: u64, random: &mut Random) -> (Client, Arc<ClientLink>) {
    let options = Options {
        deadline: Duration::from_secs(random.between(4, 10)),
        request_timeout: random.millis(300, 1_500),
        lock_ttl_base: Duration::from_secs(random.between(1, 6)),
        scan_page_rows: u32::try_from(random.between(2, 40)).unwrap_or(10),
        batch_keys_max: random.index(8) + 1,
        concurrency: random.index(8) + 1,
        one_phase_commit: random.chance(700),
        async_commit: random.chance(700),
        seed: random.number(),
        ..Options::default()
    };
    let read_from = match options.seed % 4 {
        0 => ReadFrom::Leader,
        1 => ReadFrom::Replicas,
        _ => ReadFrom::Settled,
    };
    let options = Options { read_from, ..options };
    let link = ClientLink::new(world, number);
    let client = Client::new(link.clone(), OracleLink::new(world, number), NodesDirectory::new(world), options);
    (client, link)
}

/// A client at work.
#[derive(Debug)]
pub struct Actor {
    /// Its number.
    pub number: u64,
    link: Arc<ClientLink>,
    task: JoinHandle<()>,
}

impl Actor {
    /// Sets a client to work until the workloads stop.
    pub fn begin(workloads: &Arc<Workloads>, number: u64, mut random: Random) -> Self {
        let (client, link) = connect(&workloads.world, number, &mut random);
        let workloads = workloads.clone();
        let task = tokio::spawn(async move {
            while !workloads.stopping.load(Ordering::Relaxed) {
                workloads.operate(&client, number, &mut random).await;
                think(&mut random).await;
            }
            client.drain().await;
        });
        Actor { number, link, task }
    }

    /// Stops it for a while.
    pub fn stand_still(&self, lasts: Duration) {
        self.link.stand_still(lasts);
    }

    /// Kills it.
    pub fn die(self) {
        self.link.die();
        self.task.abort();
    }

    /// Waits until it has ended its last operation.
    ///
    /// # Errors
    /// If it panicked.
    pub async fn ended(self) -> Result<(), String> {
        self.task.await.map_err(|error| format!("client {}: {error}", self.number))
    }
}
