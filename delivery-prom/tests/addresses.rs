//! The address of a metric server is refused as a webhook's is: by the same rules and in the same words.

use std::error::Error as _;
use std::time::Duration;

use delivery_core::port::Fault;
use delivery_outbound::Endpoint;
use delivery_prom::client::ClientBuilder;
use delivery_prom::{Error, Server};
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

#[test]
fn an_address_that_the_rules_do_not_allow_is_refused_before_anything_is_sent() {
    let metadata = ClientBuilder::default().refuse_metadata_addresses();
    let listed = ClientBuilder::default().allow_hosts(["*.example.com"]).unwrap();
    for (rules, address, says) in [
        (
            &metadata,
            "http://169.254.169.254/latest",
            "link-local or metadata",
        ),
        (&metadata, "http://[fe80::1]:9090", "link-local or metadata"),
        (&metadata, "http://[::ffff:a9fe:a9fe]", "link-local or metadata"),
        (&metadata, "http://2852039166", "link-local or metadata"),
        (&metadata, "http://100.100.100.200", "link-local or metadata"),
        (&listed, "http://prometheus:9090", "not among the allowed hosts"),
        (
            &listed,
            "https://prometheus.example.com.test",
            "not among the allowed hosts",
        ),
        (
            &listed,
            "https://metrics.example.com@test",
            "not among the allowed hosts",
        ),
    ] {
        let endpoint = Endpoint::new("address", address).unwrap();
        let webhook = rules
            .clone()
            .build()
            .unwrap()
            .check("address", &endpoint)
            .unwrap_err();
        for server in [Server::new(address), Server::loki(address)] {
            let error = server.unwrap().client_with(rules.clone()).unwrap_err();
            let why = error.source().unwrap().to_string();
            assert_eq!(why, webhook.to_string());
            assert!(why.contains(says), "{why}");
            assert_eq!(error.fault(), Fault::Permanent);
        }
    }
}

#[tokio::test]
async fn an_address_that_the_rules_allow_is_asked() {
    let server = MockServer::start().await;
    Mock::given(path("/-/ready"))
        .respond_with(ResponseTemplate::new(200))
        .mount(&server)
        .await;
    let rules = ClientBuilder::default()
        .allow_hosts(["127.0.0.1"])
        .unwrap()
        .refuse_metadata_addresses();
    let client = Server::new(&server.uri()).unwrap().client_with(rules).unwrap();
    client.ready().await.unwrap();
}

#[tokio::test]
async fn a_dead_proxy_is_named_without_its_login() {
    let rules = ClientBuilder::default()
        .proxy("proxy", "http://somebody:s3cret@127.0.0.1:1")
        .unwrap();
    let server = Server::new("http://prometheus.test")
        .unwrap()
        .timeout(Duration::from_secs(1));
    let error = server.client_with(rules).unwrap().query("up").await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    let why = error.source().unwrap().to_string();
    assert_eq!(
        why,
        "could not reach http://prometheus.test through the proxy http://127.0.0.1:1"
    );
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let both = ClientBuilder::default()
        .refuse_metadata_addresses()
        .proxy("proxy", "http://proxy.test")
        .unwrap();
    let error = Server::new("http://host").unwrap().client_with(both).unwrap_err();
    assert!(matches!(error, Error::Setup { .. }), "{error:?}");
}
