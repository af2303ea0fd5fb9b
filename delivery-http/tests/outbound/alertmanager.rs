//! A real Alertmanager.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use delivery_core::Timestamp;
use delivery_core::contract;
use delivery_core::rollout::Notice;
use delivery_http::client::{Call, Endpoint};
use serde_json::Value;

use crate::words::{begun, client, denied, failed, promoted, receiver, stepped, telling, told};

struct Alertmanager {
    process: Child,
    folder: PathBuf,
    url: String,
}

impl Alertmanager {
    async fn start(test: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("delivery-alertmanager-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let config = folder.join("alertmanager.yml");
        std::fs::write(
            &config,
            "route: { receiver: none }\nreceivers: [{ name: none }]\n",
        )
        .unwrap();
        // Somebody else may take the port before Alertmanager does; it then ends, and the next one is tried.
        for _ in 0..10 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let process = Command::new("prometheus-alertmanager")
                .arg(format!("--config.file={}", config.display()))
                .arg(format!("--storage.path={}", folder.join("data").display()))
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .arg("--cluster.listen-address=")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("prometheus-alertmanager cannot be started; install it: apt-get install prometheus-alertmanager");
            let url = format!("http://127.0.0.1:{port}");
            let mut it = Self {
                process,
                folder: folder.clone(),
                url,
            };
            if it.comes_up().await {
                return it;
            }
        }
        panic!("prometheus-alertmanager did not come up");
    }

    async fn comes_up(&mut self) -> bool {
        for _ in 0..200 {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let ready = Endpoint::new("url", &format!("{}/-/ready", self.url)).unwrap();
            if client().send(&Call::get(&ready)).await.is_ok() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// The names of the alerts that fire, and their descriptions.
    async fn fires(&self) -> Vec<(String, String)> {
        let alerts = Endpoint::new("url", &format!("{}/api/v2/alerts", self.url)).unwrap();
        let reply = client().send(&Call::get(&alerts)).await.unwrap();
        let alerts: Value = serde_json::from_slice(&reply.body).unwrap();
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        let mut fires: Vec<_> = alerts
            .as_array()
            .unwrap()
            .iter()
            .inspect(|it| assert_eq!(it["labels"]["rollout"], "web"))
            .map(|it| {
                (
                    text(&it["labels"]["alertname"]),
                    text(&it["annotations"]["description"]),
                )
            })
            .collect();
        fires.sort();
        fires
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Happening `id` milliseconds after each other, up to now.
fn now(notice: Notice) -> Notice {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let at = Timestamp::default()
        .after(since)
        .before(Duration::from_millis(1_000 - notice.id));
    Notice { at, ..notice }
}

#[tokio::test]
#[ignore = "needs prometheus-alertmanager: run the README's test command"]
async fn alerts_fire_and_are_resolved_as_the_rollout_goes() {
    let alertmanager = Alertmanager::start("story").await;
    let notifications = telling([receiver("alertmanager", &alertmanager.url)]);
    let names = async || -> Vec<String> { alertmanager.fires().await.into_iter().map(|it| it.0).collect() };
    for (notice, fires) in [
        (begun(1), vec![]),
        (denied(2), vec!["RolloutNeedsAttention"]),
        (stepped(3), vec![]),
        (failed(4), vec!["RolloutFailed"]),
        (begun(5), vec![]),
        (failed(6), vec!["RolloutFailed"]),
        (promoted(7), vec![]),
    ] {
        let notice = now(notice);
        told(&notifications, &notice).await.unwrap();
        assert_eq!(names().await, fires, "after {:?}", notice.reason);
    }
}

#[tokio::test]
#[ignore = "needs prometheus-alertmanager: run the README's test command"]
async fn a_repeat_after_a_crash_is_the_same_alert() {
    let alertmanager = Alertmanager::start("repeat").await;
    let notice = now(failed(1));
    for _ in 0..2 {
        told(&telling([receiver("alertmanager", &alertmanager.url)]), &notice)
            .await
            .unwrap();
    }
    let description = "RollingBack v2, 10 % to the canary: threshold 5 reached";
    assert_eq!(
        alertmanager.fires().await,
        [("RolloutFailed".into(), description.into())]
    );
}

#[tokio::test]
#[ignore = "needs prometheus-alertmanager: run the README's test command"]
async fn it_takes_whatever_a_notice_may_say() {
    let alertmanager = Alertmanager::start("contract").await;
    let notifications = telling([receiver("alertmanager", &alertmanager.url)]);
    let wait = async || tokio::time::sleep(Duration::from_millis(10)).await;
    contract::notifier(&notifications, wait).await.unwrap();
}
