//! The contract on the in-memory network, stepped by virtual time.
//! Seed and delays are fixed, so a failure here fails always.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use nokv_transport::memory::{LinkFaults, MemoryEndpoint, MemoryNetwork, MemoryOptions};
use nokv_transport::{Network, StoreId};

use crate::contract::{ONE, QUEUE_MESSAGES_MAX, Rig, contract};
use crate::recorder::{Bell, Recorder};

struct MemoryRig {
    network: MemoryNetwork,
    stores: BTreeMap<StoreId, (Arc<MemoryEndpoint>, Arc<Recorder>)>,
    now: Duration,
}

impl Rig for MemoryRig {
    fn new() -> MemoryRig {
        let network = MemoryNetwork::new(MemoryOptions {
            seed: 7,
            queue_messages_max: QUEUE_MESSAGES_MAX,
            faults: LinkFaults::delay(Duration::from_millis(1), Duration::from_millis(5)),
            ..MemoryOptions::default()
        });
        MemoryRig { network, stores: BTreeMap::new(), now: Duration::ZERO }
    }

    fn start(&mut self, store: StoreId) {
        let recorder = Recorder::new(&Arc::new(Bell::default()));
        let endpoint = self.network.endpoint(store);
        let inbox: Arc<Recorder> = Arc::clone(&recorder);
        self.network.attach(store, inbox);
        self.stores.insert(store, (endpoint, recorder));
    }

    fn kill(&mut self, store: StoreId) {
        self.network.crash(store);
    }

    fn black_hole(&mut self, store: StoreId) {
        self.start(store);
        self.network.clog(ONE, store);
    }

    fn network(&self, store: StoreId) -> Arc<dyn Network> {
        let endpoint: Arc<MemoryEndpoint> = Arc::clone(&self.stores[&store].0);
        endpoint
    }

    fn inbox(&self, store: StoreId) -> Arc<Recorder> {
        Arc::clone(&self.stores[&store].1)
    }

    fn queued(&self, from: StoreId, to: StoreId) -> usize {
        self.network.queued(from, to)
    }

    fn tick(&mut self) {
        self.now += Duration::from_millis(10);
        assert!(self.now < Duration::from_secs(60), "what is waited for does not happen");
        self.network.deliver_due(self.now);
    }
}

contract!(MemoryRig);
