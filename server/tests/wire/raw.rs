//! RawGet, RawPut, RawDelete, RawScan.
//! Plain keys have no versions and no locks, and live apart from those of transactions.

use nokv_proto::kvrpcpb::{KvPair, RawDeleteRequest, RawGetRequest, RawGetResponse, RawPutRequest};
use nokv_proto::tinykvpb::RawScanRequest;

use crate::rig::{Rig, context, key, text};

impl Rig {
    async fn raw_put(&mut self, region: u64, name: &str, value: &str, cf: &str) -> String {
        let context = Some(context(region));
        let request =
            RawPutRequest { context, key: key(name), value: key(value), cf: cf.to_owned(), ..Default::default() };
        let response = self.client.raw_put(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response.error
    }

    async fn raw_get(&mut self, region: u64, name: &str, cf: &str) -> RawGetResponse {
        let request = RawGetRequest { context: Some(context(region)), key: key(name), cf: cf.to_owned() };
        let response = self.client.raw_get(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        response
    }

    async fn raw_scan(&mut self, region: u64, start: &str, limit: u32, cf: &str) -> (String, Vec<String>) {
        let request =
            RawScanRequest { context: Some(context(region)), start_key: key(start), limit, cf: cf.to_owned() };
        let response = self.client.raw_scan(request).await.unwrap().into_inner();
        assert_eq!(response.region_error, None);
        let one = |pair: &KvPair| format!("{}={}", text(&pair.key), text(&pair.value));
        (response.error, response.kvs.iter().map(one).collect())
    }
}

#[tokio::test]
async fn put_get_delete() {
    let mut rig = Rig::start().await;
    assert!(rig.raw_get(1, "a", "").await.not_found);
    assert_eq!(rig.raw_put(1, "a", "1", "").await, "");
    assert_eq!(rig.raw_put(1, "a", "2", "default").await, "");
    let found = rig.raw_get(1, "a", "default").await;
    assert_eq!((text(&found.value), found.not_found), ("2".to_owned(), false));
    assert_eq!(rig.raw_put(1, "empty", "", "").await, "");
    assert!(!rig.raw_get(1, "empty", "").await.not_found, "an empty value is found");
    for _ in 0..2 {
        let request = RawDeleteRequest { context: Some(context(1)), key: key("a"), ..Default::default() };
        assert_eq!(rig.client.raw_delete(request).await.unwrap().into_inner(), Default::default());
        assert!(rig.raw_get(1, "a", "").await.not_found);
    }
    rig.stop().await;
}

#[tokio::test]
async fn scans_stop_at_the_limit_and_at_the_regions_end() {
    let mut rig = Rig::start().await;
    for name in ["a", "b", "c"] {
        rig.raw_put(1, name, "v", "").await;
    }
    rig.raw_put(2, "n", "v", "").await;
    assert_eq!(rig.raw_scan(1, "", 0, "").await.1, Vec::<String>::new());
    assert_eq!(rig.raw_scan(1, "", 2, "").await.1, ["a=v", "b=v"]);
    assert_eq!(rig.raw_scan(1, "b", 10, "default").await.1, ["b=v", "c=v"]);
    assert_eq!(rig.raw_scan(2, "n", 10, "").await.1, ["n=v"]);
    rig.stop().await;
}

#[tokio::test]
async fn plain_keys_and_transactions_never_meet() {
    let mut rig = Rig::start().await;
    rig.write(1, 10, 20, &[("a", "txn")]).await;
    rig.lock(1, 30, &[("b", "txn")]).await;
    assert!(rig.raw_get(1, "a", "").await.not_found);
    assert_eq!(rig.raw_scan(1, "", 10, "").await.1, Vec::<String>::new());
    rig.raw_put(1, "a", "raw", "").await;
    rig.raw_put(1, "c", "raw", "").await;
    assert_eq!(rig.read(1, "a", 40).await, "txn");
    assert_eq!(rig.scan(1, "c", 10, 40).await, []);
    assert_eq!(rig.raw_scan(1, "", 10, "").await.1, ["a=raw", "c=raw"]);
    rig.stop().await;
}

#[tokio::test]
async fn another_column_family_is_an_error_in_the_answer() {
    let mut rig = Rig::start().await;
    for cf in ["lock", "write", "raft", "Default"] {
        assert!(rig.raw_put(1, "a", "1", cf).await.contains(cf));
        assert!(rig.raw_get(1, "a", cf).await.error.contains(cf));
        assert!(rig.raw_scan(1, "", 10, cf).await.0.contains(cf));
        let request =
            RawDeleteRequest { context: Some(context(1)), key: key("a"), cf: cf.to_owned(), ..Default::default() };
        assert!(rig.client.raw_delete(request).await.unwrap().into_inner().error.contains(cf));
    }
    assert!(rig.raw_get(1, "a", "").await.not_found);
    rig.stop().await;
}
