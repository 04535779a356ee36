//! Commands of scripts that make the cluster think: heartbeats, ticks, and what is ordered.
//! `cluster` makes many stores at once; `work` carries out orders as real leaders would, until nothing is left to do.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nokv_engine::{Engine as _, WriteBatch};
use nokv_placement::regions::{DownPeer, Flow, Report};
use nokv_placement::schedule::{Order, OrderStep, StoreReport};
use nokv_placement::state::{Command, Reply, Settings};
use nokv_proto::metapb::{Peer, PeerRole, Region, Store};
use nokv_raftstore::{PeerId, RegionId, StoreId};

use crate::arguments::Arguments;
use crate::{Output, World, show};

const MIB: u64 = 1 << 20;
/// Peer ids that scripts see given to new peers.
const NEW_PEERS_FROM: u64 = 900;

impl World {
    pub fn run_on_schedule(&mut self, name: &str, arguments: &mut Arguments) -> Option<Output> {
        Some(match name {
            "cluster" => self.cluster(arguments),
            "many" => self.many(arguments),
            "set" => self.set(arguments),
            "heard" => self.heard(arguments),
            "beat" => self.beat(arguments),
            "tick" => self.tick(arguments),
            "work" => self.work(arguments),
            "scatter" => self.scatter(arguments),
            "cut" => self.cut(arguments),
            "operators" => Ok(self.scheduler.operators().map(|it| format!("{it}\n")).collect()),
            "ended" => Ok(self.ended()),
            "loads" => Ok(self.loads()),
            "conditions" => Ok(self.conditions()),
            _ => return None,
        })
    }

    /// A cluster of `stores` stores that are all heard of; `zones` of them share a label each.
    fn cluster(&mut self, arguments: &mut Arguments) -> Output {
        let (stores, zones): (u64, u64) = (arguments.number("stores")?, arguments.number("zones")?);
        let store = |id: u64| Store {
            id,
            address: format!("store-{id}:1"),
            labels: (zones != 0)
                .then(|| nokv_proto::metapb::StoreLabel { key: "zone".into(), value: format!("z{}", id % zones) })
                .into_iter()
                .collect(),
            ..Store::default()
        };
        self.quietly(Command::Found { cluster_id: 7 })?;
        self.quietly(Command::Bootstrap { store: store(1), region: None })?;
        for id in 1..=stores {
            self.quietly(Command::PutStore { store: store(id), directory: id })?;
        }
        let first = self.state.regions().iter().map(|info| info.id()).next();
        assert_eq!(first, Some(RegionId(2)));
        self.all_heard();
        Ok(String::new())
    }

    /// `regions` regions of one size that have all their peers on the first stores; the leaders go round unless one
    /// store has them all.
    fn many(&mut self, arguments: &mut Arguments) -> Output {
        let (regions, stores): (u64, u64) = (arguments.number("regions")?, arguments.number("stores")?);
        let (size, leads): (u64, u64) = (arguments.number("size")?, arguments.number("leader")?);
        let key = |at: u64| if at == 0 || at == regions { Vec::new() } else { format!("k{at:04}").into_bytes() };
        for at in 0..regions {
            let id = 10_000 + at * 10;
            let peers: Vec<Peer> =
                (1..=stores).map(|store_id| Peer { id: id + store_id, store_id, ..Peer::default() }).collect();
            let leader_store = if leads == 0 { at % stores + 1 } else { leads };
            let leader = peers.iter().find(|peer| peer.store_id == leader_store).copied();
            let region = Region {
                id,
                start_key: key(at).into(),
                end_key: key(at + 1).into(),
                region_epoch: Some(nokv_proto::metapb::RegionEpoch { conf_ver: 1, version: 2 }),
                peers,
                ..Region::default()
            };
            let report = Report { region: region.into(), leader, size_bytes: size * MIB, ..Report::default() };
            self.quietly(Command::Report(Box::new(report)))?;
        }
        Ok(String::new())
    }

    fn quietly(&mut self, command: Command) -> Result<Reply, Box<dyn std::error::Error>> {
        let mut batch = WriteBatch::new();
        let reply = self.state.decide(command, self.now_ms, &mut batch)?;
        self.engine.write(&batch, false)?;
        Ok(reply)
    }

    fn all_heard(&mut self) {
        let stores: Vec<StoreId> = self.state.stores().map(|record| record.id()).collect();
        for store in stores.into_iter().filter(|store| !self.mute.contains(store)) {
            let (report, _) = self.scheduler.last_word(store, self.now_ms).unwrap_or_default();
            self.scheduler.on_store(store, report, self.now_ms);
        }
    }

