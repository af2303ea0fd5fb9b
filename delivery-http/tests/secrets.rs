//! A session with secrets everywhere, under a layer that fails when one shows up in a log.

#[path = "../../delivery-outbound/tests/support/mod.rs"]
mod support;

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use delivery_core::analysis::Checks;
use delivery_core::plan::{Gate, GateKind};
use delivery_core::port::{Approver, GateQuestion, Notifier};
use delivery_core::rollout::{Notice, Phase, Reason, Severity};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_http::Endpoint;
use delivery_http::client::Call;
use delivery_http::gate_server::GateServer;
use delivery_http::hook::{Authentication, Webhook, Webhooks};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use support::{Broken, Receiver, Says, broken};

/// What must not show: every secret of the session has it.
const MARK: &str = "s3cret";

/// Everything that was logged, by this crate and by those below it.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl<S: Subscriber> Layer<S> for Log {
    fn on_new_span(&self, span: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        span.record(&mut &*self);
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        values.record(&mut &*self);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut &*self);
    }
}

impl Visit for &Log {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{field}: {value:?}").unwrap();
    }
}

#[tokio::test]
async fn no_secret_shows_in_a_log_an_error_or_a_debug_text() {
    let log = Log::default();
    let subscriber = tracing_subscriber::registry().with(log.clone());
    let _guard = tracing::subscriber::set_default(subscriber);

    // It repeats everything that it gets.
    let echo = Receiver::start(|it| {
        Says::status(if it.path.contains("yes") { 200 } else { 403 }).body(format!("{it:?}"))
    })
    .await;
    let away = echo.url("/away/");
    let redirects =
        Receiver::start(move |it| Says::status(307).header("location", format!("{away}?from={}", it.path)))
            .await;
    let with_login = |url: String| url.replace("http://", "http://user:s3cret-password@");
    let mut urls = vec![
        with_login(echo.url("/yes/s3cret-path?token=s3cret-query")),
        with_login(echo.url("/no/s3cret-path?token=s3cret-query")),
        with_login(redirects.url("/s3cret-path")),
    ];
    for how in [
        Broken::Refuses,
        Broken::ResetsBefore,
        Broken::ResetsAfter,
        Broken::NoHttp,
        Broken::Hangs,
    ] {
        urls.push(with_login(broken(how).await) + "s3cret-path?s3cret-query");
    }
    urls.push(with_login(broken(Broken::NoHttp).await).replace("http://", "https://") + "s3cret-path");

    let mut shown = gate_server(&echo).await;
    for url in urls {
        let written = |kind: &str| -> Webhook {
            let written = json!({ "type": kind, "name": "it", "url": url, "timeout": "200ms", "retries": 1 });
            serde_json::from_value(written).unwrap()
        };
        let written = [written("confirm-promotion"), written("event")];
        let hooks = Webhooks::of("web", "shop")
            .hooks(written.clone())
            .authenticate(
                "it",
                Authentication::header("key", "x-api-key", "s3cret-token".into()).unwrap(),
            )
            .build(&support::client())
            .unwrap();
        let gate = Gate::new(GateKind::ConfirmPromotion, "it");
        let revision = Revision::new("v2").unwrap();
        let question = GateQuestion {
            gate: &gate,
            revision: &revision,
            phase: Phase::Progressing,
            began: None,
            checks: Checks::default(),
            key: "v2/7",
        };
        let asked = hooks.ask(&question).await;
        let sent = hooks.send(&notice()).await;
        write!(shown, "{written:?} {hooks:?} {asked:?} {sent:?}").unwrap();
        for error in [asked.err(), sent.err()].into_iter().flatten() {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |it| it.source());
            causes.for_each(|it| write!(shown, "{it}").unwrap());
        }
    }
    let logged = log.0.lock().unwrap().clone();
    assert!(
        logged.contains("answered") && logged.contains("trying again") && logged.contains("it"),
        "{logged}"
    );
    for (what, text) in [("log", &logged), ("error or Debug", &shown)] {
        let line = text.lines().find(|it| it.contains(MARK));
        assert!(line.is_none(), "{what}: {line:?}");
    }
    let sent = echo.got();
    assert!(
        sent.iter()
            .any(|it| it.headers.get("x-api-key").is_some_and(|it| it.contains(MARK))),
        "there were secrets to show"
    );
}

/// A gate server, which is called with the right token and with a wrong one; everything that it shows.
async fn gate_server(echo: &Receiver) -> String {
    let folder = std::env::temp_dir().join(format!("delivery-secrets-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("gates.jsonl");
    let builder = GateServer::builder(&file)
        .token("alice", &"s3cret-token-of-alice".into())
        .unwrap();
    let mut shown = format!("{builder:?}");
    let server = builder.open().await.unwrap();
    write!(shown, "{server:?}").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/gate/open", listener.local_addr().unwrap());
    let serving = tokio::spawn(server.serve(listener, std::future::pending()));
    let endpoint = Endpoint::new("url", &url).unwrap();
    for token in ["s3cret-token-of-alice", "s3cret-token-of-nobody"] {
        let body = json!({ "name": "web", "namespace": "shop" });
        let call = Call::post(&endpoint)
            .json(&body)
            .bearer("token", &token.into())
            .unwrap();
        write!(shown, "{:?}", support::client().send(&call).await).unwrap();
    }
    serving.abort();
    shown += &std::fs::read_to_string(&file).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(
        shown.contains(r#""who":"alice""#) && shown.contains("nobody has this token"),
        "{shown}"
    );
    assert!(echo.got().is_empty());
    shown
}

fn notice() -> Notice {
    Notice {
        id: 7,
        at: Timestamp::from_millis(1_777_000_000_000),
        revision: None,
        phase: Phase::Progressing,
        weight: Weight::ZERO,
        severity: Severity::Info,
        reason: Reason::StepDone,
    }
}
