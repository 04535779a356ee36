//! Health and reflection, as a stranger would use them.
//! A stranger knows nothing of NoKV but what the node itself says.

use std::collections::BTreeSet;

use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::{v1, v1alpha};

use crate::rig::Rig;

async fn channel(rig: &Rig) -> Channel {
    Channel::from_shared(format!("http://{}", rig.address)).unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn health_knows_the_services_by_name() {
    let rig = Rig::start().await;
    let mut health = HealthClient::new(channel(&rig).await);
    for service in ["", "tinykvpb.TinyKv", "tikvpb.Tikv", "nokvpb.Admin", "nokvpb.RaftTransport"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, tonic_health::pb::health_check_response::ServingStatus::Serving, "{service}");
    }
    let unknown = health.check(HealthCheckRequest { service: "no.Such".to_owned() }).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    drop(health);
    rig.stop().await;
}

#[tokio::test]
async fn reflection_lists_what_is_served_in_both_versions() {
    let rig = Rig::start().await;
    let expected: BTreeSet<String> =
        ["grpc.health.v1.Health", "nokvpb.Admin", "nokvpb.RaftTransport", "tikvpb.Tikv", "tinykvpb.TinyKv"]
            .map(str::to_owned)
            .into();

    let mut client = v1::server_reflection_client::ServerReflectionClient::new(channel(&rig).await);
    let asked = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let found: BTreeSet<String> = list.service.into_iter().map(|service| service.name).collect();
    assert!(found.is_superset(&expected), "{found:?}");
    assert!(!found.contains("pdpb.PD"), "what is only described is not served: {found:?}");

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(channel(&rig).await);
    let symbol = "tinykvpb.TinyKv.KvGet".to_owned();
    let asked = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol);
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(asked) };
    let mut answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let found = matches!(
        answer,
        v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(ref files)
            if !files.file_descriptor_proto.is_empty()
    );
    assert!(found, "{answer:?}");
    drop((client, answers));
    rig.stop().await;
}
