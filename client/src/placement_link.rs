//! Whoever leads placement: found by asking the nodes that are known, kept until it fails, and found anew then.
//! One address of a cluster is enough: its answer names the others, and the leader is asked for them again from time to
//! time: all that were known at first may be gone one day.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use nokv_proto::pdpb::pd_client::PdClient;
use nokv_proto::pdpb::{GetMembersRequest, GetMembersResponse, Member, RequestHeader};
use parking_lot::Mutex;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::grpc::innermost;

/// How long one node is waited for that is asked who leads.
const QUESTION_MAX: Duration = Duration::from_secs(1);
/// How long one request to the leader may take.
const REQUEST_MAX: Duration = Duration::from_secs(2);
/// How often a request is tried, each time with whoever leads then, and the pause before the next try.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(100);
/// How often the leader is asked who the members are.
const REFRESH: Duration = Duration::from_secs(5);

/// Finds placement's leader. Cheap to clone; clones share what they found.
#[derive(Clone, Debug)]
pub struct PlacementLink {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// HOST:PORT of nodes that may know, as they were given.
    given: BTreeSet<String>,
    /// The members, as the leader named them last.
    members: BTreeSet<String>,
    /// Other nodes of the cluster, as they were told last.
    stores: BTreeSet<String>,
    /// 0 until a node has told it; a node of another cluster is not believed from then on.
    cluster_id: u64,
    leader: Option<PlacementLeader>,
    /// The answer that named the members.
    told: Option<GetMembersResponse>,
    /// A task asks for them from time to time.
    is_kept_new: bool,
}

impl Known {
    fn addresses(&self) -> BTreeSet<String> {
        self.given.iter().chain(&self.members).chain(&self.stores).cloned().collect()
    }

    fn take_in(&mut self, members: GetMembersResponse) {
        self.members = members.members.iter().filter_map(address_of).collect();
        self.told = Some(members);
    }
}

/// Who leads placement, as far as is known, and a connection to it.
#[derive(Clone, Debug)]
pub struct PlacementLeader {
    /// HOST:PORT.
    pub address: Arc<str>,
    /// The cluster.
    pub cluster_id: u64,
    channel: Channel,
}

impl PlacementLeader {
    /// Speaks to it.
    pub fn client(&self) -> PdClient<Channel> {
        PdClient::new(self.channel.clone())
    }

    /// The connection.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// What requests begin with.
    pub fn header(&self) -> RequestHeader {
        RequestHeader { cluster_id: self.cluster_id, ..RequestHeader::default() }
    }
}

impl PlacementLink {
    /// Knows these addresses (HOST:PORT) to begin with, of which one will do. Nothing is dialled yet.
    pub fn new(addresses: impl IntoIterator<Item = String>) -> Self {
        let known = Known { given: addresses.into_iter().collect(), ..Known::default() };
        Self { known: Arc::new(Mutex::new(known)) }
    }

    /// The leader as it was found last, or as the nodes say now.
    ///
    /// # Errors
    /// No node that answers knows one: ask again.
    pub async fn leader(&self) -> Result<PlacementLeader, Status> {
        if let Some(leader) = self.known.lock().leader.clone() {
            return Ok(leader);
        }
        let (addresses, cluster_id) = {
            let known = self.known.lock();
            (known.addresses(), known.cluster_id)
        };
        let members = ask_all(&addresses, cluster_id).await?;
        let (url, cluster_id) = leader_url(&members).ok_or_else(|| Status::unavailable("placement has no leader"))?;
        let leader = PlacementLeader { address: url.as_str().into(), cluster_id, channel: channel(&url)? };
        let mut known = self.known.lock();
        known.cluster_id = cluster_id;
        known.take_in(members);
        known.leader = Some(leader.clone());
        if !std::mem::replace(&mut known.is_kept_new, true) {
            tokio::spawn(keep_new(Arc::downgrade(&self.known)));
        }
        Ok(leader)
    }

    /// What was said of the members last, as long as somebody is believed to lead.
    pub fn told(&self) -> Option<GetMembersResponse> {
        let known = self.known.lock();
        known.leader.as_ref().and(known.told.clone())
    }

    /// Notes other nodes of the cluster, instead of those that were noted before: they may know who leads once all
    /// others that are known are gone.
    pub fn learn(&self, addresses: impl IntoIterator<Item = String>) {
        self.known.lock().stores = addresses.into_iter().collect();
    }

    /// HOST:PORT of the nodes that are asked who leads: those that were given, and those that were told.
    pub fn addresses(&self) -> BTreeSet<String> {
        self.known.lock().addresses()
    }

