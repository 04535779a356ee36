//! `nokv region show|split|transfer-leader`, and what all commands on a region share. Those that change members have a
//! file of their own.
//!
//! Every change is a loop around a look at all stores: is it done? who leads? have the leader do the next step. So an
//! election, a lost answer or another operator's change costs a turn of the loop, and a command that is run twice does
//! nothing the second time.

use std::time::Duration;

use nokv_percolator::Key;
use nokv_proto::metapb::{self, PeerRole};
use nokv_proto::nokvpb::{NewRegion, SplitRequest, TransferLeaderRequest};
use tokio::time::Instant;

use super::cluster_admin::{ClusterAdmin, Picture, Sighting, Taken, pause};
use super::connect::block_on;
use super::exit::{Answer, Failure};
use super::region_args::{ClusterArgs, RegionArgs, ShowArgs, SplitArgs, TransferLeaderArgs, What};
use super::region_members::{add_peer, remove_peer};
use super::region_merge::merge;
use super::region_refill::refill;
use super::region_show::{self, bound};
use super::regions_command;
use crate::key_text::KeyText;

/// A transfer that was begun may come to nothing; it is begun again after this many looks.
const LOOKS_PER_TRANSFER: usize = 20;

pub(super) fn run(args: &RegionArgs) -> Result<Answer, Failure> {
    match &args.what {
        What::List(args) => regions_command::run(args),
        What::Show(args) => block_on(show(args))?,
        What::Split(args) => block_on(split(args))?,
        What::Merge(args) => block_on(merge(args))?,
        What::AddPeer(args) => block_on(add_peer(args))?,
        What::RemovePeer(args) => block_on(remove_peer(args))?,
        What::TransferLeader(args) => block_on(transfer_leader(args))?,
        What::Refill(args) => block_on(refill(args))?,
    }
}

impl ClusterArgs {
    pub(super) async fn admin(&self) -> Result<ClusterAdmin, Failure> {
        ClusterAdmin::new(&self.find.load().await?, self.stores)
    }

    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_secs(self.stores.timeout)
    }

    /// The region after a command, in the form asked for: by the look that found it done, since another may meet a
    /// leader that has not applied it yet.
    pub(super) fn answer(&self, region: u64, picture: &Picture, said: &str) -> Answer {
        if self.output.json {
            return Answer::json(&region_show::json(region, picture));
        }
        Answer::ok(format!("{said}\n{}", region_show::text(region, picture)))
    }
}

async fn show(args: &ShowArgs) -> Result<Answer, Failure> {
    let admin = args.cluster.admin().await?;
    let picture = admin.look(args.region).await;
    if picture.sightings.is_empty() {
        return Err(unknown(args.region, &picture));
    }
    if args.cluster.output.json {
        return Ok(Answer::json(&region_show::json(args.region, &picture)));
    }
    Ok(Answer::ok(region_show::text(args.region, &picture)))
}

async fn split(args: &SplitArgs) -> Result<Answer, Failure> {
    let (admin, deadline) = (args.cluster.admin().await?, args.cluster.deadline());
    let mut keys = args.keys.clone();
    keys.sort();
    keys.dedup();
    if keys.iter().any(KeyText::is_unbounded) {
        return Err(Failure::usage("a region is cut at a key; - is no key (write hex:2d for the key \"-\")"));
    }
    let mut sent = false;
    let done = loop {
        let picture = admin.look(args.region).await;
        let leader = match leader_of(args.region, &picture)? {
            Ok(leader) => leader,
            Err(why) => {
                pause(deadline, &why, sent).await?;
                continue;
            }
        };
        let (inside, outside): (Vec<_>, Vec<_>) = keys.iter().partition(|key| is_inside(&leader.region, key));
        if !sent && let Some(key) = outside.first() {
            return Err(not_inside(&leader.region, key));
        }
        if inside.is_empty() {
            break picture;
        }
        let regions = new_regions(&leader.region, &inside, &args.ids)?;
        let request = SplitRequest { region_id: args.region, region_epoch: leader.region.region_epoch, regions };
        let taken = admin.order(leader.store, |mut client| async move { client.split(request).await }).await;
        match taken {
            Taken::Done => sent = true,
            Taken::Refused(why) => return Err(refused(&why)),
            Taken::NotYet(why) => pause(deadline, &why, sent).await?,
            Taken::Unknown(why) => {
                sent = true;
                pause(deadline, &why, sent).await?;
            }
        }
    };
    let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
    let said = format!("region {} is cut at {}", args.region, names.join(", "));
    Ok(args.cluster.answer(args.region, &done, &said))
}

/// With the ids that were given, if any, shared out in order.
fn new_regions(region: &metapb::Region, keys: &[&KeyText], ids: &[u64]) -> Result<Vec<NewRegion>, Failure> {
    let each = 1 + region.peers.len();
    if !ids.is_empty() && ids.len() != each * keys.len() {
        let text = format!(
            "--ids has {} ids; region {} has {} peers, so each of the {} keys takes {each}",
            ids.len(),
            region.id,
            region.peers.len(),
            keys.len()
        );
        return Err(Failure::usage(text));
    }
    let mut ids = ids.chunks(each);
    let named = keys.iter().map(|key| {
        let (region_id, peer_ids) = match ids.next().and_then(<[u64]>::split_first) {
            Some((region_id, peer_ids)) => (*region_id, peer_ids.to_vec()),
            None => (0, Vec::new()),
        };
        NewRegion { start_key: Key::encode(key.as_bytes()).into_encoded(), region_id, peer_ids }
    });
    Ok(named.collect())
}

