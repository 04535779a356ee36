//! What one field of a topology file means for another: unique ids, known stores, regions that tile the keyspace.
//!
//! Every rule runs over the whole file and adds to one list. Ids of 0 and empty addresses stand for what could not be
//! read and has been reported already; the rules pass over them.

use std::collections::BTreeMap;

use super::decode::Unread;
use super::finding::Finding;
use super::tiling;
use super::topology::{RegionConfig, Topology};

/// All findings of a topology that has been read.
pub(super) fn check(topology: &Topology, unread: &Unread) -> Vec<Finding> {
    let mut checker = Checker { topology, unread, findings: Vec::new() };
    checker.store_ids();
    checker.addresses();
    checker.region_ids();
    checker.peer_ids();
    for (at, region) in topology.regions.iter().enumerate() {
        checker.peers(at, region);
    }
    let Checker { mut findings, .. } = checker;
    findings.extend(tiling::check(topology, unread));
    findings
}

struct Checker<'a> {
    topology: &'a Topology,
    unread: &'a Unread,
    findings: Vec<Finding>,
}

impl Checker<'_> {
    fn report(&mut self, line: usize, field: String, problem: String) {
        self.findings.push(Finding { line, field, problem });
    }

    fn store_ids(&mut self) {
        if self.topology.stores.is_empty() && !self.unread.stores {
            self.report(1, "stores".into(), "there is no store".into());
        }
        let mut first_lines = BTreeMap::new();
        for (at, store) in self.topology.stores.iter().enumerate().filter(|(_, store)| store.store_id.0 != 0) {
            if let Some(first) = first_lines.get(&store.store_id) {
                let problem = format!("store id {} is taken by the store on line {first}", store.store_id);
                self.report(store.line, format!("stores[{at}].store_id"), problem);
            } else {
                first_lines.insert(store.store_id, store.line);
            }
        }
    }

    /// What is bound must be unique only where it names one host: 0.0.0.0 on two machines is no conflict.
    fn addresses(&mut self) {
        let topology = self.topology;
        let mut host: Vec<(usize, String, &str)> = Vec::new();
        let mut docker = Vec::new();
        for (at, store) in topology.stores.iter().enumerate() {
            host.push((store.line, format!("stores[{at}].addr"), &store.addr));
            if store.listen_addr != store.addr && names_a_host(&store.listen_addr) {
                host.push((store.line, format!("stores[{at}].listen_addr"), &store.listen_addr));
            }
            if let Some(addr) = &store.docker_addr {
                docker.push((store.line, format!("stores[{at}].docker_addr"), addr.as_str()));
            }
        }
        if let Some(tso) = topology.tso.as_ref().filter(|tso| names_a_host(&tso.listen_addr)) {
            host.push((tso.line, "tso.listen_addr".into(), &tso.listen_addr));
        }
        self.each_once(host);
        self.each_once(docker);
    }

    fn each_once(&mut self, addresses: Vec<(usize, String, &str)>) {
        let mut first: BTreeMap<&str, String> = BTreeMap::new();
        for (line, field, address) in addresses.into_iter().filter(|(_, _, address)| !address.is_empty()) {
            match first.get(address) {
                Some(earlier) => self.report(line, field, format!("{address} is also {earlier}")),
                None => {
                    first.insert(address, field);
                }
            }
        }
    }

    fn region_ids(&mut self) {
        let mut first_lines = BTreeMap::new();
        for (at, region) in self.topology.regions.iter().enumerate().filter(|(_, region)| region.id.0 != 0) {
            if let Some(first) = first_lines.get(&region.id) {
                let problem = format!("region id {} is taken by the region on line {first}", region.id);
                self.report(region.line, format!("regions[{at}].id"), problem);
            } else {
                first_lines.insert(region.id, region.line);
            }
        }
    }

    fn peer_ids(&mut self) {
        let mut first_lines = BTreeMap::new();
        for (at, region) in self.topology.regions.iter().enumerate() {
            for (n, peer) in region.peers.iter().enumerate().filter(|(_, peer)| peer.peer_id.0 != 0) {
                if let Some(first) = first_lines.get(&peer.peer_id) {
                    let problem = format!(
                        "peer id {} is taken by the peer on line {first}; peer ids are unique in the whole cluster",
                        peer.peer_id
                    );
                    self.report(peer.line, format!("regions[{at}].peers[{n}].peer_id"), problem);
                } else {
                    first_lines.insert(peer.peer_id, peer.line);
                }
            }
        }
    }

    fn peers(&mut self, at: usize, region: &RegionConfig) {
        if region.peers.is_empty() && !self.unread.peers.contains(&at) {
            self.report(region.line, format!("regions[{at}].peers"), "the region has no peer".into());
        }
        for (n, peer) in region.peers.iter().enumerate().filter(|(_, peer)| peer.store_id.0 != 0) {
            let field = format!("regions[{at}].peers[{n}].store_id");
            if !self.unread.stores && self.topology.store(peer.store_id).is_none() {
                self.report(peer.line, field, format!("there is no store {}", peer.store_id));
            } else if region.peers.iter().take(n).any(|earlier| earlier.store_id == peer.store_id) {
                self.report(peer.line, field, format!("the region has another peer on store {}", peer.store_id));
            }
        }
        let Some(leader) = region.leader_store_id else { return };
        if region.peer_on(leader).is_none() && !self.unread.peers.contains(&at) {
            let problem = format!("store {leader} holds no peer of this region, so it cannot lead it");
            self.report(region.line, format!("regions[{at}].leader_store_id"), problem);
        }
    }
}

fn names_a_host(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    !matches!(host, "0.0.0.0" | "[::]") && !address.ends_with(":0")
}
