//! Our client while regions are split under its hands, by the real service: between the two phases of a commit, between
//! the pages of a scan, and where nobody told it beforehand.

use std::sync::Arc;
use std::time::Duration;

use nokv_client::{AskingDirectory, Client, GrpcRpc, Located, Options, Reply, Rpc, ScanRange, Topology};
use nokv_proto::kvrpcpb::{Context, SplitRegionRequest};
use nokv_proto::nokvpb;
use nokv_proto::tikvpb::tikv_client::TikvClient;
use parking_lot::Mutex;

use crate::rig::{Counter, Rig, STORE, bytes_of, region};

/// Cuts regions just before it passes certain calls on.
struct Cutting {
    rpc: GrpcRpc,
    address: String,
    /// The call, and the keys to cut at, one set for each time.
    plan: Mutex<Vec<(&'static str, Vec<&'static str>)>>,
}

impl Cutting {
    async fn before(&self, call: &'static str) {
        let due = {
            let mut plan = self.plan.lock();
            plan.iter().position(|(planned, _)| *planned == call).map(|at| plan.remove(at).1)
        };
        let Some(keys) = due else { return };
        for key in keys {
            let at = nokvpb::RegionAtRequest { key: crate::rig::bound(key) };
            let region = self.rpc.region_at(&self.address, at).await.unwrap().region.unwrap();
            let context = Context { region_id: region.id, region_epoch: region.region_epoch, ..Default::default() };
            let cut = SplitRegionRequest { context: Some(context), split_keys: bytes_of(&[key]), ..Default::default() };
            let mut client = TikvClient::connect(format!("http://{}", self.address)).await.unwrap();
            let answer = client.split_region(cut).await.unwrap().into_inner();
            assert_eq!((answer.region_error, answer.regions.len()), (None, 2));
        }
    }
}

macro_rules! pass_on {
    (tiny { $($tiny:tt)* } own { $($own:tt)* }) => { pass_on! { $($tiny)* $($own)* } };
    ($($method:ident: $request:ty => $response:ty;)*) => {
        impl Rpc for Cutting {
            $(fn $method<'a>(&'a self, address: &'a str, request: $request) -> Reply<'a, $response> {
                Box::pin(async move {
                    self.before(stringify!($method)).await;
                    self.rpc.$method(address, request).await
                })
            })*
        }
    };
}

nokv_proto::for_tiny_kv_calls! {
    pass_on
    own {
        region_at: nokvpb::RegionAtRequest => nokvpb::RegionAtResponse;
    }
}

fn client(rig: &Rig, plan: Vec<(&'static str, Vec<&'static str>)>) -> (Client, Arc<Cutting>) {
    let address = rig.address.to_string();
    let rpc = Arc::new(Cutting { rpc: GrpcRpc::default(), address: address.clone(), plan: Mutex::new(plan) });
    let regions = [region(1, "", "m"), region(2, "m", "")].map(|region| Located { leader: None, region });
    let directory = AskingDirectory::new(rpc.clone(), Topology::new([(STORE, address)], regions).unwrap());
    // Nothing here depends on how fast it is, so nothing may fail for being slow.
    let patient = Duration::from_secs(120);
    let options = Options { deadline: patient, request_timeout: patient, scan_page_rows: 2, ..Options::default() };
    (Client::new(rpc.clone(), Arc::new(Counter::from_ms(1_000)), Arc::new(directory), options), rpc)
}

const KEYS: [&str; 6] = ["b", "d", "f", "k", "n", "q"];

#[tokio::test]
async fn a_transaction_whose_keys_are_split_apart_between_its_phases_commits() {
    let rig = Rig::start().await;
    let plan = vec![("kv_prewrite", vec!["e"]), ("kv_commit", vec!["c", "p"]), ("kv_commit", vec!["j"])];
    let (client, rpc) = client(&rig, plan);
    let mut transaction = client.begin().await.unwrap();
    KEYS.iter().for_each(|key| transaction.put(*key, *key).unwrap());
    transaction.commit().await.unwrap();
    client.drain().await;
    assert_eq!((client.background_failures(), rpc.plan.lock().len()), (0, 0));
    for key in KEYS {
        assert_eq!(client.get(key).await.unwrap().unwrap(), key);
    }
    drop((client, rpc));
    rig.stop().await;
}

#[tokio::test]
async fn a_scan_over_regions_that_split_sees_each_row_once() {
    let rig = Rig::start().await;
    let (client, rpc) = client(&rig, ["c", "e", "l", "o"].map(|key| ("kv_scan", vec![key])).into());
    let mut transaction = client.begin().await.unwrap();
    KEYS.iter().for_each(|key| transaction.put(*key, *key).unwrap());
    transaction.commit().await.unwrap();
    client.drain().await;
    let rows = client.scan(ScanRange::all(), 100).await.unwrap();
    assert_eq!(rows.iter().map(|(key, _)| key.as_ref()).collect::<Vec<_>>(), KEYS.map(str::as_bytes));
    assert_eq!(rpc.plan.lock().len(), 0, "all cuts were made");
    drop((client, rpc));
    rig.stop().await;
}
