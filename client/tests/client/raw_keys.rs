//! Raw keys: as they are in the byte space of the regions, apart from transactional data.
//! They have no transaction that could tell what became of a write, so a lost answer is undetermined.

use nokv_client::{Error, ScanRange};

use crate::cluster::Cluster;
use crate::faults::{Effect, Fault};

#[tokio::test(start_paused = true)]
async fn raw_keys_are_written_read_deleted_and_apart() {
    let cluster = Cluster::new();
    let client = cluster.client();
    client.put("apple", "transactional").await.unwrap();
    client.raw_put("apple", "raw").await.unwrap();
    client.raw_put("kiwi", "").await.unwrap();
    assert_eq!(client.raw_get("apple").await.unwrap().unwrap(), "raw");
    assert_eq!(client.raw_get("kiwi").await.unwrap().unwrap(), "", "an empty value is a value");
    client.raw_delete("apple").await.unwrap();
    assert_eq!(client.raw_get("apple").await.unwrap(), None);
    assert_eq!(client.get("apple").await.unwrap().unwrap(), "transactional");
}

#[tokio::test(start_paused = true)]
async fn a_raw_key_lies_between_the_bounds_as_it_is() {
    let cluster = Cluster::new();
    let client = cluster.client();
    // The bound of the regions 1 and 2 is the encoding of "h": "h", seven zeroes and a marker. The raw key "h" is less.
    client.raw_put("h", "1").await.unwrap();
    client.raw_put(b"h\0\0\0\0\0\0\0\xf8", "2").await.unwrap();
    let trace = cluster.take_trace();
    assert!(trace[0].starts_with("RawPut region 1 ") && trace[1].starts_with("RawPut region 2 "), "{trace:?}");
}

#[tokio::test(start_paused = true)]
async fn a_raw_scan_crosses_regions() {
    let cluster = Cluster::new();
    let client = cluster.client_with(nokv_client::Options { scan_page_rows: 2, ..Default::default() });
    let keys = ["a", "b", "c", "k", "q", "r"];
    for key in keys {
        client.raw_put(key, key).await.unwrap();
    }
    let scan = async |range, limit| -> Vec<String> {
        let rows = client.raw_scan(range, limit).await.unwrap();
        rows.iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
    };
    assert_eq!(scan(ScanRange::all(), 100).await, keys);
    assert_eq!(scan(ScanRange::all(), 3).await, ["a", "b", "c"]);
    assert_eq!(scan(ScanRange::new("b", "q"), 100).await, ["b", "c", "k"]);
}

#[tokio::test(start_paused = true)]
async fn a_raw_write_that_may_have_happened_is_undetermined() {
    let cluster = Cluster::new();
    let client = cluster.client();
    cluster.fail(Fault::once("RawPut", Effect::LoseReply));
    client.raw_put("apple", "1").await.unwrap();
    cluster.fail(Fault::always("RawPut", Effect::LoseReply));
    let error = client.raw_put("apple", "2").await.unwrap_err();
    assert!(matches!(error, Error::Undetermined { operation: "raw put", start_ts: None, .. }), "{error}");
    assert_eq!(client.raw_get("apple").await.unwrap().unwrap(), "2");
    cluster.state.lock().faults.clear();
    cluster.state.lock().down.extend([1, 2, 3]);
    let error = client.raw_put("apple", "3").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "it never left: {error}");
}
