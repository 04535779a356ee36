//! All stores of a cluster, asked about regions by `nokvpb.Admin`: what each says of a region, who leads it, and having
//! the leader change something. Stores that do not answer are part of the picture.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use nokv_proto::metapb;
use nokv_proto::nokvpb::admin_client::AdminClient;
use nokv_proto::nokvpb::{ChangeResponse, RaftRole, RegionOnStore, RegionsRequest};
use tokio::time::{Instant, sleep, timeout};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::connect::StoreArgs;
use super::exit::{Exit, Failure};
use crate::config::Topology;

/// The pause between two looks at a cluster that is busy with something.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest time that one store is given to answer one question.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// The longest time that a change is given: its log entry has to be applied.
const CHANGE_MAX: Duration = Duration::from_secs(20);

/// The stores of a cluster.
pub(super) struct ClusterAdmin {
    stores: BTreeMap<u64, Store>,
    answer_max: Duration,
}

struct Store {
    client: AdminClient<Channel>,
}

/// What one store says of a region.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub(super) store: u64,
    pub(super) said: RegionOnStore,
    pub(super) region: metapb::Region,
}

/// What all stores say of a region.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) sightings: Vec<Sighting>,
    /// Stores that did not answer, and why.
    pub(super) silent: BTreeMap<u64, String>,
}

/// How the leader took an order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Taken {
    /// It is done.
    Done,
    /// Nothing was done, for this reason. Later it may be.
    NotYet(String),
    /// Nothing was done, and will not be.
    Refused(String),
    /// It may be done or not; a look tells.
    Unknown(String),
}

impl Picture {
    /// What the leader says, if one is there.
    pub(super) fn leader(&self) -> Option<&Sighting> {
        let leads = |sighting: &&Sighting| sighting.said.role() == RaftRole::Leader;
        self.sightings.iter().filter(leads).max_by_key(|sighting| sighting.said.term)
    }

    /// What is known best: the newest epoch, and among those that show it, the leader's word. A leader that has just
    /// been elected may be a change behind.
    pub(super) fn best(&self) -> Option<&Sighting> {
        let leader = self.leader().map(|leader| leader.store);
        self.sightings.iter().max_by_key(|sighting| (epoch(sighting), Some(sighting.store) == leader))
    }

    /// The leader, if no store shows a newer region than it does.
    pub(super) fn leader_up_to_date(&self) -> Option<&Sighting> {
        let newest = self.sightings.iter().map(epoch).max();
        self.leader().filter(|leader| Some(epoch(leader)) >= newest)
    }
}

fn epoch(sighting: &Sighting) -> (u64, u64) {
    let epoch = sighting.region.region_epoch.unwrap_or_default();
    (epoch.version, epoch.conf_ver)
}

impl ClusterAdmin {
    /// The stores of a topology file. Nothing is dialled yet.
    pub(super) fn new(topology: &Topology, args: StoreArgs) -> Result<Self, Failure> {
        let answer_max = ANSWER_MAX.min(Duration::from_secs(args.timeout));
        let stores = topology.stores.iter().map(|store| {
            let address = store.advertised(args.scope);
            let endpoint = Endpoint::from_shared(format!("http://{address}"))
                .map_err(|error| Failure::error(format!("store {}: {address}: {error}", store.store_id)))?;
            let channel = endpoint.connect_timeout(answer_max).connect_lazy();
            Ok((store.store_id.0, Store { client: AdminClient::new(channel) }))
        });
        Ok(Self { stores: stores.collect::<Result<_, Failure>>()?, answer_max })
    }

    /// Their ids.
    pub(super) fn store_ids(&self) -> impl Iterator<Item = u64> {
        self.stores.keys().copied()
    }

    /// Asks every store about one region.
    pub(super) async fn look(&self, region_id: u64) -> Picture {
        let ask = RegionsRequest { region_id, ..Default::default() };
        let answers = join_all(self.stores.iter().map(|(id, store)| self.ask(*id, store, ask))).await;
        let mut picture = Picture::default();
        for (store, answer) in answers {
            match answer {
                Ok((regions, _)) => picture.sightings.extend(regions.into_iter().filter_map(|said| {
                    let region = said.region.clone()?;
                    Some(Sighting { store, said, region })
                })),
                Err(reason) => drop(picture.silent.insert(store, reason)),
            }
        }
        picture
    }

    /// Every region that some store has, as each store describes it. Stores that do not answer are left out.
    pub(super) async fn all_regions(&self) -> Vec<metapb::Region> {
        let answers = join_all(self.stores.iter().map(|(id, store)| self.all_of(*id, store))).await;
        answers.into_iter().flatten().collect()
    }

