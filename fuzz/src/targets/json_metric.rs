//! Metrics that are asked over HTTP and answer in JSON: the path, the URL, and the answer.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use delivery_core::analysis::{Judge, Metric, Range, Sample, Window};
use delivery_core::port::{Measure, MetricSource};
use delivery_core::{Revision, Timestamp, Weight};
use delivery_http::json_metric::{Asks, Covers, JsonMetric, JsonMetricSpec, JsonMetrics};
use delivery_outbound::Client;

use super::reply::nothing_told;
use super::text;
use crate::{Shape, check};

/// The first line is the path, the second the end of the URL, the rest is the answer.
pub(super) fn run(input: &[u8]) -> Shape {
    let input = text(input);
    let (path, rest) = check::line(&input);
    let (url, answer) = check::line(rest);
    let server = server();
    let mut shape = Shape::default();
    // What the URL says is not what is sent: that needs no server.
    let written = JsonMetric::new(&JsonMetricSpec {
        url: url.into(),
        json_path: path.into(),
        body: Some(answer.into()),
        args: [("x".into(), url.into())].into(),
        asks: Asks::Both,
        ..JsonMetricSpec::new(Covers::Window)
    });
    if let Err(error) = written {
        shape = shape.said(&all(&error));
    }
    let metric = JsonMetric::new(&JsonMetricSpec {
        url: format!("http://{}/", server.address),
        json_path: path.into(),
        ..JsonMetricSpec::new(Covers::Last(Duration::ZERO))
    });
    let metric = match metric {
        Ok(metric) => metric,
        Err(error) => return shape.said(&all(&error)),
    };
    *server.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer.as_bytes().to_vec();
    match measured(metric) {
        Ok(Sample::Nothing(nothing)) => shape.said(&nothing_told(&nothing)),
        Ok(Sample::Value(value)) => {
            assert!(!value.is_nan(), "NaN is a number");
            shape.and(value.is_finite())
        }
        Ok(Sample::Counts { canary, primary }) => {
            assert!(canary.errors <= canary.total && canary.total > 0, "{canary:?}");
            shape.and(primary.is_some())
        }
        Ok(Sample::Pair { .. }) => shape.and("pair"),
        Ok(Sample::Histogram { .. }) => shape.and("histogram"),
        Err(error) => shape.said(&check::error(&error)),
    }
}

/// Each of several problems has a bound of its own.
fn all(error: &delivery_http::Error) -> String {
    match error {
        delivery_http::Error::Several { failed } => {
            let told = failed.iter().map(|it| check::error(it));
            told.collect::<Vec<_>>().join("; ")
        }
        one => check::error(one),
    }
}

fn measured(metric: JsonMetric) -> Result<Sample, delivery_core::port::PortError> {
    static CLIENT: OnceLock<(Client, Mutex<tokio::runtime::Runtime>)> = OnceLock::new();
    let (client, runtime) = CLIENT.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let client = Client::builder().direct().build();
        (
            client.expect("a client"),
            Mutex::new(runtime.expect("a runtime of one thread")),
        )
    });
    let metrics = JsonMetrics::new(client.clone()).with("m", metric);
    let metrics = metrics.expect("its address is good").clock(Arc::new(Still));
    let (asked, revision) = (
        Metric {
            name: "m".into(),
            query: None,
            window: Duration::from_secs(60),
            min_sample: 0,
            judge: Judge::Range(Range::at_least(1.0)),
        },
        Revision::of(&serde_json::Value::Null),
    );
    let now = Timestamp::from_millis(1_777_000_000_000);
    let ask = Measure {
        metric: &asked,
        window: Window {
            from: now.before(Duration::from_secs(60)),
            to: now,
        },
        canary: &revision,
        primary: None,
        weight: Weight::ZERO,
    };
    let runtime = runtime.lock().unwrap_or_else(PoisonError::into_inner);
    runtime.block_on(metrics.measure(&ask))
}

struct Still;

impl delivery_core::port::Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_777_000_000_000)
    }
}

/// Answers everything with the same text.
struct Server {
    address: SocketAddr,
    answer: Arc<Mutex<Vec<u8>>>,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("the address of a listener");
        let answer = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&answer);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let said = Arc::clone(&said);
                thread::spawn(move || answer_all(&connection, &said));
            }
        });
        Server { address, answer }
    })
}

fn answer_all(connection: &TcpStream, said: &Mutex<Vec<u8>>) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let (mut reader, mut writer) = (BufReader::new(connection), connection);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line.trim().is_empty() {
            let body = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
            answer.extend(body);
            writer.write_all(&answer)?;
        }
    }
}
