//! KvGC: setting the safe point, call by call and by our client's walk over all regions; what is refused from then on;
//! and that it is still there after every node was down.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nokv_client::{
    Client, Error, GrpcRpc, InvalidInput, Located, Options, ScanRange, StaticDirectory, Timestamp, Topology,
};
use nokv_engine::{Cf, Cursor as _, Engine as _, KeyRange, ReadView as _, WriteBatch};
use nokv_percolator::{Key, WriteKind, WriteRecord};
use nokv_proto::kvrpcpb::{
    BatchGetRequest, CommitRequest, DeleteRangeRequest, GcRequest, GetRequest, RawDeleteRangeRequest, RawGetRequest,
    RawPutRequest, ScanRequest, UnsafeDestroyRangeRequest,
};
use nokv_proto::tikvpb::tikv_client::TikvClient;
use nokv_proto::tinykvpb::PrewriteRequest;
use tonic::Code;

use crate::cluster::{self, Cluster, STORES, regions};
use crate::rig::{Counter, Rig, connect, context, key, ms, put};

#[tokio::test]
async fn reads_and_prewrites_below_the_safe_point_are_told_to_begin_anew() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "old")]).await;
    rig.write(1, 30, 40, &[("a", "new")]).await;
    let mut tikv = TikvClient::connect(format!("http://{}", rig.address)).await.unwrap();
    let gc = |region, safe_point| GcRequest { context: Some(context(region)), safe_point };
    assert_eq!(tikv.kv_gc(gc(1, 35)).await.unwrap().into_inner(), Default::default());
    let told = tikv.kv_gc(gc(9, 35)).await.unwrap().into_inner();
    assert!(told.region_error.unwrap().region_not_found.is_some());
    let future = tikv.kv_gc(gc(1, u64::MAX)).await.unwrap_err();
    assert_eq!(future.code(), Code::InvalidArgument);
    assert!(future.message().contains("future"), "{future:?}");
    assert_eq!(tikv.kv_gc(GcRequest::default()).await.unwrap_err().code(), Code::InvalidArgument);

    assert_eq!(rig.read(1, "a", 35).await, "old");
    let says = |error: Option<Box<nokv_proto::kvrpcpb::KeyError>>| error.unwrap().abort;
    assert!(says(rig.get(1, "a", 34).await.error).contains("safe point 35"));
    let context = || Some(context(1));
    let keys = vec![key("a")];
    let many = tikv.kv_batch_get(BatchGetRequest { context: context(), keys, version: 34, ..Default::default() });
    assert!(says(many.await.unwrap().into_inner().error).contains("safe point 35"));
    let scan = ScanRequest { context: context(), start_key: key("a"), limit: 1, version: 34, ..Default::default() };
    assert!(says(rig.client.kv_scan(scan).await.unwrap().into_inner().error).contains("safe point 35"));
    let errors = rig.prewrite(1, 34, vec![put("b", "late")]).await;
    assert!(errors[0].abort.contains("safe point 35"), "{errors:?}");
    let newest = GetRequest { context: context(), key: key("a"), version: u64::MAX, ..Default::default() };
    assert_eq!(rig.client.kv_get(newest).await.unwrap().into_inner().value, key("new"));
    drop(tikv);
    rig.stop().await;
}

