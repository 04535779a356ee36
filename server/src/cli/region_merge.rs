//! `nokv region merge`: a region ends in its neighbour. That the two are neighbours on the same stores is looked at
//! first, so that the refusal can say what to do.

use nokv_proto::metapb;
use nokv_proto::nokvpb::MergeRequest;
use tokio::time::Instant;

use super::cluster_admin::{ClusterAdmin, Picture, Taken, pause};
use super::exit::{Answer, Failure};
use super::region_args::MergeArgs;
use super::region_command::{leader_of, refused};

pub(super) async fn merge(args: &MergeArgs) -> Result<Answer, Failure> {
    let (admin, deadline) = (args.cluster.admin().await?, args.cluster.deadline());
    let (source, target) = (args.source, args.target);
    if source == target {
        return Err(refused("a region is merged into its neighbour, not into itself"));
    }
    let (first, _) = led(&admin, source, deadline, false).await?;
    let mut sent = false;
    let done = loop {
        let (heir, targets) = led(&admin, target, deadline, sent).await?;
        if holds(&heir, &first) {
            break targets;
        }
        let picture = admin.look(source).await;
        let Some(leader) = picture.leader() else {
            pause(deadline, &format!("region {source} has no leader"), sent).await?;
            continue;
        };
        if !sent {
            check(&leader.region, &heir)?;
        }
        let request = MergeRequest {
            source_region_id: source,
            source_epoch: leader.region.region_epoch,
            target_region_id: target,
            target_epoch: heir.region_epoch,
        };
        match admin.order(leader.store, |mut client| async move { client.merge(request).await }).await {
            Taken::Done => sent = true,
            Taken::Refused(why) => return Err(refused(&why)),
            Taken::NotYet(why) => pause(deadline, &why, sent).await?,
            Taken::Unknown(why) => {
                sent = true;
                pause(deadline, &why, sent).await?;
            }
        }
    };
    Ok(args.cluster.answer(target, &done, &format!("region {source} has ended in region {target}")))
}

/// A region as its leader has it, and as all stores have it.
async fn led(
    admin: &ClusterAdmin,
    region: u64,
    deadline: Instant,
    sent: bool,
) -> Result<(metapb::Region, Picture), Failure> {
    loop {
        let picture = admin.look(region).await;
        match leader_of(region, &picture)?.map(|leader| leader.region.clone()) {
            Ok(region) => return Ok((region, picture)),
            Err(why) => pause(deadline, &why, sent).await?,
        }
    }
}

/// Whether the range of `other` lies within the region.
fn holds(region: &metapb::Region, other: &metapb::Region) -> bool {
    let reaches = region.end_key.is_empty() || (!other.end_key.is_empty() && other.end_key <= region.end_key);
    region.start_key <= other.start_key && reaches
}

fn check(source: &metapb::Region, target: &metapb::Region) -> Result<(), Failure> {
    let meet =
        |left: &metapb::Region, right: &metapb::Region| !left.end_key.is_empty() && left.end_key == right.start_key;
    let (one, other) = (source.id, target.id);
    if !meet(source, target) && !meet(target, source) {
        return Err(refused(&format!("regions {one} and {other} are not neighbours")));
    }
    let stores = |region: &metapb::Region| {
        let mut stores: Vec<u64> = region.peers.iter().map(|peer| peer.store_id).collect();
        stores.sort_unstable();
        stores
    };
    if stores(source) != stores(target) {
        return Err(refused(&format!(
            "regions {one} and {other} have peers on different stores ({:?}, {:?}); add and remove peers until they \
             are the same",
            stores(source),
            stores(target)
        )));
    }
    Ok(())
}
