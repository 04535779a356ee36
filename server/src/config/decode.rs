//! From the text of a topology file to its structs: types, missing and unknown fields, the form of each value.
//!
//! What one field means for another is `check.rs`'s part. A field that cannot be read is reported here and stands as
//! its default (0, empty), which the checks pass over, so that one mistake is not reported as five.

use std::collections::BTreeSet;

use nokv_transport::{PeerId, RegionId, StoreId};

use super::finding::Finding;
use super::json_fields::{Fields, Place, Source};
use super::topology::{EpochConfig, PeerConfig, RegionConfig, StoreConfig, Topology, TsoConfig};
use crate::key_text::KeyText;

/// How often a client tries again where the file does not say.
const MAX_RETRIES_DEFAULT: u32 = 5;

/// What could be read, and what could not.
pub(super) struct Decoded {
    /// None if the text as a whole is no JSON object.
    pub(super) topology: Option<Topology>,
    pub(super) findings: Vec<Finding>,
    pub(super) unread: Unread,
}

/// What the checks must not conclude from, because it was there but could not be read.
#[derive(Debug, Default)]
pub(super) struct Unread {
    /// Positions in `regions` whose bounds could not be read.
    pub(super) bounds: BTreeSet<usize>,
    /// `stores` or one of its ids could not be read: that a store is not known means nothing then.
    pub(super) stores: bool,
    /// `regions` could not be read.
    pub(super) regions: bool,
    /// Positions in `regions` some of whose peers could not be read.
    pub(super) peers: BTreeSet<usize>,
}

pub(super) fn decode(text: &str) -> Decoded {
    let mut reader = Reader { source: Source::new(text), unread: Unread::default() };
    let topology = reader.topology();
    Decoded { topology, findings: reader.source.findings, unread: reader.unread }
}

struct Reader<'a> {
    source: Source<'a>,
    unread: Unread,
}

impl<'a> Reader<'a> {
    fn topology(&mut self) -> Option<Topology> {
        let whole = self.source.whole()?;
        let mut fields = self.source.object(&whole)?;
        let max_retries = self.optional_number(&mut fields, "max_retries", u64::from(u32::MAX));
        let tso = fields.optional("tso").and_then(|place| self.tso(&place));
        let stores = match fields.required("stores", &mut self.source) {
            Some(place) => self.stores(&place),
            None => {
                self.unread.stores = true;
                Vec::new()
            }
        };
        let regions = match fields.required("regions", &mut self.source) {
            Some(place) => self.regions(&place),
            None => {
                self.unread.regions = true;
                Vec::new()
            }
        };
        fields.finish(&mut self.source);
        let max_retries = max_retries.and_then(|n| u32::try_from(n).ok()).unwrap_or(MAX_RETRIES_DEFAULT);
        Some(Topology { max_retries, tso, stores, regions })
    }

    fn tso(&mut self, place: &Place<'a>) -> Option<TsoConfig> {
        let mut fields = self.source.object(place)?;
        let listen_addr = fields
            .required("listen_addr", &mut self.source)
            .and_then(|place| self.address(&place, PortZero::Allowed))
            .unwrap_or_default();
        let advertise_url = match fields.optional("advertise_url") {
            Some(place) => self.url(&place).unwrap_or_default(),
            None => format!("http://{listen_addr}"),
        };
        fields.finish(&mut self.source);
        Some(TsoConfig { listen_addr, advertise_url, line: self.source.line(place) })
    }

    fn stores(&mut self, place: &Place<'a>) -> Vec<StoreConfig> {
        let found_before = self.source.findings.len();
        let places = self.source.array(place);
        self.unread.stores |= self.source.findings.len() > found_before;
        places.iter().filter_map(|place| self.store(place)).collect()
    }

    fn store(&mut self, place: &Place<'a>) -> Option<StoreConfig> {
        let Some(mut fields) = self.source.object(place) else {
            self.unread.stores = true;
            return None;
        };
        let store_id = StoreId(self.required_id(&mut fields, "store_id"));
        self.unread.stores |= store_id.0 == 0;
        let addr = fields
            .required("addr", &mut self.source)
            .and_then(|place| self.address(&place, PortZero::Refused))
            .unwrap_or_default();
        let listen_addr = self.optional_address(&mut fields, "listen_addr").unwrap_or_else(|| addr.clone());
        let docker_addr = self.optional_address(&mut fields, "docker_addr");
        let docker_listen_addr = self.optional_address(&mut fields, "docker_listen_addr");
        fields.finish(&mut self.source);
        let line = self.source.line(place);
        Some(StoreConfig { store_id, addr, listen_addr, docker_addr, docker_listen_addr, line })
    }

    fn regions(&mut self, place: &Place<'a>) -> Vec<RegionConfig> {
        let found_before = self.source.findings.len();
        let places = self.source.array(place);
        self.unread.regions |= self.source.findings.len() > found_before;
        // A region that is no object keeps its place, so that positions in the file and in the list stay the same.
        places.iter().enumerate().map(|(at, place)| self.region(at, place).unwrap_or_default()).collect()
    }

