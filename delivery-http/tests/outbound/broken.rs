//! Receivers and sources that real servers are not on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use delivery_core::port::{Fault, Notifier, Sent};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::words::{chain, receiver, stepped, telling, told};

#[tokio::test]
async fn a_receiver_that_hangs_costs_one_timeout_and_not_one_for_each_notice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let notifications = telling([receiver("slack", &url).timeout(Duration::from_millis(100))]);
    for id in 0..32 {
        assert_eq!(
            notifications.send(&stepped(id)).await.unwrap(),
            Sent::Underway,
            "at once"
        );
    }
    let error = told(&notifications, &stepped(0)).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Transient { .. }));
    let text = chain(&error);
    assert!(text.contains("no complete answer from"), "{text}");
    assert_eq!(notifications.flush(Duration::from_millis(50)).await, 32);
    server.abort();
    // One, and another for every second that this took.
    assert!(calls.load(Ordering::SeqCst) < 5);
}

#[tokio::test]
async fn whatever_a_receiver_does_is_an_error_that_may_pass() {
    let refused = String::from("http://127.0.0.1:9");
    let slow = MockServer::start().await;
    let answer = ResponseTemplate::new(200).set_delay(Duration::from_secs(60));
    Mock::given(any()).respond_with(answer).mount(&slow).await;
    let (silent, cut) = (
        closing(b"").await,
        closing(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nx").await,
    );
    let garbage = closing(b"220 mail.example.com ESMTP\r\n").await;
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(30));
    for (url, timeout, says) in [
        (refused, long, "could not reach"),
        (slow.uri(), short, "no complete answer"),
        (silent, long, "broke off its answer"),
        (cut, long, "broke off its answer"),
        (garbage, long, "broke off its answer"),
    ] {
        let notifications = telling([receiver("slack", &url).timeout(timeout)]);
        let error = told(&notifications, &stepped(1)).await.unwrap_err();
        assert!(chain(&error).contains(says), "{says}: {}", chain(&error));
        assert_eq!(error.fault, Fault::Transient { after: None }, "{says}");
    }
}

/// Says this to everybody and hangs up.
async fn closing(says: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // The request must have come, or the end of the connection is a refusal.
            let _ = stream.readable().await;
            let _ = stream.write_all(says).await;
        }
    });
    url
}
