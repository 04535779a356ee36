//! Commands of scripts that change the state or look at it.
//! `restart` reads the state anew from the engine and holds it against the one that wrote it.

use bytes::Bytes;
use nokv_engine::{Cursor as _, Engine as _, KeyRange, MemoryEngine, ReadView as _};
use nokv_placement::regions::{Report, ScanBounds};
use nokv_placement::state::{Command, RECORD_CF, State};
use nokv_proto::metapb::{Region, Store};
use nokv_raftstore::{RegionId, StoreId};

use crate::arguments::{Arguments, duration_ms};
use crate::{Output, World, show};

const MIB: u64 = 1 << 20;

impl World {
    pub fn run_on_state(&mut self, name: &str, arguments: &mut Arguments) -> Output {
        let command = match name {
            "time" => {
                self.now_ms += duration_ms(&arguments.word::<String>()?)?;
                return Ok(String::new());
            }
            "restart" => return self.restart(),
            "stores" => return Ok(self.state.stores().map(show::store).collect()),
            "regions" => return Ok(self.state.regions().iter().map(show::region).collect()),
            "region" | "prev" | "id" | "scan" | "drained" => return self.look(name, arguments),
            "found" => Command::Found { cluster_id: arguments.word()? },
            "bootstrap" => {
                let region = match arguments.number("region")? {
                    0 => None,
                    id => Some(self.region_of(id, arguments)?),
                };
                Command::Bootstrap { store: store_of(arguments)?, region }
            }
            "store" => {
                let directory = arguments.number("directory")?;
                Command::PutStore { store: store_of(arguments)?, directory }
            }
            "remove-store" => Command::RemoveStore(StoreId(arguments.word()?)),
            "keep-store" => Command::KeepStore(StoreId(arguments.word()?)),
            "bury-store" => Command::BuryStore(StoreId(arguments.word()?)),
            "ids" => Command::AllocateIds { count: arguments.word()? },
            "bound" => Command::RaiseTimestampBound { bound_ms: arguments.word()? },
            "report" => Command::Report(Box::new(self.report_of(arguments)?)),
            "replicas" => {
                let mut settings = self.state.settings().clone();
                settings.replicas = arguments.word()?;
                Command::PutSettings(settings)
            }
            "advance" => Command::AdvanceSafePoint { target: arguments.word()? },
            "hold" => Command::HoldSafePoint {
                holder: arguments.word()?,
                safe_point: arguments.number("at")?,
                ttl_s: arguments.number("ttl")?,
            },
            "snapshot" => Command::CreateSnapshot { name: arguments.word()?, timestamp: arguments.number("at")? },
            "drop" => Command::DropSnapshot { name: arguments.word()? },
            "value" => {
                let key = Bytes::from(arguments.word::<String>()?);
                Command::PutValue { key, value: Bytes::from(arguments.word::<String>()?) }
            }
            name => return Err(format!("unknown command {name}").into()),
        };
        self.decide(command)
    }

    fn look(&mut self, name: &str, arguments: &mut Arguments) -> Output {
        let map = self.state.regions();
        let found = match name {
            "region" => map.holding(arguments.word::<String>().unwrap_or_default().as_bytes()),
            "prev" => map.before(arguments.word::<String>().unwrap_or_default().as_bytes()),
            "id" => map.get(RegionId(arguments.word()?)),
            "drained" => {
                let progress = self.state.drain_progress(StoreId(arguments.word()?));
                let text = progress.map(|(left, from)| format!("{left} of {from} peers are left\n"));
                return Ok(text.unwrap_or_else(|| "not leaving\n".to_owned()));
            }
            _ => {
                let (start, end) = (arguments.text("from").into(), arguments.text("to").into());
                let bounds = ScanBounds { start, end, limit: arguments.number("limit")? };
                return Ok(map.scan(&bounds).into_iter().map(show::region).collect());
            }
        };
        Ok(found.map_or_else(|| "none\n".to_owned(), show::region))
    }

    /// A region's description, the parts that are not given being those that are known.
    pub fn region_of(&self, id: u64, arguments: &mut Arguments) -> Result<Region, Box<dyn std::error::Error>> {
        let known = self.state.regions().get(RegionId(id)).map(|info| Region::clone(&info.region));
        let mut region = known.clone().unwrap_or_default();
        region.id = id;
        if arguments.has("start") || known.is_none() {
            region.start_key = arguments.text("start").into();
        }
        if arguments.has("end") || known.is_none() {
            region.end_key = arguments.text("end").into();
        }
        if arguments.has("epoch") || known.is_none() {
            region.region_epoch = arguments.epoch()?;
        }
        if arguments.has("peers") || known.is_none() {
            region.peers = arguments.peers("peers")?;
        }
        Ok(region)
    }

    /// A leader's report; the first peer leads unless another is named, or `none`.
    pub fn report_of(&self, arguments: &mut Arguments) -> Result<Report, Box<dyn std::error::Error>> {
        let id = arguments.word()?;
        let region = self.region_of(id, arguments)?;
        let leader = match arguments.text("leader").as_str() {
            "" => region.peers.first().copied(),
            "none" => None,
            peer => {
                let peer = peer.parse()?;
                let member = region.peers.iter().find(|member| member.id == peer).copied();
                Some(member.unwrap_or(nokv_proto::metapb::Peer { id: peer, ..Default::default() }))
            }
        };
        let size: u64 = arguments.number("size")?;
        Ok(Report {
            region: region.into(),
            leader,
            term: arguments.number("term")?,
            size_bytes: size * MIB,
            ..Report::default()
        })
    }

    fn restart(&mut self) -> Output {
        let again = State::load(&self.engine.view())?;
        let written = MemoryEngine::new();
        written.write(&self.state.records(), false)?;
        assert_eq!(contents(&self.engine), contents(&written), "the records are those of the state");
        assert_eq!(again.records(), self.state.records(), "the state is that of the records");
        self.state = again;
        Ok(String::new())
    }
}

fn store_of(arguments: &mut Arguments) -> Result<Store, Box<dyn std::error::Error>> {
    Ok(Store {
        id: arguments.word()?,
        address: arguments.text("at").replace('.', ":"),
        labels: arguments.labels(),
        version: arguments.text("version"),
        ..Store::default()
    })
}

fn contents(engine: &MemoryEngine) -> Vec<(Vec<u8>, Vec<u8>)> {
    let view = engine.view();
    let mut cursor = view.cursor(RECORD_CF, KeyRange::ALL).unwrap();
    cursor.seek_to_first().unwrap();
    let mut all = Vec::new();
    while let (Some(key), Some(value)) = (cursor.key(), cursor.value()) {
        all.push((key.to_vec(), value.to_vec()));
        cursor.next().unwrap();
    }
    all
}