fn is_inside(region: &metapb::Region, key: &KeyText) -> bool {
    let key = Key::encode(key.as_bytes()).into_encoded();
    key > region.start_key && (region.end_key.is_empty() || key < region.end_key)
}

fn not_inside(region: &metapb::Region, key: &KeyText) -> Failure {
    let encoded = Key::encode(key.as_bytes()).into_encoded();
    let (id, start, end) = (region.id, bound(&region.start_key), bound(&region.end_key));
    let failure = if encoded == region.start_key {
        Failure::error(format!("region {id} begins at {key} already"))
    } else {
        Failure::error(format!("{key} is not in region {id}, which holds {start} up to {end}"))
    };
    Failure { advice: Some("nothing was changed; `nokv regions` shows who holds what".to_owned()), ..failure }
}

async fn transfer_leader(args: &TransferLeaderArgs) -> Result<Answer, Failure> {
    let (admin, deadline) = (args.cluster.admin().await?, args.cluster.deadline());
    let done = transfer(&admin, args.region, args.store, deadline).await?;
    let said = format!("store {} leads region {}", args.store, args.region);
    Ok(args.cluster.answer(args.region, &done, &said))
}

/// Hands a region over until the store leads it. Returns the look that found it so.
pub(super) async fn transfer(
    admin: &ClusterAdmin,
    region: u64,
    to: u64,
    deadline: Instant,
) -> Result<Picture, Failure> {
    let mut looks = 0;
    loop {
        let picture = admin.look(region).await;
        let mut waiting_for = format!("store {to} does not lead region {region} yet");
        match leader_of(region, &picture)? {
            Ok(leader) if leader.store == to => return Ok(picture),
            Ok(leader) => {
                check_may_lead(&leader.region, to)?;
                if looks % LOOKS_PER_TRANSFER == 0 {
                    let request = TransferLeaderRequest { region_id: region, store_id: to };
                    let order = |mut client: nokv_proto::nokvpb::admin_client::AdminClient<_>| async move {
                        client.transfer_leader(request).await
                    };
                    match admin.order(leader.store, order).await {
                        Taken::Done => {}
                        Taken::Refused(why) => return Err(refused(&why)),
                        Taken::NotYet(why) | Taken::Unknown(why) => waiting_for = why,
                    }
                }
                looks += 1;
            }
            Err(why) => waiting_for = why,
        }
        pause(deadline, &waiting_for, looks > 0).await?;
    }
}

fn check_may_lead(region: &metapb::Region, store: u64) -> Result<(), Failure> {
    match peer_on(region, store) {
        None => Err(no_peer(region, store)),
        Some(peer) if peer.role() == PeerRole::Learner => {
            Err(refused(&format!("peer {} of region {} is a learner, which cannot lead", peer.id, region.id)))
        }
        Some(_) => Ok(()),
    }
}

/// What the leader says, or why there is none just now.
///
/// # Errors
/// No store that answers has such a region, and all of them answer.
pub(super) fn leader_of(region: u64, picture: &Picture) -> Result<Result<&Sighting, String>, Failure> {
    match (picture.leader_up_to_date(), picture.leader()) {
        (Some(leader), _) => Ok(Ok(leader)),
        (None, Some(behind)) => {
            Ok(Err(format!("store {} leads region {region} and has not applied its latest change", behind.store)))
        }
        (None, None) if picture.sightings.is_empty() && picture.silent.is_empty() => Err(unknown(region, picture)),
        (None, None) => {
            let silent: Vec<_> = picture.silent.iter().map(|(store, why)| format!("store {store}: {why}")).collect();
            let silent = if silent.is_empty() { String::new() } else { format!(" ({})", silent.join("; ")) };
            Ok(Err(format!("region {region} has no leader{silent}")))
        }
    }
}

/// The peer of a region on a store.
pub(super) fn peer_on(region: &metapb::Region, store: u64) -> Option<&metapb::Peer> {
    region.peers.iter().find(|peer| peer.store_id == store)
}

pub(super) fn no_peer(region: &metapb::Region, store: u64) -> Failure {
    let peers: Vec<_> = region.peers.iter().map(|peer| format!("{} on store {}", peer.id, peer.store_id)).collect();
    refused(&format!("region {} has no peer on store {store}; its peers: {}", region.id, peers.join(", ")))
}

pub(super) fn refused(why: &str) -> Failure {
    Failure { advice: Some("nothing was changed".to_owned()), ..Failure::error(why) }
}

fn unknown(region: u64, picture: &Picture) -> Failure {
    let silent: Vec<_> = picture.silent.iter().map(|(store, why)| format!("store {store}: {why}")).collect();
    let text = if silent.is_empty() {
        format!("no store has a region {region}")
    } else {
        format!("no store that answers has a region {region}; silent: {}", silent.join("; "))
    };
    Failure { advice: Some("`nokv regions` lists those that there are".to_owned()), ..Failure::error(text) }
}
