//! What a healthy server would not do: errors, silence, half answers, garbage, floods.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use delivery_core::analysis::Window;
use delivery_core::plan::{Canary, Capabilities, MetricSpec, Plan, Spec, Strategy};
use delivery_core::port::{Fault, Measure, MetricSource};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_prom::reply::Data;
use delivery_prom::{Client, Error, Metrics, Server};
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use wiremock::matchers::{body_string_contains, header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

const GOOD: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1435781451.781,"42"]}}"#;

fn good() -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(GOOD, "application/json")
}

fn client(server: &MockServer) -> Client {
    Server::new(&server.uri())
        .unwrap()
        .timeout(Duration::from_secs(5))
        .limit(1 << 20)
        .client()
        .unwrap()
}

/// A server that gives these answers, one after the other, the last one for ever.
async fn server(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let last = answers.len() - 1;
    for (at, answer) in answers.into_iter().enumerate() {
        let mock = Mock::given(path("/api/v1/query")).respond_with(answer);
        let mock = if at < last { mock.up_to_n_times(1) } else { mock };
        mock.mount(&server).await;
    }
    server
}

async fn asked(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

// Again

#[tokio::test]
async fn what_may_pass_is_asked_again() {
    for status in [429, 502, 503, 504] {
        let server = server(vec![
            ResponseTemplate::new(status),
            ResponseTemplate::new(status),
            good(),
        ])
        .await;
        let answer = client(&server).query("up").await.unwrap();
        assert!(matches!(answer.reply().unwrap().data, Data::Scalar(_)));
        assert_eq!(asked(&server).await, 3, "{status}");
    }
}

#[tokio::test]
async fn what_will_not_pass_is_asked_once() {
    for status in [302, 400, 401, 403, 404, 422, 500, 501] {
        let body = r#"{"status":"error","errorType":"bad_data","error":"no such thing"}"#;
        let refusal = ResponseTemplate::new(status)
            .set_body_raw(body, "application/json")
            .insert_header("location", "http://127.0.0.1:1/");
        let server = server(vec![refusal]).await;
        let error = client(&server).query("up").await.unwrap_err();
        assert!(
            matches!(error, Error::Refused { status: said, .. } if said == status),
            "{error}"
        );
        let why = if status == 302 {
            "it points elsewhere"
        } else {
            "bad_data: no such thing"
        };
        let text = format!("asking {} for `up`: it refused ({status}: {why}", server.uri());
        assert!(error.to_string().starts_with(&text), "{error}");
        assert_eq!(error.fault(), Fault::Permanent);
        assert_eq!(asked(&server).await, 1, "{status}");
    }
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept() {
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "1");
    let server = server(vec![busy, good()]).await;
    let begun = tokio::time::Instant::now();
    client(&server).query("up").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(asked(&server).await, 2);
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_left_to_the_caller() {
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "3600");
    let server = server(vec![busy]).await;
    let error = client(&server).query("up").await.unwrap_err();
    let after = Some(Duration::from_secs(3_600));
    assert_eq!(error.fault(), Fault::Transient { after });
    assert_eq!(asked(&server).await, 1);
}

#[tokio::test]
async fn a_wait_that_no_clock_can_show_is_no_panic() {
    let waits = [
        "1000000000",
        "18446744073709551615",
        "99999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "-1",
        "1e9",
    ];
    for wait in waits {
        let busy = ResponseTemplate::new(429).insert_header("retry-after", wait);
        let server = server(vec![busy, good()]).await;
        // It is refused, or asked again: whatever the server wishes for.
        let _ = client(&server).query("up").await;
    }
}

#[tokio::test]
async fn a_limit_that_no_clock_can_show_is_none() {
    let server = server(vec![good()]).await;
    let patient = Server::new(&server.uri()).unwrap().timeout(Duration::MAX);
    patient.client().unwrap().query("up").await.unwrap();
}

#[tokio::test]
async fn what_does_not_pass_is_given_up_in_time() {
    let server = server(vec![
        ResponseTemplate::new(503).set_body_string("<h1>Down for\r\nmaintenance</h1>"),
    ])
    .await;
    let error = client(&server).query("up").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "asking {} for `up`: it is not available now (503: <h1>Down for maintenance</h1>)",
            server.uri()
        )
    );
    assert_eq!(error.fault(), Fault::Transient { after: None });
    assert_eq!(asked(&server).await, 5);
}

// Silence

#[tokio::test]
async fn silence_is_an_error_within_the_limit() {
    let server = server(vec![good().set_delay(Duration::from_secs(60))]).await;
    let client = Server::new(&server.uri())
        .unwrap()
        .timeout(Duration::from_millis(300))
        .client()
        .unwrap();
    let error = client.query("up").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("asking {} for `up`: no answer within 300ms", server.uri())
    );
    assert_eq!(error.fault(), Fault::Transient { after: None });
}