    async fn all_of(&self, id: u64, store: &Store) -> Vec<metapb::Region> {
        let mut found: Vec<metapb::Region> = Vec::new();
        loop {
            let after_region_id = found.last().map_or(0, |region| region.id);
            let request = RegionsRequest { region_id: 0, after_region_id };
            let (_, Ok((regions, more))) = self.ask(id, store, request).await else { return found };
            found.extend(regions.into_iter().filter_map(|said| said.region));
            if !more {
                return found;
            }
        }
    }

    async fn ask(
        &self,
        id: u64,
        store: &Store,
        request: RegionsRequest,
    ) -> (u64, Result<(Vec<RegionOnStore>, bool), String>) {
        let answer = timeout(self.answer_max, store.client.clone().regions(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                if answer.store_id == id {
                    Ok((answer.regions, answer.more))
                } else {
                    Err(format!("store {} answers at its address", answer.store_id))
                }
            }
            Ok(Err(status)) => Err(whole_story(&status)),
            Err(_) => Err(format!("no answer within {} s", self.answer_max.as_secs())),
        };
        (id, answer)
    }

    /// Has a store do something.
    pub(super) async fn order<F>(&self, store: u64, order: impl FnOnce(AdminClient<Channel>) -> F) -> Taken
    where
        F: Future<Output = Result<tonic::Response<ChangeResponse>, Status>>,
    {
        let Some(known) = self.stores.get(&store) else {
            return Taken::Refused(format!("store {store} is not in the topology file"));
        };
        match timeout(CHANGE_MAX, order(known.client.clone())).await {
            Ok(Ok(answer)) => taken(answer.into_inner()),
            Ok(Err(status)) if status.code() == tonic::Code::InvalidArgument => {
                Taken::Refused(status.message().to_owned())
            }
            Ok(Err(status)) => Taken::Unknown(format!("store {store}: {}", whole_story(&status))),
            Err(_) => Taken::Unknown(format!("store {store}: no answer within {} s", CHANGE_MAX.as_secs())),
        }
    }
}

/// What the answer to an order says.
fn taken(answer: ChangeResponse) -> Taken {
    if !answer.refused.is_empty() {
        // The texts of replication say so themselves when waiting helps.
        let later = answer.refused.contains("try again");
        return if later { Taken::NotYet(answer.refused) } else { Taken::Refused(answer.refused) };
    }
    match answer.region_error {
        None => Taken::Done,
        Some(error) if error.stale_command.is_some() => Taken::Unknown(error.message.clone()),
        Some(error) => Taken::NotYet(error.message.clone()),
    }
}

/// Waits a moment, or says at the deadline what it has been waiting for.
pub(super) async fn pause(deadline: Instant, waiting_for: &str, sent: bool) -> Result<(), Failure> {
    if Instant::now() + PAUSE < deadline {
        sleep(PAUSE).await;
        return Ok(());
    }
    let exit = if sent { Exit::Undetermined } else { Exit::Error };
    let advice = if sent {
        "part of it may have taken effect, or still will; look by `nokv region show`, and run the command again"
    } else {
        "nothing was changed; see `nokv regions` for who leads and which stores answer"
    };
    Err(Failure { text: format!("not done in time: {waiting_for}"), exit, advice: Some(advice.to_owned()) })
}

/// A status with its causes: the outermost text alone is often only "transport error".
fn whole_story(status: &Status) -> String {
    let causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    causes.last().map_or_else(|| status.message().to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(store: u64, role: RaftRole, term: u64, conf_ver: u64) -> Sighting {
        let epoch = metapb::RegionEpoch { version: 1, conf_ver };
        let region = metapb::Region { id: 7, region_epoch: Some(epoch), ..Default::default() };
        Sighting { store, said: RegionOnStore { role: role.into(), term, ..Default::default() }, region }
    }

    #[test]
    fn a_leader_that_has_not_applied_a_change_is_not_taken_at_its_word() {
        let picture = |leaders_conf_ver| Picture {
            sightings: vec![
                sighting(1, RaftRole::Follower, 8, 5),
                sighting(2, RaftRole::Leader, 9, leaders_conf_ver),
                sighting(3, RaftRole::Leader, 8, 5),
            ],
            silent: BTreeMap::new(),
        };
        let behind = picture(4);
        assert_eq!(behind.leader().map(|leader| leader.store), Some(2));
        assert!(behind.leader_up_to_date().is_none(), "whoever looks waits");
        assert_ne!(behind.best().map(|best| best.store), Some(2), "the change is done: it is shown");
        let level = picture(5);
        assert_eq!(level.leader_up_to_date().map(|leader| leader.store), Some(2));
        assert_eq!(level.best().map(|best| best.store), Some(2));
    }
}