    fn set(&mut self, arguments: &mut Arguments) -> Output {
        let mut settings = self.state.settings().clone();
        let labels = arguments.list("labels");
        if !labels.is_empty() {
            settings.location_labels = labels;
        }
        let mut number = |key: &str, now: u64| -> Result<u64, Box<dyn std::error::Error>> {
            if arguments.has(key) { arguments.number(key) } else { Ok(now) }
        };
        settings.replicas = u32::try_from(number("replicas", settings.replicas.into())?)?;
        settings.moves_per_store = u32::try_from(number("moves", settings.moves_per_store.into())?)?;
        settings.hot_bytes_min = number("hot", settings.hot_bytes_min)?;
        settings.merge_bytes_max = number("merge", settings.merge_bytes_max / MIB)? * MIB;
        settings.balance_paused = number("paused", settings.balance_paused.into())? != 0;
        settings.tolerance_permille = u32::try_from(number("tolerance", settings.tolerance_permille.into())?)?;
        self.decide(Command::PutSettings(Settings { ..settings })).map(|text| text.replace("  put settings\n", ""))
    }

    /// Stores are heard of: all that are not mute, or one with what it tells.
    fn heard(&mut self, arguments: &mut Arguments) -> Output {
        if arguments.flag("all") {
            self.all_heard();
            return Ok(String::new());
        }
        let store = StoreId(arguments.word()?);
        if arguments.flag("mute") {
            self.mute.insert(store);
            return Ok(String::new());
        }
        self.mute.remove(&store);
        let report = StoreReport {
            capacity_bytes: arguments.number("capacity")?,
            available_bytes: arguments.number("free")?,
            peers: arguments.number("peers")?,
            busy: arguments.flag("busy"),
            stopping: arguments.flag("stopping"),
            slow_score: arguments.number("slow")?,
        };
        self.scheduler.on_store(store, report, self.now_ms);
        Ok(String::new())
    }

    /// A region's leader is heard of; shows what it is ordered to do.
    fn beat(&mut self, arguments: &mut Arguments) -> Output {
        let pending = arguments.list("pending").iter().map(|id| id.parse().map(PeerId)).collect::<Result<_, _>>()?;
        let down = arguments.list("down").iter().map(|id| id.parse()).collect::<Result<Vec<u64>, _>>()?;
        let down = down.into_iter().map(|id| DownPeer { peer: PeerId(id), seconds: 60 }).collect();
        let flow = Flow {
            write_bytes: arguments.number("write")?,
            records: arguments.number("records")?,
            read_bytes: arguments.number("read")?,
            lookups: arguments.number("lookups")?,
        };
        let keys = arguments.number("keys")?;
        let report = Report { pending, down, flow, keys, ..self.report_of(arguments)? };
        let id = RegionId(report.region.id);
        if let Err(refusal) = self.quietly(Command::Report(Box::new(report))) {
            return Ok(format!("refused: {refusal}\n"));
        }
        let order = self.hear(id);
        Ok(order.map_or_else(|| "nothing to do\n".to_owned(), |order| show_order(&order)))
    }

    fn hear(&mut self, id: RegionId) -> Option<Order> {
        let next = &mut self.next_peer;
        self.scheduler.on_region(&self.state, id, self.now_ms, &mut || {
            *next = (*next).max(NEW_PEERS_FROM) + 1;
            Some(PeerId(*next))
        })
    }

    /// Thinks, and shows what it decides.
    fn tick(&mut self, arguments: &mut Arguments) -> Output {
        let without_ids = arguments.flag("without-ids");
        let before: Vec<RegionId> = self.scheduler.operators().map(|it| it.region).collect();
        let next = &mut self.next_peer;
        let tick = self.scheduler.tick(&self.state, self.now_ms, &mut || {
            *next = (*next).max(NEW_PEERS_FROM) + 1;
            (!without_ids).then_some(PeerId(*next))
        });
        let mut text = String::new();
        for operator in self.scheduler.operators().filter(|it| !before.contains(&it.region)) {
            writeln!(text, "{operator}")?;
        }
        for command in tick.commands {
            writeln!(text, "{command:?}: {}", show::reply(&Ok(self.quietly(command.clone())?)).trim_end())?;
        }
        Ok(text)
    }

    /// Somebody asks that regions be spread: `scatter GROUP ID…`.
    fn scatter(&mut self, arguments: &mut Arguments) -> Output {
        let group: String = arguments.word()?;
        let next = &mut self.next_peer;
        let mut text = String::new();
        for id in arguments.list("regions") {
            let id = RegionId(id.parse()?);
            let asked = self.scheduler.scatter(&self.state, id, &group, self.now_ms, &mut || {
                *next = (*next).max(NEW_PEERS_FROM) + 1;
                Some(PeerId(*next))
            });
            match (asked, self.scheduler.operator(id)) {
                (Err(why), _) => writeln!(text, "region {id}: {why}")?,
                (Ok(()), Some(operator)) => writeln!(text, "{operator}")?,
                (Ok(()), None) => writeln!(text, "region {id} is where it should be")?,
            }
        }
        Ok(text)
    }

    /// Somebody asks that a region be cut: `cut ID keys=…`.
    fn cut(&mut self, arguments: &mut Arguments) -> Output {
        let id = RegionId(arguments.word()?);
        let keys = arguments.list("keys").into_iter().map(|key| key.into_bytes().into()).collect();
        Ok(match self.scheduler.cut(&self.state, id, keys, self.now_ms) {
            Ok(()) => self.scheduler.operator(id).map(|it| format!("{it}\n")).unwrap_or_default(),
            Err(why) => format!("region {id}: {why}\n"),
        })
    }

