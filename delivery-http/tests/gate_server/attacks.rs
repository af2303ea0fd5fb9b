//! Strangers who want the server for themselves, and somebody honest who opens a gate meanwhile.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{ALICE, Running};

/// Longer than the server leaves anybody alone; nothing takes so long unless it is broken.
const BROKEN: Duration = Duration::from_secs(60);

/// Waits until the server has ended the connection, and returns what it said before.
async fn ended(mut stranger: TcpStream) -> String {
    let mut said = Vec::new();
    // A connection that is reset has ended too.
    let _ = timeout(BROKEN, stranger.read_to_end(&mut said))
        .await
        .expect("it was left open");
    String::from_utf8_lossy(&said).into_owned()
}

async fn connect(server: &Running) -> TcpStream {
    TcpStream::connect(server.address).await.unwrap()
}

/// Alice opens and closes a gate while `strangers` are at it.
async fn opens_a_gate(server: &Running) {
    let web = json!({ "name": "web", "namespace": "shop" });
    for path in ["/gate/open", "/gate/close"] {
        assert_eq!(server.post(path, ALICE, &web).await.0, 202);
    }
}

#[tokio::test]
async fn whoever_never_reads_an_answer_is_left() {
    let server = Running::start("never-reads").await;
    let mut stranger = connect(&server).await;
    let requests = "GET /healthz HTTP/1.1\r\nhost: it\r\n\r\n".repeat(1_000);
    let mut sent = 0;
    // Until nothing fits any more; then nothing is read for as long as the server takes.
    let writing = async {
        while stranger.write_all(requests.as_bytes()).await.is_ok() {
            sent += 1;
        }
    };
    timeout(BROKEN, writing).await.expect("it was left open");
    assert!(sent < 10_000, "it took {sent} thousand requests");
    opens_a_gate(&server).await;
}

#[tokio::test]
async fn a_connection_carries_a_thousand_requests() {
    let server = Running::start("a-thousand").await;
    let mut stranger = connect(&server).await;
    let requests = "GET /healthz HTTP/1.1\r\nhost: it\r\n\r\n".repeat(100);
    let (mut reads, mut writes) = stranger.split();
    let writing = async {
        for _ in 0..20 {
            if writes.write_all(requests.as_bytes()).await.is_err() {
                break;
            }
        }
    };
    let reading = async {
        let (mut answers, mut part) = (Vec::new(), [0; 4_096]);
        while let Ok(read @ 1..) = reads.read(&mut part).await {
            answers.extend_from_slice(&part[..read]);
        }
        String::from_utf8(answers).unwrap()
    };
    let ((), answers) = timeout(BROKEN, async { tokio::join!(writing, reading) })
        .await
        .unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 1_000);
    assert_eq!(answers.matches("connection: close").count(), 1);
    opens_a_gate(&server).await;
}

#[tokio::test]
async fn whoever_says_nothing_or_half_a_head_is_left() {
    let server = Running::start("half-a-head").await;
    let mut answered = connect(&server).await;
    let healthz = b"GET /healthz HTTP/1.1\r\nhost: it\r\n\r\n";
    answered.write_all(healthz).await.unwrap();
    let silent = connect(&server).await;
    let mut half = connect(&server).await;
    half.write_all(&healthz[..30]).await.unwrap();
    let trickling = async {
        let mut trickle = connect(&server).await;
        let head = format!("GET /healthz HTTP/1.1\r\nx: {}", "a".repeat(1_000));
        let mut bytes = head.bytes();
        while let Some(byte) = bytes.next()
            && trickle.write_all(&[byte]).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bytes.len()
    };
    let (answered, silent, half, left, ()) = tokio::join!(
        ended(answered),
        ended(silent),
        ended(half),
        trickling,
        opens_a_gate(&server)
    );
    assert_eq!(answered.matches("HTTP/1.1 200 OK").count(), 1, "{answered}");
    assert_eq!((silent.as_str(), half.as_str()), ("", ""));
    assert!(
        left > 0,
        "it took a head of {left} more bytes, one after the other"
    );
}

