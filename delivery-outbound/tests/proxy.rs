//! A proxy that is dead is named, whoever has set it up, and its login is not.

use std::env;
use std::error::Error as _;
use std::process::Command;

use delivery_outbound::{Call, Client, Endpoint, Error};

const DEAD: &str = "http://somebody:s3cret@127.0.0.1:1";

async fn assert_named(client: &Client) {
    for host in ["http://hooks.test", "https://hooks.test"] {
        let endpoint = Endpoint::new("url", &format!("{host}/it")).unwrap();
        let error = client.send(&Call::get(&endpoint)).await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        let text = format!("could not reach {host} through the proxy http://127.0.0.1:1");
        assert_eq!(error.to_string(), text);
        assert!(error.source().is_some());
        for secret in ["somebody", "s3cret"] {
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_dead_proxy_is_named_without_its_login() {
    let client = Client::builder().proxy("proxy", DEAD).unwrap();
    assert_named(&client.build().unwrap()).await;
}

#[tokio::test]
async fn a_dead_proxy_of_the_environment_is_named_without_its_login() {
    if env::var("https_proxy").as_deref() == Ok(DEAD) {
        assert_named(&Client::new().unwrap()).await;
        return;
    }
    // The environment of a process cannot be changed safely, so another one gets it.
    let output = Command::new(env::current_exe().unwrap())
        .args([
            "--exact",
            "a_dead_proxy_of_the_environment_is_named_without_its_login",
        ])
        .envs([
            ("http_proxy", DEAD),
            ("https_proxy", DEAD),
            ("no_proxy", ""),
            ("NO_PROXY", ""),
        ])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 passed"),
        "{output:?}"
    );
}
