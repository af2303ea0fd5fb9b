//! The metrics of all processes on one page, each with the labels of its process: what a Prometheus scrapes.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;
use tokio::task::JoinSet;

use crate::http::Api;
use crate::platform::Target;
use crate::scrape::{Series, parse};

/// Asks the processes, over connections that are kept.
#[derive(Default)]
pub(crate) struct Pages(Mutex<BTreeMap<SocketAddr, Api>>);

impl Pages {
    /// The page. A process that does not answer is not on it.
    pub(crate) async fn page(&self, targets: Vec<Target>) -> String {
        let mut scrapes = JoinSet::new();
        for target in targets {
            let client = self.client(target.ready.address);
            scrapes.spawn(async move {
                let page = client.call(Method::GET, "/metrics", Bytes::new()).await.ok()?;
                let series = parse(&String::from_utf8_lossy(&page)).ok()?;
                Some(labelled(&series, &target))
            });
        }
        scrapes.join_all().await.into_iter().flatten().collect()
    }

    fn client(&self, address: SocketAddr) -> Api {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Api::new(address, Duration::from_secs(1));
        clients.entry(address).or_insert_with(new).clone()
    }
}

/// A process' series, with its labels.
fn labelled(series: &[Series], target: &Target) -> String {
    let mut page = String::new();
    let own = [
        ("pod", target.pod.clone()),
        ("side", target.side.to_string()),
        ("revision", target.revision.to_string()),
    ];
    for Series { name, labels, value } in series {
        let _ = write!(page, "{name}{{");
        let labels = labels.iter().map(|(name, value)| (name.as_str(), value));
        for (label, value) in labels.chain(own.iter().map(|(label, value)| (*label, value))) {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(page, "{label}=\"{value}\",");
        }
        let _ = writeln!(page, "}} {value}");
    }
    page
}

#[cfg(test)]
mod tests {
    use delivery_core::Timestamp;
    use delivery_core::rollout::Side;
    use tokio::time::Instant;

    use super::*;
    use crate::pod::Ready;
    use crate::screen::new;

    #[test]
    fn series_have_the_labels_of_their_process_and_are_the_same_otherwise() {
        let target = Target {
            pod: "canary-1".into(),
            side: Side::Canary,
            revision: new(),
            ready: Ready {
                address: SocketAddr::from(([127, 0, 0, 1], 1)),
                started: Timestamp::default(),
                since: Instant::now(),
            },
        };
        let series = parse("up 1\nx_bucket{le=\"+Inf\",path=\"a\\\"\\\\b\"} 17.5\n").unwrap();
        let page = labelled(&series, &target);
        let again = parse(&page).unwrap();
        for (series, mut again) in series.into_iter().zip(again) {
            assert_eq!(again.labels.remove("pod").as_deref(), Some("canary-1"));
            assert_eq!(again.labels.remove("side").as_deref(), Some("canary"));
            assert_eq!(again.labels.remove("revision").as_deref(), Some("v2"));
            assert_eq!(again, series);
        }
    }
}
