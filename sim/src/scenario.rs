//! The scenarios, as a table: TinyKV's course matrix as far as there is something to vary yet (splits, images and
//! member changes are still to come), and what the course does not have: disks, pauses, transfers, drift.

/// What a run is like. How often each kind of fault strikes is for the seed to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How it is called on the command line.
    pub name: &'static str,
    /// Stores; every region has a peer on each.
    pub stores: u64,
    /// Regions, up to four.
    pub regions: usize,
    /// Clients at work.
    pub clients: u64,
    /// Links lose, delay, repeat and reorder; clients die.
    pub unreliable: bool,
    /// The network falls apart now and then.
    pub partitions: bool,
    /// Nodes and the timestamp oracle die and come back.
    pub crashes: bool,
    /// Disks are slow and fail.
    pub disks: bool,
    /// Nodes stand still for a while.
    pub pauses: bool,
    /// Leaders are told to hand over.
    pub transfers: bool,
    /// Clocks run at different speeds, as far apart as the lease allows.
    pub drift: bool,
}

/// Three stores, two regions, nothing goes wrong.
const PLAIN: Scenario = Scenario {
    name: "",
    stores: 3,
    regions: 2,
    clients: 5,
    unreliable: false,
    partitions: false,
    crashes: false,
    disks: false,
    pauses: false,
    transfers: false,
    drift: false,
};

const EVERYTHING: Scenario = Scenario {
    unreliable: true,
    partitions: true,
    crashes: true,
    disks: true,
    pauses: true,
    transfers: true,
    drift: true,
    ..PLAIN
};

/// Nobody asks anything and nothing goes wrong: for measuring what an idle cluster costs.
pub const QUIET: Scenario = Scenario { name: "quiet", regions: 3, clients: 0, ..PLAIN };

/// All scenarios that are checked.
pub const SCENARIOS: [Scenario; 24] = [
    Scenario { name: "one_client", clients: 1, ..PLAIN },
    Scenario { name: "one_client_unreliable", clients: 1, unreliable: true, ..PLAIN },
    Scenario { name: "one_client_partitions", clients: 1, partitions: true, ..PLAIN },
    Scenario { name: "one_client_crashes", clients: 1, crashes: true, ..PLAIN },
    Scenario { name: "one_client_unreliable_partitions", clients: 1, unreliable: true, partitions: true, ..PLAIN },
    Scenario { name: "one_client_unreliable_crashes", clients: 1, unreliable: true, crashes: true, ..PLAIN },
    Scenario { name: "one_client_partitions_crashes", clients: 1, partitions: true, crashes: true, ..PLAIN },
    Scenario {
        name: "one_client_unreliable_partitions_crashes",
        clients: 1,
        unreliable: true,
        partitions: true,
        crashes: true,
        ..PLAIN
    },
    Scenario { name: "many_clients", ..PLAIN },
    Scenario { name: "many_clients_unreliable", unreliable: true, ..PLAIN },
    Scenario { name: "many_clients_partitions", partitions: true, ..PLAIN },
    Scenario { name: "many_clients_crashes", crashes: true, ..PLAIN },
    Scenario { name: "many_clients_unreliable_partitions", unreliable: true, partitions: true, ..PLAIN },
    Scenario { name: "many_clients_unreliable_crashes", unreliable: true, crashes: true, ..PLAIN },
    Scenario { name: "many_clients_partitions_crashes", partitions: true, crashes: true, ..PLAIN },
    Scenario {
        name: "many_clients_unreliable_partitions_crashes",
        unreliable: true,
        partitions: true,
        crashes: true,
        ..PLAIN
    },
    Scenario { name: "disks", disks: true, ..PLAIN },
    Scenario { name: "disks_crashes", disks: true, crashes: true, ..PLAIN },
    Scenario { name: "pauses_drift", pauses: true, drift: true, ..PLAIN },
    Scenario { name: "pauses_partitions_drift", pauses: true, partitions: true, drift: true, ..PLAIN },
    Scenario {
        name: "transfers_unreliable_disks_drift",
        transfers: true,
        unreliable: true,
        disks: true,
        drift: true,
        ..PLAIN
    },
    Scenario { name: "everything", ..EVERYTHING },
    Scenario { name: "everything_many_regions", regions: 4, clients: 8, ..EVERYTHING },
    Scenario { name: "everything_five_stores", stores: 5, regions: 3, clients: 8, ..EVERYTHING },
];

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Scenario> {
        SCENARIOS.iter().chain([&QUIET]).find(|scenario| scenario.name == name).copied()
    }

    /// The scenario that a seed runs if none is named: all of them in turn.
    pub fn of_seed(seed: u64) -> Scenario {
        let index = usize::try_from(seed % SCENARIOS.len() as u64).unwrap_or(0);
        SCENARIOS.get(index).copied().unwrap_or(QUIET)
    }
}