/// Answers every connection with these bytes, and then says nothing any more or hangs up.
async fn raw(bytes: &'static [u8], hangs_up: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4_096]).await;
                let _ = stream.write_all(bytes).await;
                if !hangs_up {
                    sleep(Duration::from_secs(60)).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn half_an_answer_is_an_error() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"status\":\"succ";
    for (bytes, hangs_up) in [
        (&half[..], true),
        (&half[..], false),
        (b"HTTP/1.1 200 OK\r\n", true),
        (b"", true),
    ] {
        let address = raw(bytes, hangs_up).await;
        let client = Server::new(&address)
            .unwrap()
            .timeout(Duration::from_millis(500))
            .client()
            .unwrap();
        let error = client.query("up").await.unwrap_err();
        assert!(
            matches!(error, Error::TimedOut { .. } | Error::Unreachable { .. }),
            "{error}"
        );
        assert_eq!(error.fault(), Fault::Transient { after: None });
    }
}

// Garbage

#[tokio::test]
async fn garbage_is_an_error_that_says_so() {
    for (body, says) in [
        ("<html>Welcome</html>", "expected value at line 1"),
        ("", "EOF while parsing"),
        (r#"{"status":"success"}"#, "missing field `data`"),
        (&GOOD[..60], "EOF while parsing"),
        ("{\"status\":\"success\",\"data\":[\u{0}]}", "line 1"),
    ] {
        let server = server(vec![
            ResponseTemplate::new(200).set_body_raw(body, "application/json"),
        ])
        .await;
        let answer = client(&server).query("up").await.unwrap();
        let error = answer.reply().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("asking {} for `up`: the answer cannot be read", server.uri())
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(says), "{cause}");
    }
    let rules = MockServer::start().await;
    let body = r#"{"status":"success","data":{"groups":[{"name":7}]}}"#;
    Mock::given(path("/api/v1/rules"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
        .mount(&rules)
        .await;
    let error = client(&rules).rules().await.unwrap_err();
    assert!(matches!(error, Error::Unreadable { .. }), "{error}");
}

#[tokio::test]
async fn a_query_that_failed_behind_a_good_status_is_refused() {
    let body = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
    let server = server(vec![
        ResponseTemplate::new(200).set_body_raw(body, "application/json"),
    ])
    .await;
    let answer = client(&server).query("up").await.unwrap();
    let error = answer.reply().unwrap_err();
    assert!(
        error.to_string().ends_with("(200: execution: too many samples)"),
        "{error}"
    );
}

// Floods

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused_with_and_without_a_length() {
    let server = server(vec![
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; (1 << 20) + 1]),
    ])
    .await;
    let error = client(&server).query("up").await.unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 1_048_576, .. }),
        "{error}"
    );

    // Chunks without an end: it is refused when the limit is reached, long before the time is over.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(flood(stream));
        }
    });
    let client = Server::new(&address)
        .unwrap()
        .limit(1 << 16)
        .timeout(Duration::from_secs(30))
        .client()
        .unwrap();
    let error = client.query("up").await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: 65_536, .. }), "{error}");
}

async fn flood(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4_096]).await;
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head).await.is_err() {
        return;
    }
    let chunk = [b"1000\r\n".to_vec(), vec![b' '; 0x1000], b"\r\n".to_vec()].concat();
    while stream.write_all(&chunk).await.is_ok() {}
}

// How it is asked

#[tokio::test]
async fn short_queries_are_asked_by_get_and_long_ones_by_post() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .and(path("/prefix/api/v1/query"))
        .and(query_param("query", "up{a=\"b c\"}"))
        .and(query_param("dedup", "true"))
        .and(header("x-scope-orgid", "team-a"))
        .respond_with(good())
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/prefix/api/v1/query"))
        .and(query_param("dedup", "true"))
        .and(header("content-type", "application/x-www-form-urlencoded"))
        .and(body_string_contains("query=up+%2B+up"))
        .respond_with(good())
        .expect(1)
        .mount(&server)
        .await;
    let client = Server::new(&format!("{}/prefix/?dedup=true", server.uri()))
        .unwrap()
        .tenant("team-a")
        .unwrap()
        .client()
        .unwrap();
    client.query("up{a=\"b c\"}").await.unwrap();
    client
        .query(vec!["up"; 1_000].join(" + ").as_str())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_line_that_is_too_long_for_a_proxy_is_sent_again_by_post() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(414))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .respond_with(good())
        .expect(1)
        .mount(&server)
        .await;
    client(&server).query("up").await.unwrap();
}