    fn region(&mut self, at: usize, place: &Place<'a>) -> Option<RegionConfig> {
        let Some(mut fields) = self.source.object(place) else {
            self.unread.bounds.insert(at);
            self.unread.peers.insert(at);
            return None;
        };
        let id = RegionId(self.required_id(&mut fields, "id"));
        let start_key = self.bound(&mut fields, "start_key", at);
        let end_key = self.bound(&mut fields, "end_key", at);
        let epoch = fields.optional("epoch").map(|place| self.epoch(&place)).unwrap_or_default();
        let found_before = self.source.findings.len();
        let peers = match fields.required("peers", &mut self.source) {
            Some(place) => self.source.array(&place).iter().filter_map(|place| self.peer(place)).collect(),
            None => Vec::new(),
        };
        if self.source.findings.len() > found_before {
            self.unread.peers.insert(at);
        }
        // 0 says the same as nothing: no store is preferred.
        let leader = fields.optional("leader_store_id").and_then(|place| self.source.number(&place, 0, u64::MAX));
        let leader_store_id = leader.filter(|id| *id != 0).map(StoreId);
        fields.finish(&mut self.source);
        let line = self.source.line(place);
        Some(RegionConfig { id, start_key, end_key, epoch, peers, leader_store_id, line })
    }

    fn epoch(&mut self, place: &Place<'a>) -> EpochConfig {
        let default = EpochConfig::default();
        let Some(mut fields) = self.source.object(place) else { return default };
        let version = self.optional_number(&mut fields, "version", u64::MAX).unwrap_or(default.version);
        let conf_version = self.optional_number(&mut fields, "conf_version", u64::MAX).unwrap_or(default.conf_version);
        fields.finish(&mut self.source);
        EpochConfig { version, conf_version }
    }

    fn peer(&mut self, place: &Place<'a>) -> Option<PeerConfig> {
        let mut fields = self.source.object(place)?;
        let store_id = StoreId(self.required_id(&mut fields, "store_id"));
        let peer_id = PeerId(self.required_id(&mut fields, "peer_id"));
        fields.finish(&mut self.source);
        Some(PeerConfig { store_id, peer_id, line: self.source.line(place) })
    }

    fn required_id(&mut self, fields: &mut Fields<'a>, name: &'static str) -> u64 {
        let place = fields.required(name, &mut self.source);
        place.and_then(|place| self.source.number(&place, 1, u64::MAX)).unwrap_or_default()
    }

    fn optional_number(&mut self, fields: &mut Fields<'a>, name: &'static str, max: u64) -> Option<u64> {
        fields.optional(name).and_then(|place| self.source.number(&place, 1, max))
    }

    fn optional_address(&mut self, fields: &mut Fields<'a>, name: &'static str) -> Option<String> {
        fields.optional(name).and_then(|place| self.address(&place, PortZero::Refused))
    }

    fn bound(&mut self, fields: &mut Fields<'a>, name: &'static str, at: usize) -> KeyText {
        let Some(place) = fields.optional(name) else { return KeyText::default() };
        let Some(text) = self.source.string(&place) else {
            self.unread.bounds.insert(at);
            return KeyText::default();
        };
        text.parse().unwrap_or_else(|error| {
            self.source.report(&place, error);
            self.unread.bounds.insert(at);
            KeyText::default()
        })
    }

    fn address(&mut self, place: &Place<'a>, zero: PortZero) -> Option<String> {
        let text = self.source.string(place)?;
        match check_address(&text, zero) {
            Ok(()) => Some(text),
            Err(problem) => {
                self.source.report(place, problem);
                None
            }
        }
    }

    fn url(&mut self, place: &Place<'a>) -> Option<String> {
        let text = self.source.string(place)?;
        let host = text.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        match host {
            Some(host) if check_address(host, PortZero::Refused).is_ok() => Some(format!("http://{host}")),
            _ => {
                self.source.report(place, format_args!("{text:?} is no URL of the form http://HOST:PORT"));
                None
            }
        }
    }
}

/// Port 0 asks the system for a free port: fine to listen on, useless for others to connect to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PortZero {
    Allowed,
    Refused,
}

/// The form of HOST:PORT; whether the host resolves is not asked here.
fn check_address(text: &str, zero: PortZero) -> Result<(), String> {
    let parts = text.rsplit_once(':');
    let port = parts.and_then(|(_, port)| port.parse::<u16>().ok());
    let host_fits = parts.is_some_and(|(host, _)| {
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
        }
    });
    match port {
        Some(0) if zero == PortZero::Refused => Err(format!("{text:?} has port 0, to which nobody can connect")),
        Some(_) if host_fits => Ok(()),
        _ => Err(format!("{text:?} is no address of the form HOST:PORT")),
    }
}
