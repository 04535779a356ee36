//! The scenarios, as a table: TinyKV's course matrix (one client or many, unreliable links, partitions, crashes,
//! images, changes of members, splits, in the combinations that its tests have), and what the course does not have:
//! disks, pauses, transfers, drift, merges, machines that are lost, and everything at once.

/// What a run is like. How often each kind of fault strikes is for the seed to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// How it is called on the command line.
    pub name: &'static str,
    /// Stores at first.
    pub stores: u64,
    /// Peers of each region at first, each on a store of its own.
    pub replicas: u64,
    /// Regions at first, up to four.
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
    /// Logs are cut so early that whoever lags needs an image.
    pub images: bool,
    /// Members come and go.
    pub members: bool,
    /// Regions are split.
    pub splits: bool,
    /// Regions are merged.
    pub merges: bool,
    /// Machines that may be lost for good, one after the other; each has a successor.
    pub spares: u64,
    /// Placement gives the timestamps and says what becomes of regions, on three nodes of its own, hurt as well.
    pub placement: bool,
}

impl Scenario {
    /// Three stores, two regions, five clients, and nothing goes wrong.
    const fn new(name: &'static str) -> Self {
        Scenario {
            name,
            stores: 3,
            replicas: 3,
            regions: 2,
            clients: 5,
            unreliable: false,
            partitions: false,
            crashes: false,
            disks: false,
            pauses: false,
            transfers: false,
            drift: false,
            images: false,
            members: false,
            splits: false,
            merges: false,
            spares: 0,
            placement: false,
        }
    }

    const fn one_client(self) -> Self {
        Scenario { clients: 1, ..self }
    }

    const fn unreliable(self) -> Self {
        Scenario { unreliable: true, ..self }
    }

    const fn partitions(self) -> Self {
        Scenario { partitions: true, ..self }
    }

    const fn crashes(self) -> Self {
        Scenario { crashes: true, ..self }
    }

    const fn disks(self) -> Self {
        Scenario { disks: true, ..self }
    }

    const fn pauses(self) -> Self {
        Scenario { pauses: true, ..self }
    }

    const fn transfers(self) -> Self {
        Scenario { transfers: true, ..self }
    }

    const fn drift(self) -> Self {
        Scenario { drift: true, ..self }
    }

    const fn images(self) -> Self {
        Scenario { images: true, ..self }
    }

    /// Regions have three peers on five stores, so that there is somewhere to go.
    const fn members(self) -> Self {
        Scenario { members: true, stores: 5, ..self }
    }

    const fn splits(self) -> Self {
        Scenario { splits: true, ..self }
    }

    const fn merges(self) -> Self {
        Scenario { merges: true, ..self }
    }

    const fn losses(self) -> Self {
        Scenario { spares: 2, ..self }
    }

    /// Regions have three peers on five stores; where, is for placement to say.
    const fn placement(self) -> Self {
        Scenario { placement: true, stores: 5, regions: 4, ..self }
    }

    /// All that goes wrong while regions stay as they are.
    const fn everything_still(self) -> Self {
        self.unreliable().partitions().crashes().disks().pauses().transfers().drift()
    }
}

/// Nobody asks anything and nothing goes wrong: for measuring what an idle cluster costs.
pub const QUIET: Scenario = Scenario { regions: 3, clients: 0, ..Scenario::new("quiet") };