#[tokio::test]
async fn a_body_that_trickles_or_never_ends_is_left() {
    let server = Running::start("trickles").await;
    let head = |length: &str, token: &str| {
        format!("POST /gate/open HTTP/1.1\r\nhost: it\r\nauthorization: Bearer {token}\r\n{length}\r\n\r\n")
    };
    let slow = async |head: String, part: &str| {
        let mut stranger = connect(&server).await;
        stranger.write_all(head.as_bytes()).await.unwrap();
        let (mut reads, mut writes) = stranger.into_split();
        let writing = tokio::spawn({
            let part = part.to_owned();
            async move {
                while writes.write_all(part.as_bytes()).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        });
        let mut said = Vec::new();
        let _ = timeout(BROKEN, reads.read_to_end(&mut said))
            .await
            .expect("it was left open");
        writing.abort();
        String::from_utf8(said).unwrap()
    };
    let (chunked, long) = ("transfer-encoding: chunked", "content-length: 60000");
    let huge = format!("ffff\r\n{}\r\n", "x".repeat(0xffff));
    let (one, two, three, four, ()) = tokio::join!(
        slow(head(chunked, ALICE), "1\r\n \r\n"),
        slow(head(long, ALICE), " "),
        slow(head(chunked, "nobody's token is long"), "1\r\n \r\n"),
        slow(head(chunked, ALICE), &huge),
        opens_a_gate(&server)
    );
    assert!(one.starts_with("HTTP/1.1 408"), "{one}");
    assert!(two.starts_with("HTTP/1.1 408"), "{two}");
    assert!(three.starts_with("HTTP/1.1 401"), "{three}");
    assert!(four.starts_with("HTTP/1.1 413"), "{four}");
}

#[tokio::test]
async fn half_a_connection_is_answered_and_ended() {
    let server = Running::start("half-open").await;
    let mut stranger = connect(&server).await;
    let request = "POST /gate/check HTTP/1.1\r\nhost: it\r\ncontent-length: 33\r\n\r\n{\"name\":\"web\",\"namespace\":\"shop\"}";
    stranger.write_all(request.as_bytes()).await.unwrap();
    stranger.shutdown().await.unwrap();
    let said = ended(stranger).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 403"), "{said}");
    let mut cut = connect(&server).await;
    cut.write_all(&request.as_bytes()[..80]).await.unwrap();
    cut.shutdown().await.unwrap();
    let said = ended(cut).await;
    assert!(
        said.is_empty() || said.ends_with("the body broke off\n"),
        "{said}"
    );
    opens_a_gate(&server).await;
}

/// Requests as no well-kept client sends them, written byte by byte.
#[tokio::test]
async fn what_is_odd_is_refused_or_harmless() {
    let server = Running::start("odd").await;
    let body = "{\"name\":\"web\",\"namespace\":\"shop\"}";
    let open = |version: &str, headers: &str| {
        format!("POST /gate/open {version}\r\n{headers}content-length: 33\r\nconnection: close\r\n\r\n{body}")
    };
    let token = format!("authorization: Bearer {ALICE}\r\n");
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: it\r\nconnection: close\r\n{token}\r\n");
    let table = [
        ("no host", open("HTTP/1.1", &token), "HTTP/1.1 202"),
        ("HTTP/1.0", open("HTTP/1.0", &token), "HTTP/1.0 202"),
        (
            "two tokens",
            open("HTTP/1.1", &format!("{token}{token}")),
            "HTTP/1.1 401",
        ),
        (
            "a good token after a bad one",
            open("HTTP/1.1", &format!("authorization: Bearer x\r\n{token}")),
            "HTTP/1.1 401",
        ),
        (
            "another scheme",
            open("HTTP/1.1", "authorization: Basic YTpi\r\n"),
            "HTTP/1.1 401",
        ),
        (
            "a token in the query",
            open("HTTP/1.1", "host: it\r\n").replace(
                "/gate/open",
                &format!("/gate/open?token={}", ALICE.replace(' ', "+")),
            ),
            "HTTP/1.1 401",
        ),
        ("a path up", get("/gate/../gates"), "HTTP/1.1 404"),
        ("an encoded path up", get("/commands/shop/%2e%2e"), "HTTP/1.1 400"),
        ("an encoded slash", get("/commands/shop/a%2fb"), "HTTP/1.1 400"),
        ("an encoded zero", get("/commands/shop/a%00b"), "HTTP/1.1 400"),
        ("no UTF-8", get("/commands/shop/%ff"), "HTTP/1.1 400"),
        ("encoded letters", get("/commands/%73hop/we%62"), "HTTP/1.1 200"),
        (
            "a huge name",
            get(&format!("/commands/shop/{}", "a".repeat(10_000))),
            "HTTP/1.1 400",
        ),
        (
            "a head that is too long",
            get(&format!("/{}", "a".repeat(20_000))),
            "HTTP/1.1 4",
        ),
        (
            "not HTTP",
            String::from("\u{16}\u{3}\u{1}\r\n\r\n"),
            "HTTP/1.1 400",
        ),
        (
            "two lengths",
            open("HTTP/1.1", "content-length: 1\r\n"),
            "HTTP/1.1 400",
        ),
        (
            "a length and chunks",
            open("HTTP/1.1", "transfer-encoding: chunked\r\n"),
            "HTTP/1.1 4",
        ),
        (
            "a body that waits to be asked for",
            open(
                "HTTP/1.1",
                &format!("host: it\r\nexpect: 100-continue\r\n{token}"),
            ),
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202",
        ),
        (
            "a head only",
            get("/gates").replace("GET", "HEAD"),
            "HTTP/1.1 200",
        ),
    ];
    for (what, request, says) in table {
        let mut stranger = connect(&server).await;
        stranger.write_all(request.as_bytes()).await.unwrap();
        let said = ended(stranger).await;
        assert!(said.starts_with(says), "{what}: {said}");
        assert!(!said.contains(ALICE), "{what}: {said}");
    }
    let names = ["ﬁ", "web\u{202e}", "ＷＥＢ", "web\u{0}", "%77eb", ""];
    for name in names {
        let body = json!({ "name": name, "namespace": "shop" });
        assert_eq!(server.post("/gate/open", ALICE, &body).await.0, 400, "{name:?}");
    }
    let twice = String::from(r#"{"name":"web","namespace":"shop","name":"api"}"#);
    let said = server
        .call(reqwest::Method::POST, "/gate/open", ALICE, twice)
        .await;
    assert_eq!(said.0, 400, "{}", said.1);
    let open = server.read("/gates").await;
    assert_eq!(open, json!([{ "gate": "gate", "rollout": "web.shop" }]));
}