// Loki

#[tokio::test]
async fn loki_is_asked_in_its_own_way() {
    let server = MockServer::start().await;
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"app":"web"},"value":[1435781451.781,"7"]}],"stats":{"summary":{}}}}"#;
    Mock::given(path("/loki/api/v1/query"))
        .and(header("x-scope-orgid", "team-a"))
        .respond_with(ResponseTemplate::new(200).set_body_raw(body, "application/json"))
        .expect(1)
        .mount(&server)
        .await;
    let client = Server::loki(&server.uri())
        .unwrap()
        .tenant("team-a")
        .unwrap()
        .client()
        .unwrap();
    let answer = client
        .query(r#"sum(count_over_time({app="web"} |= "error" [1m]))"#)
        .await
        .unwrap();
    assert!(matches!(answer.reply().unwrap().data, Data::Vector(series) if series.len() == 1));

    let error = client
        .query(r#"{app="web"} |= "error""#)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("it asks for log lines, not for a number"),
        "{error}"
    );
    let request = &server.received_requests().await.unwrap()[0];
    assert!(!request.url.query().unwrap().contains("lookback_delta"));
}

// A round

/// Answers on kept-alive connections, and counts them and what is under way at a time.
#[derive(Default)]
struct Counted {
    connections: AtomicUsize,
    under_way: AtomicUsize,
    most: AtomicUsize,
    requests: AtomicUsize,
}

impl Counted {
    async fn listen(self: &Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let counted = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(Arc::clone(&counted).serve(stream));
            }
        });
        address
    }

    async fn serve(self: Arc<Self>, mut stream: TcpStream) {
        let mut buffer = vec![0; 16_384];
        while let Ok(1..) = stream.read(&mut buffer).await {
            self.requests.fetch_add(1, Ordering::SeqCst);
            let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(now, Ordering::SeqCst);
            sleep(Duration::from_millis(30)).await;
            self.under_way.fetch_sub(1, Ordering::SeqCst);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", GOOD.len());
            if stream.write_all((head + GOOD).as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn plan_of(metrics: usize) -> Plan {
    let canary = Canary {
        step_weight: Some(10.0),
        ..Canary::default()
    };
    let metric = |at| MetricSpec {
        query: Some(format!("sum(metric_{at})")),
        ..MetricSpec::at_least(&format!("metric-{at}"), 1.0)
    };
    let spec = Spec {
        metrics: (0..metrics).map(metric).collect(),
        ..Spec::new(Strategy::Canary(canary))
    };
    spec.compile(&Capabilities::ALL).unwrap().0
}

#[tokio::test]
async fn a_round_of_twenty_runs_side_by_side_over_few_connections_that_are_kept() {
    let counted = Arc::new(Counted::default());
    let client = Server::new(&counted.listen().await).unwrap().client().unwrap();
    let source = Metrics::new(client).at_once(4);
    let (plan, canary) = (plan_of(20), Revision::new("v2").unwrap());
    let to = Timestamp::from_millis(1_435_781_451_781);
    let asks: Vec<Measure<'_>> = plan
        .metrics()
        .iter()
        .map(|metric| Measure {
            metric,
            window: Window {
                from: to.before(Duration::from_secs(60)),
                to,
            },
            canary: &canary,
            primary: None,
            weight: Weight::ZERO,
        })
        .collect();
    for _ in 0..2 {
        let samples = join_all(asks.iter().map(|ask| source.measure(ask))).await;
        assert!(samples.iter().all(Result::is_ok), "{samples:?}");
    }
    assert_eq!(counted.requests.load(Ordering::SeqCst), 40);
    assert_eq!(
        counted.most.load(Ordering::SeqCst),
        4,
        "bounded, and side by side"
    );
    assert!(counted.connections.load(Ordering::SeqCst) <= 4, "kept alive");
}

#[tokio::test]
async fn a_part_of_the_rules_is_not_the_rules() {
    for partial in [
        r#""isPartial":true"#,
        r#""warnings":["ruler-2: connection refused"]"#,
    ] {
        let body = format!(r#"{{"status":"success",{partial},"data":{{"groups":[]}}}}"#);
        let server = MockServer::start().await;
        Mock::given(path("/api/v1/rules"))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .mount(&server)
            .await;
        let error = client(&server).rules().await.unwrap_err();
        assert!(matches!(error, Error::Partial { .. }), "{error}");
        assert!(
            error.to_string().contains("only a part of it was answered"),
            "{error}"
        );
        let taken = Server::new(&server.uri())
            .unwrap()
            .take_partial_answers()
            .client()
            .unwrap();
        assert!(taken.rules().await.unwrap().is_empty());
    }
}
