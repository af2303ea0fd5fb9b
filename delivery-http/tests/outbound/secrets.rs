//! Whatever goes wrong, nobody prints a secret.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use delivery_core::port::MetricSource;
use delivery_http::json_metric::{Covers, JsonMetric, JsonMetricSpec, JsonMetrics};
use delivery_http::notify::SENDERS;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::inbox::{Answer, Inbox};
use crate::json_metric::Question;
use crate::words::{chain, client, failed, receiver, telling, told};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Log {
    fn holds(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.0.lock().unwrap()).contains(text)
    }
}

/// On one thread, so that nothing is logged elsewhere.
#[tokio::test(flavor = "current_thread")]
async fn no_log_and_no_error_has_a_secret() {
    const SECRETS: [&str; 3] = ["s3cret-of-the-path", "s3cret-of-the-query", "s3cret-of-a-header"];
    let [path, query, header] = SECRETS;
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(log.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    // Everything that is sent comes back in the answer.
    let echo = |status| {
        move |got: &crate::inbox::Got| Answer {
            body: format!("{} {:?} {}", got.target, got.headers, got.header("authorization")),
            ..Answer::status(status)
        }
    };
    let mut shown = Vec::new();
    let echo_in_json = |got: &crate::inbox::Got| {
        let everything = format!("{} {:?}", got.target, got.headers);
        Answer::body(json!({ "value": everything, "ok": false, "error": everything }).to_string())
    };
    let mut servers = vec![Inbox::answering(echo_in_json).await];
    for status in [200, 302, 400, 404, 500] {
        servers.push(Inbox::answering(echo(status)).await);
    }
    let dead = [
        "http://127.0.0.1:9",
        "http://no-such-host.invalid",
        "https://127.0.0.1:9",
    ];
    for origin in servers.iter().map(|it| it.url.as_str()).chain(dead) {
        let address = format!("{origin}/services/T0/{path}?key={query}");
        for sender in SENDERS {
            let receiver = receiver(sender.name, &address).token(header.into()).unwrap();
            shown.push(format!("{receiver:?}"));
            let notifications = telling([receiver.timeout(Duration::from_secs(2))]);
            shown.push(format!("{notifications:?}"));
            if let Err(error) = told(&notifications, &failed(1)).await {
                shown.push(format!("{error:?} {} ", chain(&error)));
            }
        }
        let metric = JsonMetric::new(&JsonMetricSpec {
            url: address,
            json_path: "$.value".into(),
            secret_headers: [("X-Key".into(), header.into())].into(),
            timeout: Duration::from_secs(2),
            ..JsonMetricSpec::new(Covers::Last(Duration::ZERO))
        });
        let metrics = JsonMetrics::new(client())
            .with("error-rate", metric.unwrap())
            .unwrap();
        shown.push(format!("{metrics:?}"));
        let question = Question::now("error-rate");
        match metrics.measure(&question.ask()).await {
            Ok(sample) => shown.push(format!("{sample:?}")),
            Err(error) => shown.push(format!("{error:?} {} ", chain(&error))),
        }
    }
    let shown = shown.join("\n");
    for repeated in [
        "answered 404: [secret]",
        "declined: [secret]",
        "no number: [secret]",
    ] {
        assert!(
            shown.contains(repeated),
            "the answers do not repeat what they got: {shown}"
        );
    }
    assert!(log.holds("127.0.0.1"), "something is logged");
    for secret in SECRETS {
        assert!(!shown.contains(secret), "{secret}: {shown}");
        assert!(!log.holds(secret), "{secret} in the log");
    }
}