    /// Ticks and carries out every order at once, up to `rounds` times or until a tick decides nothing.
    fn work(&mut self, arguments: &mut Arguments) -> Output {
        let rounds: u64 = arguments.number("rounds")?;
        let mut done: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..rounds {
            self.now_ms += 10_000;
            self.all_heard();
            self.tick(&mut Arguments::none())?;
            let busy: Vec<RegionId> = self.scheduler.operators().map(|it| it.region).collect();
            for id in busy {
                for _ in 0..8 {
                    let Some(order) = self.hear(id) else { break };
                    *done.entry(kind_of(&order.step).to_owned()).or_default() += 1;
                    if !self.carry_out(&order)? {
                        break;
                    }
                }
            }
        }
        Ok(done.iter().map(|(what, count)| format!("{count} times: {what}\n")).collect())
    }

    /// What a region's leader would have done, and reports. Whether the region is still there.
    fn carry_out(&mut self, order: &Order) -> Result<bool, Box<dyn std::error::Error>> {
        let info = self.state.regions().get(order.region).expect("it was ordered to do something").clone();
        let mut region = Region::clone(&info.region);
        let mut leader = info.leader;
        let mut remains = true;
        match &order.step {
            OrderStep::AddLearner(peer) => region.peers.push(*peer),
            OrderStep::Promote(peer) => {
                region.peers.iter_mut().filter(|it| it.id == peer.id).for_each(|it| it.set_role(PeerRole::Voter));
            }
            OrderStep::Remove(peer) => region.peers.retain(|it| it.id != peer.id),
            OrderStep::Transfer(peer) => leader = Some(*peer),
            OrderStep::Split(_) => return Ok(false),
            OrderStep::MergeInto(target) => {
                let mut merged = target.clone();
                merged.start_key = merged.start_key.min(region.start_key.clone());
                if merged.end_key == region.start_key {
                    merged.end_key = region.end_key.clone();
                }
                let version = region.region_epoch.unwrap().version.max(target.region_epoch.unwrap().version) + 1;
                merged.region_epoch.as_mut().unwrap().version = version;
                leader = self.state.regions().get(RegionId(target.id)).unwrap().leader;
                region = merged;
                remains = false;
            }
        }
        if matches!(order.step, OrderStep::AddLearner(_) | OrderStep::Promote(_) | OrderStep::Remove(_)) {
            region.region_epoch.as_mut().unwrap().conf_ver += 1;
        }
        let id = RegionId(region.id);
        let report = Report { region: region.into(), leader, pending: Vec::new(), down: Vec::new(), ..info.told };
        self.quietly(Command::Report(Box::new(report)))?;
        if !remains {
            self.hear(id);
        }
        Ok(remains)
    }

    fn ended(&self) -> String {
        self.scheduler
            .ended()
            .map(|ended| {
                let why = if ended.why.is_empty() { String::new() } else { format!(": {}", ended.why) };
                let operator = &ended.operator;
                format!("region {} {} ({}) {}{why}\n", operator.region, operator.kind, operator.reason, ended.outcome)
            })
            .collect()
    }

    /// Peers, leaders and MiB of each store.
    fn loads(&self) -> String {
        let line = |store: StoreId| {
            let sums = self.state.regions().on_store(store);
            let (peers, leaders) = (sums.peers(), sums.leaders.len());
            format!("store {store}: {peers} peers, {leaders} leaders, {} MiB\n", sums.load_bytes / MIB)
        };
        self.state.stores().map(|record| line(record.id())).collect()
    }

    fn conditions(&self) -> String {
        let condition = |store| self.scheduler.condition(&self.state, store, self.now_ms);
        self.state.stores().map(|record| format!("store {}: {:?}\n", record.id(), condition(record.id()))).collect()
    }
}

fn kind_of(step: &OrderStep) -> &'static str {
    match step {
        OrderStep::AddLearner(_) => "add a learner",
        OrderStep::Promote(_) => "promote",
        OrderStep::Remove(_) => "remove",
        OrderStep::Transfer(_) => "transfer",
        OrderStep::Split(_) => "split",
        OrderStep::MergeInto(_) => "merge",
    }
}

fn show_order(order: &Order) -> String {
    let peer = |peer: &Peer| format!("{}@{}", peer.id, peer.store_id);
    let what = match &order.step {
        OrderStep::AddLearner(it) | OrderStep::Promote(it) | OrderStep::Remove(it) | OrderStep::Transfer(it) => {
            peer(it)
        }
        OrderStep::Split(keys) => keys.iter().map(|key| format!("{} ", key.escape_ascii())).collect(),
        OrderStep::MergeInto(region) => format!("region {}", region.id),
    };
    let text = format!("to {}: {} {what}", peer(&order.leader), kind_of(&order.step));
    text.trim_end().to_owned() + "\n"
}