/// All scenarios that are checked.
pub const SCENARIOS: [Scenario; 60] = [
    Scenario::new("one_client").one_client(),
    Scenario::new("one_client_unreliable").one_client().unreliable(),
    Scenario::new("one_client_partitions").one_client().partitions(),
    Scenario::new("one_client_crashes").one_client().crashes(),
    Scenario::new("one_client_unreliable_partitions").one_client().unreliable().partitions(),
    Scenario::new("one_client_unreliable_crashes").one_client().unreliable().crashes(),
    Scenario::new("one_client_partitions_crashes").one_client().partitions().crashes(),
    Scenario::new("one_client_unreliable_partitions_crashes").one_client().unreliable().partitions().crashes(),
    Scenario::new("many_clients"),
    Scenario::new("many_clients_unreliable").unreliable(),
    Scenario::new("many_clients_partitions").partitions(),
    Scenario::new("many_clients_crashes").crashes(),
    Scenario::new("many_clients_unreliable_partitions").unreliable().partitions(),
    Scenario::new("many_clients_unreliable_crashes").unreliable().crashes(),
    Scenario::new("many_clients_partitions_crashes").partitions().crashes(),
    Scenario::new("many_clients_unreliable_partitions_crashes").unreliable().partitions().crashes(),
    Scenario::new("disks").disks(),
    Scenario::new("disks_crashes").disks().crashes(),
    Scenario::new("pauses_drift").pauses().drift(),
    Scenario::new("pauses_partitions_drift").pauses().partitions().drift(),
    Scenario::new("transfers_unreliable_disks_drift").transfers().unreliable().disks().drift(),
    Scenario::new("everything").everything_still(),
    Scenario { regions: 4, clients: 8, ..Scenario::new("everything_many_regions").everything_still() },
    Scenario {
        stores: 5,
        replicas: 5,
        regions: 3,
        clients: 8,
        ..Scenario::new("everything_five_stores").everything_still()
    },
    Scenario::new("images_one_client_crashes").images().one_client().crashes(),
    Scenario::new("images_crashes").images().crashes(),
    Scenario::new("images_unreliable").images().unreliable(),
    Scenario::new("images_unreliable_crashes").images().unreliable().crashes(),
    Scenario::new("images_unreliable_crashes_partitions").images().unreliable().crashes().partitions(),
    Scenario::new("images_disks_pauses_drift").images().disks().pauses().drift(),
    Scenario::new("members_one_client").members().one_client(),
    Scenario::new("members_one_client_crashes").members().one_client().crashes(),
    Scenario::new("members_crashes").members().crashes(),
    Scenario::new("members_unreliable").members().unreliable(),
    Scenario::new("members_unreliable_crashes").members().unreliable().crashes(),
    Scenario::new("members_images_unreliable_crashes").members().images().unreliable().crashes(),
    Scenario::new("members_images_unreliable_crashes_partitions")
        .members()
        .images()
        .unreliable()
        .crashes()
        .partitions(),
    Scenario::new("members_losses_crashes").members().losses().crashes(),
    Scenario::new("members_transfers_pauses_drift").members().transfers().pauses().drift(),
    Scenario::new("splits_one_client").splits().one_client(),
    Scenario::new("splits_one_client_crashes").splits().one_client().crashes(),
    Scenario::new("splits_crashes").splits().crashes(),
    Scenario::new("splits_unreliable").splits().unreliable(),
    Scenario::new("splits_unreliable_crashes").splits().unreliable().crashes(),
    Scenario::new("splits_members_images_unreliable_crashes").splits().members().images().unreliable().crashes(),
    Scenario::new("splits_members_images_unreliable_crashes_partitions")
        .splits()
        .members()
        .images()
        .unreliable()
        .crashes()
        .partitions(),
    Scenario::new("changes_losses").splits().members().losses().images(),
    Scenario {
        clients: 8,
        ..Scenario::new("everything_changes").everything_still().splits().members().losses().images()
    },
    Scenario { regions: 4, ..Scenario::new("merges_one_client").merges().splits().one_client() },
    Scenario { regions: 4, ..Scenario::new("merges_one_client_crashes").merges().splits().one_client().crashes() },
    Scenario { regions: 4, ..Scenario::new("merges_crashes").merges().splits().crashes() },
    Scenario { regions: 4, ..Scenario::new("merges_unreliable").merges().splits().unreliable() },
    Scenario { regions: 4, ..Scenario::new("merges_unreliable_crashes").merges().splits().unreliable().crashes() },
    Scenario { regions: 4, ..Scenario::new("merges_partitions_crashes").merges().splits().partitions().crashes() },
    Scenario { regions: 4, ..Scenario::new("merges_transfers_drift").merges().splits().transfers().pauses().drift() },
    Scenario::new("merges_images_unreliable_crashes").merges().splits().images().unreliable().crashes(),
    Scenario::new("merges_members").merges().splits().members(),
    Scenario::new("merges_members_images_unreliable_crashes")
        .merges()
        .splits()
        .members()
        .images()
        .unreliable()
        .crashes(),
    Scenario::new("merges_changes_losses").merges().splits().members().losses().images(),
    Scenario {
        clients: 8,
        ..Scenario::new("everything_merges").everything_still().merges().splits().members().losses().images()
    },
];

/// Those in which placement runs.
pub const PLACED: [Scenario; 8] = [
    Scenario::new("placement").placement(),
    Scenario::new("placement_crashes").placement().crashes(),
    Scenario::new("placement_unreliable").placement().unreliable(),
    Scenario::new("placement_partitions_crashes").placement().partitions().crashes(),
    Scenario::new("placement_pauses_drift").placement().pauses().drift(),
    Scenario::new("placement_losses_crashes").placement().losses().crashes(),
    Scenario::new("placement_merges_unreliable_crashes").placement().merges().unreliable().crashes(),
    Scenario { clients: 8, ..Scenario::new("placement_everything").placement().everything_still().merges().losses() },
];

/// Of so many turns through all scenarios, the last is one of those with placement.
const PLACED_EVERY: u64 = 8;

impl Scenario {
    /// The scenario of this name.
    pub fn named(name: &str) -> Option<Scenario> {
        SCENARIOS.iter().chain(&PLACED).chain([&QUIET]).find(|scenario| scenario.name == name).copied()
    }

    /// The scenario that a seed runs if none is named: all of them in turn.
    pub fn of_seed(seed: u64) -> Scenario {
        let turn = seed / SCENARIOS.len() as u64;
        if turn % PLACED_EVERY == PLACED_EVERY - 1 {
            return Self::of(&PLACED, seed);
        }
        Self::of(&SCENARIOS, seed)
    }

    /// One of `some`, which a seed runs if only these are run.
    pub fn of(some: &[Scenario], seed: u64) -> Scenario {
        let index = usize::try_from(seed % some.len().max(1) as u64).unwrap_or(0);
        some.get(index).copied().unwrap_or(QUIET)
    }
}