/// Prewrites the value `left` at whoever leads, as often as it takes.
async fn prewrite(cluster: &Cluster, region: u64, start_version: u64, primary: &str, name: &str) {
    let request = PrewriteRequest {
        mutations: vec![put(name, "left")],
        primary_lock: key(primary),
        start_version,
        lock_ttl: 3_600_000,
        ..Default::default()
    };
    loop {
        if let Some(leader) = cluster.leader_of(region) {
            let mut client = connect(cluster.node(leader).address()).await;
            let context = Some(cluster::context(region, leader));
            let request = PrewriteRequest { context, ..request.clone() };
            if client.kv_prewrite(request).await.unwrap().into_inner() == Default::default() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Commits at whoever leads, as often as it takes.
async fn commit(cluster: &Cluster, region: u64, start_version: u64, commit_version: u64, name: &str) {
    let request = CommitRequest { start_version, commit_version, keys: vec![key(name)], ..Default::default() };
    loop {
        if let Some(leader) = cluster.leader_of(region) {
            let mut client = connect(cluster.node(leader).address()).await;
            let request = CommitRequest { context: Some(cluster::context(region, leader)), ..request.clone() };
            if client.kv_commit(request).await.unwrap().into_inner() == Default::default() {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// How many write records a store holds.
fn write_records(cluster: &Cluster, store: u64) -> usize {
    let view = cluster.node(store).raftstore().engine().view();
    let mut cursor = view.cursor(Cf::Write, KeyRange::ALL).unwrap();
    cursor.seek_to_first().unwrap();
    let mut records = 0;
    while cursor.key().is_some() {
        records += 1;
        cursor.next().unwrap();
    }
    records
}

fn client(cluster: &Cluster) -> Client {
    let located = regions().into_iter().map(|region| Located { leader: None, region });
    let addresses = STORES.map(|store| (store, cluster.node(store).address().to_string()));
    let topology = Topology::new(addresses, located).unwrap();
    // Nothing here depends on how fast it is, so nothing may fail for being slow.
    let options = Options { deadline: Duration::from_secs(120), ..Options::default() };
    let oracle = Arc::new(Counter::from_ms(1_000));
    Client::new(Arc::new(GrpcRpc::default()), oracle, Arc::new(StaticDirectory::new(topology)), options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_walk_over_all_regions_ends_old_transactions_and_what_goes_goes_by_itself() {
    let mut cluster = Cluster::start().await;
    let client = client(&cluster);
    let mut versions = Vec::new();
    for value in ["1", "2", "3"] {
        let mut transaction = client.begin().await.unwrap();
        transaction.put("a", value).unwrap();
        transaction.put("z", value).unwrap();
        transaction.commit().await.unwrap();
        versions.push(client.timestamp().await.unwrap());
    }
    client.drain().await;
    // Left by transactions that are gone, one of them committed on its primary.
    let lost = client.timestamp().await.unwrap();
    for region in [1, 2] {
        let name = if region == 1 { "b" } else { "y" };
        prewrite(&cluster, region, lost.0, "b", name).await;
    }
    let kept = client.timestamp().await.unwrap();
    prewrite(&cluster, 1, kept.0, "c", "c").await;
    prewrite(&cluster, 2, kept.0, "c", "x").await;
    let commit_ts = client.timestamp().await.unwrap();
    commit(&cluster, 1, kept.0, commit_ts.0, "c").await;

    let future = client.collect_garbage(Timestamp(u64::MAX / 2)).await;
    assert!(matches!(future, Err(Error::InvalidInput(InvalidInput::SafePoint { .. }))), "{future:?}");
    let safe_point = client.timestamp().await.unwrap();
    let report = client.collect_garbage(safe_point).await.unwrap();
    assert_eq!((report.regions, report.locks_committed, report.locks_rolled_back), (2, 1, 2));
    let at = |name, version| client.get_at(name, version);
    assert_eq!(at("x", safe_point).await.unwrap().as_deref(), Some(&b"left"[..]));
    assert_eq!(at("y", safe_point).await.unwrap(), None);
    assert_eq!(at("a", safe_point).await.unwrap().as_deref(), Some(&b"3"[..]));
    let refused = at("z", versions[1]).await;
    assert!(matches!(&refused, Err(Error::Refused { reason, .. }) if reason.contains("safe point")), "{refused:?}");

    // Each store collects what it leads; all of them hold the same in the end: one record for each of a, c, x, z.
    while STORES.iter().any(|store| write_records(&cluster, *store) != 4) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for store in STORES {
        cluster.stop_node(store).await;
    }
    for store in STORES {
        cluster.start_node(store).await;
    }
    for store in STORES {
        assert_eq!(cluster.node(store).raftstore().safe_point(), safe_point.0, "store {store} has forgotten");
    }
    drop(client);
    cluster.stop().await;
}

#[tokio::test]
async fn ranges_that_nobody_uses_go_at_once() {
    let mut rig = Rig::start().await;
    for (region, names) in [(1, ["a", "b", "c"]), (2, ["n", "o", "z"])] {
        for name in names {
            rig.write(region, 10, 20, &[(name, &"x".repeat(300))]).await;
            let raw = RawPutRequest {
                context: Some(context(region)),
                key: key(name),
                value: key("raw"),
                ..RawPutRequest::default()
            };
            rig.client.raw_put(raw).await.unwrap();
        }
    }
    rig.lock(1, 30, &[("b", "locked")]).await;
    let mut tikv = TikvClient::connect(format!("http://{}", rig.address)).await.unwrap();
    let range = |region, from, to| DeleteRangeRequest {
        context: Some(context(region)),
        start_key: key(from),
        end_key: key(to),
        notify_only: false,
    };
    assert_eq!(tikv.kv_delete_range(range(1, "b", "zzz")).await.unwrap().into_inner(), Default::default());
    assert_eq!([rig.read(1, "b", 40).await, rig.read(1, "c", 40).await], ["-", "-"], "the lock is gone, too");
    assert_eq!(rig.read(1, "a", 40).await.len(), 300);
    assert_eq!(rig.read(2, "n", 40).await.len(), 300, "a range is cut to its region");
    // The last region has no end; and of the plain keys nothing went.
    assert_eq!(tikv.kv_delete_range(range(2, "o", "")).await.unwrap().into_inner(), Default::default());
    assert_eq!([rig.read(2, "o", 40).await, rig.read(2, "z", 40).await], ["-", "-"]);
    assert_eq!(rig.read(2, "n", 40).await.len(), 300);
    let get = |region, name| RawGetRequest { context: Some(context(region)), key: key(name), ..Default::default() };
    assert_eq!(tikv.raw_get(get(2, "z")).await.unwrap().into_inner().value, key("raw"));
    let raw = RawDeleteRangeRequest { context: Some(context(2)), start_key: key("o"), ..Default::default() };
    assert_eq!(tikv.raw_delete_range(raw).await.unwrap().into_inner(), Default::default());
    assert!(tikv.raw_get(get(2, "z")).await.unwrap().into_inner().not_found);
    assert!(!tikv.raw_get(get(2, "n")).await.unwrap().into_inner().not_found);

    let everything = UnsafeDestroyRangeRequest::default();
    assert_eq!(tikv.unsafe_destroy_range(everything).await.unwrap().into_inner(), Default::default());
    assert_eq!([rig.read(1, "a", 40).await, rig.read(2, "n", 40).await], ["-", "-"]);

    for (from, to) in [("c", "b"), ("b", "b")] {
        let refused = tikv.kv_delete_range(range(1, from, to)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    }
    let outside = tikv.kv_delete_range(range(1, "n", "")).await.unwrap().into_inner();
    assert!(outside.region_error.unwrap().key_not_in_region.is_some());
    drop(tikv);
    rig.stop().await;
}

const VERSIONS: u64 = 100_000;

/// Writes as many versions of a key as that, straight into each store: the bytes that its transactions would have left.
fn write_versions(cluster: &Cluster, name: &str) {
    let encoded = Key::encode(name.as_bytes());
    for store in STORES {
        let engine = cluster.node(store).raftstore().engine();
        let mut batch = WriteBatch::new();
        for version in 0..VERSIONS {
            let (start_ts, commit_ts) = (Timestamp(ms(1) + 2 * version), Timestamp(ms(1) + 2 * version + 1));
            // Random enough for compression to leave most of it.
            let value: Vec<u8> = (0..100u64).map(|at| (((version + 7) * (at + 3) * 0x9e37) >> 5) as u8).collect();
            let record = WriteRecord::commit(WriteKind::Put, start_ts, Some(&value));
            batch.put(Cf::Write, &encoded.append_ts(commit_ts), &record.encode());
            if batch.encoded_bytes() > 1 << 20 {
                engine.write(&batch, false).unwrap();
                batch.clear();
            }
        }
        engine.write(&batch, false).unwrap();
        engine.flush().unwrap();
    }
}

/// What the key's versions take on a store's disk.
fn table_bytes(cluster: &Cluster, store: u64) -> u64 {
    cluster.node(store).raftstore().engine().cf_statistics(Cf::Write).unwrap().table_bytes
}

/// The answer, and how long it took; told, not judged: machines differ.
async fn timed<T>(what: &str, work: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = work.await;
    eprintln!("{what}: {:?}", began.elapsed());
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_with_a_hundred_thousand_versions_is_read_before_and_after_and_takes_less_space() {
    let cluster = Cluster::start().await;
    let client = client(&cluster);
    client.put("a", "first").await.unwrap();
    write_versions(&cluster, "hot");
    let before: Vec<u64> = STORES.iter().map(|store| table_bytes(&cluster, *store)).collect();
    let version_at = |version: u64| Timestamp(ms(1) + 2 * version + 1);
    let safe_point = version_at(VERSIONS - 10);
    let newest = timed("the newest of 100,000 versions", client.get("hot")).await.unwrap();
    let oldest = timed("the oldest", client.get_at("hot", version_at(0))).await.unwrap();
    assert!(newest.is_some() && oldest.is_some() && newest != oldest);
    let scan = || client.scan(ScanRange::all(), 10);
    assert_eq!(timed("a scan over it", scan()).await.unwrap().len(), 2);
    let seen_long_ago = client.get_at("hot", safe_point).await.unwrap();

    client.collect_garbage(safe_point).await.unwrap();
    let left = |store: &u64| write_records(&cluster, *store) as u64;
    while STORES.iter().any(|store| left(store) > 11) {
        // A long reader above the safe point sees its snapshot throughout.
        assert_eq!(client.get_at("hot", safe_point).await.unwrap(), seen_long_ago);
        assert_eq!(client.get("hot").await.unwrap(), newest);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(timed("the newest, right after", client.get("hot")).await.unwrap(), newest);
    assert_eq!(timed("at the safe point, right after", client.get_at("hot", safe_point)).await.unwrap(), seen_long_ago);
    assert_eq!(timed("a scan over it, right after", scan()).await.unwrap().len(), 2);
    assert!(client.get_at("hot", version_at(0)).await.is_err());

    // The write buffers with the deletions are written out by themselves, and the tables compacted.
    for (store, before) in STORES.into_iter().zip(before) {
        while table_bytes(&cluster, store) > before / 20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        eprintln!("store {store}: {before} bytes of tables before, {} after", table_bytes(&cluster, store));
    }
    for region in [1, 2] {
        cluster.alike(region, &STORES).await;
    }
    drop(client);
    cluster.stop().await;
}
