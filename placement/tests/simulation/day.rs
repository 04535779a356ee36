//! A day on paper: what happens when, what is printed, and what must be true in the end.
//! Hours: 0 uneven from the start; 3 a store dies for good; 5 one is away for a while; 6 stores join; 8 one leaves;
//! 10 a hundredth of all regions becomes hot; all the time, sizes and flows waver.

use nokv_placement::regions::{Flow, Report};
use nokv_placement::schedule::{Kind, Outcome};
use nokv_placement::state::Command;
use nokv_proto::metapb::StoreState;
use nokv_raftstore::{RegionId, StoreId};

use crate::figures::Spread;
use crate::world::{MIB, TICK_MS, World};

pub struct Day {
    pub hour_ms: u64,
    pub hours: u64,
    pub print: bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct DayReport {
    /// Paper milliseconds until data and leaders were within five hundredths of the mean.
    balanced_ms: Option<u64>,
    first_moves: u64,
    first_gib: f64,
    first_least_gib: f64,
    lost_peers: u64,
    repaired: u64,
    moves_while_away: u64,
    joined_moves: u64,
    joined_gib: f64,
    joined_least_gib: f64,
    hot_before: f64,
    end: Spread,
    unwell: usize,
    left: bool,
    drained: u64,
    returns: u64,
    late_returns: u64,
    leader_returns: u64,
    transfers: u64,
    moves: u64,
    timed_out: u64,
    last_hour_moves: u64,
}

impl Day {
    pub fn run(&self, world: &mut World) -> DayReport {
        let (least_bytes, least_peers) = world.least_to_move();
        let mut report = DayReport { first_least_gib: gib(least_bytes), ..DayReport::default() };
        self.say(format!("at least {} GiB have to move at first, in {least_peers} peers or more", least_bytes >> 30));
        for hour in 0..self.hours {
            self.begin_hour(world, hour, &mut report);
            let before: u64 = world.moves.peers.values().sum();
            for _ in 0..self.hour_ms / TICK_MS {
                world.tick();
                let spread = world.spread();
                if report.balanced_ms.is_none() && spread.data < 5.0 && spread.leaders < 5.0 {
                    report.balanced_ms = Some(world.now_ms);
                    report.first_moves = world.moves.moved(Kind::Balance);
                    report.first_gib = gib(world.moves.moved_bytes(Kind::Balance));
                    self.say(format!("balanced after {} minutes", world.now_ms / 60_000));
                }
            }
            report.last_hour_moves = world.moves.peers.values().sum::<u64>() - before;
            self.end_hour(world, hour, &mut report);
        }
        report.finish(world);
        self.say(format!("{report:#?}"));
        report
    }

    fn begin_hour(&self, world: &mut World, hour: u64, report: &mut DayReport) {
        let stores = world.state.stores().count() as u64;
        match hour {
            3 => {
                report.lost_peers = world.state.regions().on_store(StoreId(2)).peers() as u64;
                world.die(StoreId(2));
            }
            5 => {
                // Ten minutes, or less if hours are short.
                let before = world.moves.peers.values().sum::<u64>();
                world.die(StoreId(3));
                for _ in 0..(self.hour_ms / 6) / TICK_MS {
                    world.tick();
                }
                world.join(3);
                report.moves_while_away = world.moves.peers.values().sum::<u64>() - before;
            }
            6 => {
                (1..=stores / 20 + 1).for_each(|new| world.join(stores + new));
                report.joined_least_gib = gib(world.least_to_move().0);
                report.joined_gib = gib(world.moves.moved_bytes(Kind::Balance));
                report.joined_moves = world.moves.moved(Kind::Balance);
            }
            8 => {
                report.joined_moves = world.moves.moved(Kind::Balance) - report.joined_moves;
                report.joined_gib = gib(world.moves.moved_bytes(Kind::Balance)) - report.joined_gib;
                report.drained = world.state.regions().on_store(StoreId(4)).peers() as u64;
                world.decide(Command::RemoveStore(StoreId(4)));
            }
            10 => self.heat(world, report),
            _ => self.waver(world),
        }
    }

    /// Sizes and flows of some regions change by themselves.
    fn waver(&self, world: &mut World) {
        let ids: Vec<RegionId> = world.state.regions().iter().map(|info| info.id()).collect();
        let turn = (world.now_ms / self.hour_ms) % 16;
        for id in ids.into_iter().filter(|id| id.0 % 16 == turn) {
            let info = world.state.regions().get(id).unwrap();
            let mut told = World::as_it_is(info);
            told.size_bytes = told.size_bytes * world.random.u64(85..=116) / 100;
            told.flow.write_bytes = told.flow.write_bytes * world.random.u64(50..=200) / 100;
            world.report(told);
            world.beat(id);
        }
    }

