//! A secret is sent, and shown nowhere: not in logs, not in errors, not in `Debug`.

use std::error::Error as _;
use std::fmt::Write;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use delivery_prom::{Client, Error, Server};
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const TOKEN: &str = "t0ken-of-nobody";
const PASSWORD: &str = "passw0rd-of-nobody";
const HEADER: &str = "header-of-nobody";
const PARAMETER: &str = "parameter-of-nobody";

/// Everything that is logged anywhere.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
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

/// `reader:passw0rd-of-nobody`, as it is sent.
const LOGIN: &str = "cmVhZGVyOnBhc3N3MHJkLW9mLW5vYm9keQ==";

fn assert_hidden(text: &str) {
    for secret in [TOKEN, PASSWORD, LOGIN, HEADER, PARAMETER] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// All that can be seen of an error.
fn shown(error: &Error) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, " {error} {error:?}");
        cause = error.source();
    }
    text
}

fn servers(address: &str) -> Vec<Server> {
    let with_login = address.replace("http://", &format!("http://reader:{PASSWORD}@"));
    let all = |server: Server| {
        server
            .header("X-Api-Key", HEADER.into())
            .unwrap()
            .timeout(Duration::from_millis(300))
            .limit(10_000)
    };
    vec![
        all(Server::new(address).unwrap()).bearer(TOKEN.into()),
        all(Server::new(address).unwrap()).basic("reader", PASSWORD.into()),
        all(Server::new(&format!("{with_login}/?token={PARAMETER}#{PARAMETER}")).unwrap()),
    ]
}

async fn errors_of(client: &Client) -> Vec<String> {
    let mut texts = Vec::new();
    for query in ["up", "sum(up)"] {
        match client.query(query).await {
            Ok(answer) => texts.extend(answer.reply().err().map(|it| shown(&it))),
            Err(error) => texts.push(shown(&error)),
        }
    }
    texts.extend(client.rules().await.err().map(|it| shown(&it)));
    texts.extend(client.ready().await.err().map(|it| shown(&it)));
    texts
}

#[tokio::test]
async fn a_secret_is_sent_and_never_shown() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);

    // Sends back what it got, in every way that fails.
    let echo = |status: u16| {
        move |request: &Request| {
            let body = format!("{request:?} {:?}", request.headers.get("authorization"));
            let seen = request
                .headers
                .iter()
                .fold(body, |text, (_, value)| text + value.to_str().unwrap_or_default());
            let body = json!({"status": "error", "errorType": "x", "error": seen});
            let text = if status == 200 { body.to_string() } else { seen };
            ResponseTemplate::new(status).set_body_string(text)
        }
    };
    let mut seen = Vec::new();
    for status in [200, 400, 401, 503] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(echo(status)).mount(&server).await;
        for server in servers(&server.uri()) {
            assert_hidden(&format!("{server:?} {server:#?}"));
            let client = server.client().unwrap();
            assert_hidden(&format!("{client:?} {client:#?} {}", client.address()));
            seen.extend(errors_of(&client).await);
        }
        let sent = format!("{:?}", server.received_requests().await.unwrap());
        for secret in [TOKEN, LOGIN, HEADER, PARAMETER] {
            assert!(sent.contains(secret), "{secret} was not sent");
        }
    }
    // Nobody is there, and the address is none.
    for server in servers("http://127.0.0.1:1") {
        seen.extend(errors_of(&server.client().unwrap()).await);
    }
    for address in [
        format!("ftp://reader:{PASSWORD}@host/?token={PARAMETER}"),
        format!("reader:{PASSWORD}@host"),
        format!("http://reader:{PASSWORD}@:80/#{PARAMETER}"),
    ] {
        seen.push(shown(&Server::new(&address).unwrap_err()));
    }
    let unsendable = format!("{HEADER}\n");
    let error = Server::new("http://host")
        .unwrap()
        .header("X-Api-Key", unsendable.into());
    seen.push(shown(&error.unwrap_err()));
    let error = Server::new("http://host")
        .unwrap()
        .bearer(format!("{TOKEN}\n").into())
        .client();
    seen.push(shown(&error.unwrap_err()));

    assert!(seen.len() > 30, "{}", seen.len());
    for text in &seen {
        assert_hidden(text);
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("trying again"), "nothing was logged: {logged}");
    assert_hidden(&logged);
}
