//! What a topology file says: stores, regions with their peers, and where timestamps come from.
//!
//! A [`Topology`] that exists has passed every check of `check.rs`: ids are unique, references hold, and the regions
//! tile the whole keyspace.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use nokv_transport::{PeerId, RegionId, StoreId};

use super::finding::ConfigError;
use crate::key_text::KeyText;

/// A topology file is a page or two; a larger file is some other file.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The cluster as its file describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// How often a client tries one request again before it gives up; at least 1.
    pub max_retries: u32,
    /// The timestamp server, if the file names one.
    pub tso: Option<TsoConfig>,
    /// The stores, in the file's order; never empty.
    pub stores: Vec<StoreConfig>,
    /// The regions, in the file's order; together they hold the whole keyspace, each key once.
    pub regions: Vec<RegionConfig>,
}

/// The timestamp server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TsoConfig {
    /// HOST:PORT that `nokv tso` binds.
    pub listen_addr: String,
    /// The URL at which clients reach it; `http://` and the listen address where the file does not say.
    pub advertise_url: String,
    pub(super) line: usize,
}

/// One store: one data directory, served by one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreConfig {
    /// Never 0, unique.
    pub store_id: StoreId,
    /// HOST:PORT at which others reach the store.
    pub addr: String,
    /// HOST:PORT that the node binds; `addr` where the file does not say.
    pub listen_addr: String,
    /// HOST:PORT at which containers reach each other, if given.
    pub docker_addr: Option<String>,
    /// HOST:PORT that the node binds in a container; `docker_addr` where the file does not say.
    pub docker_listen_addr: Option<String>,
    pub(super) line: usize,
}

/// One region as it is first laid out; once it lives, the stores know better than the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegionConfig {
    /// Never 0, unique.
    pub id: RegionId,
    /// First user key of the region, inclusive.
    pub start_key: KeyText,
    /// First user key behind the region.
    pub end_key: KeyText,
    /// The epoch with which the region begins.
    pub epoch: EpochConfig,
    /// The replicas, each on another store; never empty.
    pub peers: Vec<PeerConfig>,
    /// The store that should lead first, if the file prefers one.
    pub leader_store_id: Option<StoreId>,
    pub(super) line: usize,
}

/// A region's epoch: both parts grow and never fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochConfig {
    /// Grows with every split and merge; at least 1.
    pub version: u64,
    /// Grows with every change of the peers; at least 1.
    pub conf_version: u64,
}

/// One replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerConfig {
    /// The store that holds it.
    pub store_id: StoreId,
    /// Unique in the whole file, never used twice.
    pub peer_id: PeerId,
    pub(super) line: usize,
}

/// Which pair of a store's addresses is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum AddressScope {
    /// `addr` and `listen_addr`: processes of this machine or network.
    #[default]
    Host,
    /// `docker_addr` and `docker_listen_addr`, falling back on the host's: processes in containers.
    Docker,
}

impl Default for EpochConfig {
    fn default() -> Self {
        EpochConfig { version: 1, conf_version: 1 }
    }
}

impl Topology {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ConfigError`], which lists every mistake at once; the file is the user's to correct.
    pub fn load(path: &Path) -> Result<Topology, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_path_buf(), source };
        let mut bytes = Vec::new();
        File::open(path).map_err(unreadable)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(ConfigError::TooLarge { path: path.to_path_buf(), bytes_max: FILE_BYTES_MAX });
        }
        let text = String::from_utf8(bytes)
            .map_err(|e| unreadable(std::io::Error::new(std::io::ErrorKind::InvalidData, e.utf8_error())))?;
        Topology::parse(&path.display().to_string(), &text)
    }

    /// Reads and checks the text of a file; `file` is its name in what is reported.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with every mistake, in the order of the lines.
    pub fn parse(file: &str, text: &str) -> Result<Topology, ConfigError> {
        let decoded = super::decode::decode(text);
        let mut findings = decoded.findings;
        if let Some(topology) = &decoded.topology {
            findings.extend(super::check::check(topology, &decoded.unread));
        }
        findings.sort_by_key(|finding| finding.line);
        match decoded.topology {
            Some(topology) if findings.is_empty() => Ok(topology),
            _ => Err(ConfigError::Invalid { file: file.to_string(), findings }),
        }
    }

    /// The store with this id, if the file has it.
    pub fn store(&self, id: StoreId) -> Option<&StoreConfig> {
        self.stores.iter().find(|store| store.store_id == id)
    }

    /// The regions of which this store holds a peer, in the file's order.
    pub fn regions_on(&self, id: StoreId) -> impl Iterator<Item = (&RegionConfig, PeerConfig)> {
        self.regions.iter().filter_map(move |region| region.peer_on(id).map(|peer| (region, peer)))
    }
}

impl StoreConfig {
    /// HOST:PORT at which others reach the store.
    pub fn advertised(&self, scope: AddressScope) -> &str {
        match (scope, &self.docker_addr) {
            (AddressScope::Docker, Some(addr)) => addr,
            _ => &self.addr,
        }
    }

    /// HOST:PORT that the node binds.
    pub fn listen(&self, scope: AddressScope) -> &str {
        match (scope, &self.docker_listen_addr) {
            (AddressScope::Docker, Some(addr)) => addr,
            (AddressScope::Docker, None) if self.docker_addr.is_some() => self.advertised(scope),
            _ => &self.listen_addr,
        }
    }
}

impl RegionConfig {
    /// This region's peer on a store, if it has one there.
    pub fn peer_on(&self, id: StoreId) -> Option<PeerConfig> {
        self.peers.iter().copied().find(|peer| peer.store_id == id)
    }
}