    /// Forgets a leader that failed, so that it is looked for anew.
    pub fn lost(&self, leader: &PlacementLeader) {
        let mut known = self.known.lock();
        if known.leader.as_ref().is_some_and(|kept| kept.address == leader.address) {
            known.leader = None;
        }
    }

    /// Has the leader do something. If it is not the leader any more, or does not answer, another one is looked for: so
    /// `call` may happen more than once.
    ///
    /// # Errors
    /// The leader's, or that there is none.
    pub async fn ask<T, F>(&self, call: impl Fn(PlacementLeader) -> F) -> Result<T, Status>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut tries = 1;
        loop {
            let failed = match self.leader().await {
                Ok(leader) => match timeout(REQUEST_MAX, call(leader.clone())).await {
                    Ok(Ok(answer)) => return Ok(answer.into_inner()),
                    Ok(Err(status)) if !may_have_moved(&status) => return Err(status),
                    Ok(Err(status)) => {
                        self.lost(&leader);
                        status
                    }
                    Err(_) => {
                        self.lost(&leader);
                        Status::deadline_exceeded(format!("{}: no answer in time", leader.address))
                    }
                },
                Err(status) => status,
            };
            if tries >= TRIES {
                return Err(failed);
            }
            tries += 1;
            sleep(PAUSE).await;
        }
    }
}

/// Asks the leader who the members are, as long as somebody uses what it says.
async fn keep_new(known: Weak<Mutex<Known>>) {
    loop {
        sleep(REFRESH).await;
        let Some(leader) = known.upgrade().map(|known| known.lock().leader.clone()) else { return };
        let Some(leader) = leader else { continue };
        let Ok(Ok(answer)) = timeout(QUESTION_MAX, leader.client().get_members(GetMembersRequest::default())).await
        else {
            // If it is no leader any more, whoever needs one finds out.
            continue;
        };
        let answer = answer.into_inner();
        let Some((address, cluster_id)) = leader_url(&answer) else { continue };
        let Some(known) = known.upgrade() else { return };
        let mut known = known.lock();
        if cluster_id != known.cluster_id {
            continue;
        }
        known.take_in(answer);
        if known.leader.as_ref().is_some_and(|kept| *kept.address != *address) {
            known.leader = None;
        }
    }
}

/// Whether another node may do what this one does not.
pub(crate) fn may_have_moved(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled)
}

/// Asks every address who the members are. Whoever says that it leads itself is believed at once, another only if
/// nobody says so: it may not have heard yet of an election.
async fn ask_all(addresses: &BTreeSet<String>, cluster_id: u64) -> Result<GetMembersResponse, Status> {
    let mut answers: FuturesUnordered<_> = addresses.iter().map(|address| ask_one(address)).collect();
    let mut failed = Status::unavailable("no node of the cluster is known");
    let mut hearsay = None;
    while let Some((address, answer)) = answers.next().await {
        match answer {
            Ok(members) => match leader_url(&members) {
                Some((_, other)) if cluster_id != 0 && other != cluster_id => {
                    failed = Status::failed_precondition(format!(
                        "{address} is a node of cluster {other}, not of cluster {cluster_id}"
                    ));
                }
                Some((leader, _)) if leader == *address => return Ok(members),
                Some(_) => hearsay = Some(members),
                None => failed = Status::unavailable(format!("{address}: placement has no leader at the moment")),
            },
            Err(status) => failed = Status::new(status.code(), format!("{address}: {}", innermost(&status))),
        }
    }
    hearsay.ok_or(failed)
}

async fn ask_one(address: &str) -> (&str, Result<GetMembersResponse, Status>) {
    let asking = async {
        let mut client = PdClient::new(channel(address)?);
        Ok(client.get_members(GetMembersRequest::default()).await?.into_inner())
    };
    let late = |_| Err(Status::deadline_exceeded("no answer in time"));
    (address, timeout(QUESTION_MAX, asking).await.unwrap_or_else(late))
}

fn leader_url(members: &GetMembersResponse) -> Option<(String, u64)> {
    let cluster_id = members.header.as_ref().map_or(0, |header| header.cluster_id);
    let address = members.leader.as_ref().and_then(address_of)?;
    (cluster_id != 0).then_some((address, cluster_id))
}

fn address_of(member: &Member) -> Option<String> {
    member.client_urls.first().map(|url| url.trim_start_matches("http://").to_owned())
}

fn channel(address: &str) -> Result<Channel, Status> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Status::invalid_argument(format!("{address}: {error}")))?;
    Ok(endpoint
        .connect_timeout(QUESTION_MAX)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(REQUEST_MAX)
        .keep_alive_timeout(QUESTION_MAX)
        .connect_lazy())
}
