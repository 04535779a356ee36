//! Requests that cannot be served as they are: `InvalidArgument`, with a text that says what is missing.
//! They are the client's mistakes, never a region's: to try them again elsewhere would be in vain.

use bytes::Bytes;
use nokv_proto::coprocessor;
use nokv_proto::kvrpcpb::{
    BatchRollbackRequest, CommitRequest, Context, GetRequest, RawDeleteRequest, RawPutRequest, ResolveLockRequest,
    ScanRequest,
};
use nokv_proto::tinykvpb::{CheckTxnStatusRequest, Mutation, PrewriteRequest, RawScanRequest};
use tonic::{Code, Status};

use crate::rig::{Rig, context, key, put};

fn says<T: std::fmt::Debug>(result: Result<T, Status>, words: &str) {
    let status = result.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains(words), "{:?} does not say {words:?}", status.message());
}

#[tokio::test]
async fn a_context_with_a_region_is_needed_by_every_call() {
    let mut rig = Rig::start().await;
    for (context, words) in [(None, "no context"), (Some(Context::default()), "no region_id")] {
        let client = &mut rig.client;
        says(client.kv_get(GetRequest { context: context.clone(), key: key("a"), ..Default::default() }).await, words);
        says(client.kv_scan(ScanRequest { context: context.clone(), ..Default::default() }).await, words);
        says(client.kv_prewrite(PrewriteRequest { context: context.clone(), ..Default::default() }).await, words);
        says(client.kv_commit(CommitRequest { context: context.clone(), ..Default::default() }).await, words);
        let rollback = BatchRollbackRequest { context: context.clone(), ..Default::default() };
        says(client.kv_batch_rollback(rollback).await, words);
        let status = CheckTxnStatusRequest { context: context.clone(), primary_key: key("a"), ..Default::default() };
        says(client.kv_check_txn_status(status).await, words);
        says(
            client.kv_resolve_lock(ResolveLockRequest { context: context.clone(), ..Default::default() }).await,
            words,
        );
        let raw_put = RawPutRequest { context: context.clone(), key: key("a"), ..Default::default() };
        says(client.raw_put(raw_put).await, words);
        says(client.raw_scan(RawScanRequest { context: context.clone(), ..Default::default() }).await, words);
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_key_to_write_has_at_least_one_byte() {
    let mut rig = Rig::start().await;
    let (client, context) = (&mut rig.client, || Some(context(1)));
    let empty = vec![key("a"), Bytes::new()];
    let mutations = vec![put("a", "1"), put("", "2")];
    let prewrite = PrewriteRequest { context: context(), mutations, primary_lock: key("a"), ..Default::default() };
    says(client.kv_prewrite(prewrite).await, "mutations[1].key is empty");
    let prewrite = PrewriteRequest { context: context(), mutations: vec![put("a", "1")], ..Default::default() };
    says(client.kv_prewrite(prewrite).await, "primary_lock is empty");
    let commit = CommitRequest { context: context(), keys: empty.clone(), ..Default::default() };
    says(client.kv_commit(commit).await, "keys[1] is empty");
    let rollback = BatchRollbackRequest { context: context(), keys: empty.clone(), ..Default::default() };
    says(client.kv_batch_rollback(rollback).await, "keys[1] is empty");
    let resolve = ResolveLockRequest { context: context(), keys: empty, ..Default::default() };
    says(client.kv_resolve_lock(resolve).await, "keys[1] is empty");
    let status = CheckTxnStatusRequest { context: context(), ..Default::default() };
    says(client.kv_check_txn_status(status).await, "primary_key is empty");
    says(client.raw_put(RawPutRequest { context: context(), ..Default::default() }).await, "key is empty");
    says(client.raw_delete(RawDeleteRequest { context: context(), ..Default::default() }).await, "key is empty");
    let get = GetRequest { context: context(), version: 30, ..Default::default() };
    assert!(client.kv_get(get).await.unwrap().into_inner().not_found, "the empty key may be read");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_mutation_is_refused() {
    let mut rig = Rig::start().await;
    for (op, words) in [(2, "Rollback"), (4, "op is 4"), (-1, "op is -1")] {
        let mutations = vec![Mutation { op, key: key("a"), value: Bytes::new() }];
        let context = Some(context(1));
        let request = PrewriteRequest { context, mutations, primary_lock: key("a"), ..Default::default() };
        says(rig.client.kv_prewrite(request).await, words);
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let mut rig = Rig::start().await;
    let status = rig.client.coprocessor(coprocessor::Request::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("Coprocessor"), "{status:?}");
    let images = tokio_stream::iter(Vec::new());
    assert_eq!(rig.client.snapshot(images).await.unwrap_err().code(), Code::Unimplemented);
    let messages = tokio_stream::iter(Vec::new());
    rig.client.raft(messages).await.unwrap();
    let ttl = RawPutRequest { context: Some(context(1)), key: key("a"), ttl: 5, ..Default::default() };
    says(rig.client.raw_put(ttl).await, "ttl");
    rig.stop().await;
}