    /// Regions that lie side by side, on few leaders, are written to or read all at once: of each three, one is read
    /// only, and one written only.
    fn heat(&self, world: &mut World, report: &mut DayReport) {
        let count = world.state.regions().len() / 100;
        let few: Vec<StoreId> = (5..8).map(StoreId).collect();
        let led = few.iter().flat_map(|store| world.state.regions().on_store(*store).leaders.iter().copied());
        let hot: Vec<RegionId> = led.collect::<Vec<_>>().into_iter().step_by(2).take(count).collect();
        for id in hot {
            let (records, lookups) = (world.random.u64(1_500..3_000), world.random.u64(4_000..8_000));
            let written = Flow { write_bytes: records * 256, records, ..Flow::default() };
            let read = Flow { read_bytes: lookups * 64, lookups, ..Flow::default() };
            let flow = match id.0 % 3 {
                0 => written,
                1 => read,
                _ => Flow { write_bytes: MIB, records: 1_000, ..read },
            };
            let info = world.state.regions().get(id).unwrap();
            let told = Report { flow, ..World::as_it_is(info) };
            world.report(told);
            (0..6).for_each(|_| world.beat(id));
        }
        report.hot_before = world.spread().flow;
    }

    fn end_hour(&self, world: &World, hour: u64, report: &mut DayReport) {
        let (spread, moves) = (world.spread(), &world.moves);
        let by_kind = |kind| moves.moved(kind);
        self.say(format!(
            "hour {hour:2}: apart by data {:5.1} % leaders {:5.1} % flow {:6.1} %; peers moved so far: balance {}, \
             repair {}, drain {}, hot {}; leaders {}; came back: {} peers, {} leaders",
            spread.data,
            spread.leaders,
            spread.flow,
            by_kind(Kind::Balance),
            by_kind(Kind::Repair),
            by_kind(Kind::Drain),
            by_kind(Kind::Hot),
            moves.transfers,
            moves.returns,
            moves.leader_returns,
        ));
        report.end = spread;
    }

    fn say(&self, text: String) {
        if self.print {
            println!("{text}");
        }
    }
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

impl DayReport {
    fn finish(&mut self, world: &World) {
        let moves = &world.moves;
        self.unwell = world.unwell();
        self.left = world.state.store(StoreId(4)).is_some_and(|record| record.state() == StoreState::Tombstone);
        self.repaired = moves.moved(Kind::Repair);
        self.moves = moves.peers.values().sum();
        (self.returns, self.leader_returns, self.transfers) = (moves.returns, moves.leader_returns, moves.transfers);
        self.late_returns = moves.late_returns;
        let timed_out = moves.counts.iter().filter(|((_, outcome), _)| *outcome == Outcome::TimedOut);
        self.timed_out = timed_out.map(|(_, count)| *count).sum();
    }

    /// What must be true of every such day.
    pub fn check(&self) {
        assert!(self.balanced_ms.is_some(), "it never came to balance: {self:#?}");
        assert!(self.first_gib < self.first_least_gib * 1.15, "{self:#?}");
        assert!(self.joined_gib < self.joined_least_gib * 1.3, "{self:#?}");
        assert!(self.repaired >= self.lost_peers, "what was lost is not made anew: {self:#?}");
        assert!(self.repaired <= self.lost_peers * 102 / 100 + 2, "more was repaired than was lost: {self:#?}");
        assert_eq!(self.moves_while_away, 0, "a store that was away for minutes cost moves");
        assert!(self.left, "the store that was to leave is still there");
        assert_eq!(self.unwell, 0, "regions are not as they should be");
        assert!(self.end.data < 5.0 && self.end.leaders < 10.0, "{:?}", self.end);
        assert!(self.end.flow < self.hot_before / 2.0, "the hot regions were not spread: {self:#?}");
        assert_eq!(self.returns, 0, "of {} peers", self.moves);
        assert!(self.late_returns * 50 <= self.moves, "{} of {} peers came back", self.late_returns, self.moves);
        assert!(self.leader_returns * 100 <= self.transfers, "{} of {}", self.leader_returns, self.transfers);
        assert_eq!(self.timed_out, 0, "nothing takes too long on paper");
    }
}
