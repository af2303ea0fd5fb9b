//! The client against real servers, most of them broken.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use delivery_core::port::Fault;
use delivery_outbound::{Call, Client, Endpoint, Error, Limits, REDIRECTS, Reply, Verification};
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use support::{Broken, Receiver, Says, broken, client};

// Failures

#[tokio::test]
async fn every_way_to_fail_is_told_apart() {
    type Is = fn(&Error) -> bool;
    let transient: Is = |it| matches!(it.fault(), Fault::Transient { after: None });
    let table: [(Broken, Is); 6] = [
        (Broken::Refuses, |it| matches!(it, Error::Unreachable { .. })),
        (Broken::ResetsBefore, |it| matches!(it, Error::CutOff { .. })),
        (Broken::ResetsAfter, |it| matches!(it, Error::CutOff { .. })),
        (Broken::NoHttp, |it| matches!(it, Error::CutOff { .. })),
        (Broken::Hangs, |it| {
            matches!(it, Error::TimedOut { limit: LIMIT, .. })
        }),
        (Broken::Drips, |it| {
            matches!(it, Error::TimedOut { limit: LIMIT, .. })
        }),
    ];
    for (how, is) in table {
        let endpoint = Endpoint::new("url", &broken(how).await).unwrap();
        let error = client()
            .send(&Call::post(&endpoint).limits(limits(0)))
            .await
            .unwrap_err();
        assert!(is(&error) && transient(&error), "{how:?}: {error:?}");
        assert!(error.to_string().contains("http://127.0.0.1:"), "{error}");
    }
}

const LIMIT: Duration = Duration::from_millis(300);

fn limits(retries: u32) -> Limits {
    Limits::new(LIMIT, retries)
}

#[tokio::test]
async fn of_an_endless_answer_only_the_beginning_is_read() {
    let endpoint = Endpoint::new("url", &broken(Broken::Endless).await).unwrap();
    let limits = Limits {
        body: 100,
        ..Limits::default()
    };
    let reply = client().send(&Call::get(&endpoint).limits(limits)).await.unwrap();
    assert_eq!(
        (reply.status, reply.body.as_slice(), reply.cut),
        (200, [b'x'; 100].as_slice(), true)
    );
    let error = reply.whole().unwrap_err().to_string();
    assert!(error.ends_with("is longer than 100 bytes"), "{error}");
}

#[tokio::test]
async fn an_answer_that_just_fits_is_whole() {
    let server = Receiver::saying(Says::status(200).body("12345")).await;
    for (body, whole) in [(5, true), (4, false), (0, false)] {
        let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
        let limits = Limits {
            body,
            ..Limits::default()
        };
        let reply = client().send(&Call::get(&endpoint).limits(limits)).await.unwrap();
        assert_eq!(reply.whole().is_ok(), whole, "{body}");
    }
}

#[tokio::test]
async fn an_answer_outside_200_to_299_is_a_refusal_with_what_it_says() {
    for status in [200, 201, 202, 204, 206, 299] {
        let server = Receiver::saying(Says::status(status)).await;
        assert_eq!(get(&client(), &server.url("/")).await.unwrap().status, status);
    }
    for (status, tried_again) in [
        (304, false),
        (400, false),
        (403, false),
        (408, true),
        (429, true),
        (500, true),
        (501, false),
        (503, true),
    ] {
        let server = Receiver::saying(Says::status(status).body("not\nnow")).await;
        let error = get(&client(), &server.url("/")).await.unwrap_err();
        assert_eq!(
            matches!(error.fault(), Fault::Transient { .. }),
            tried_again,
            "{status}"
        );
        let said = if status == 304 { "" } else { ": not now" };
        assert_eq!(
            error.to_string(),
            format!("http://{} answered {status}{said}", server.address)
        );
    }
}

async fn get(client: &Client, url: &str) -> Result<Reply, Error> {
    client.send(&Call::get(&Endpoint::new("url", url)?)).await
}

// Trying again

#[tokio::test]
async fn it_is_tried_again_as_often_as_allowed_and_as_long_as_it_helps() {
    for (status, retries, calls) in [(500, 1, 2), (500, 0, 1), (403, 1, 1), (501, 1, 1)] {
        let server = Receiver::saying(Says::status(status)).await;
        let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
        let error = client()
            .send(&Call::post(&endpoint).limits(limits(retries)))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert_eq!(server.got().len(), calls, "{status}, {retries} retries");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_instead() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let server = Receiver::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0..=2 => Says::status(429).header("retry-after", "0"),
        _ => Says::status(200),
    })
    .await;
    let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
    // Without it there would be waits of 1, 2 and 4 s, for which there is no time.
    let limits = Limits {
        total: Duration::from_secs(1),
        ..limits(3)
    };
    client()
        .send(&Call::post(&endpoint).limits(limits))
        .await
        .unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_wait_that_the_total_has_no_time_for_is_not_begun() {
    let server = Receiver::saying(Says::status(429).header("retry-after", "30")).await;
    let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
    let limits = Limits {
        total: Duration::from_secs(5),
        ..limits(3)
    };
    let error = client()
        .send(&Call::post(&endpoint).limits(limits))
        .await
        .unwrap_err();
    assert_eq!(
        error.fault(),
        Fault::Transient {
            after: Some(Duration::from_secs(30))
        }
    );
    assert_eq!(server.got().len(), 1);
}

#[tokio::test]
async fn no_wait_and_no_limit_is_too_long_for_a_clock() {
    let waits = [
        "1000000000",
        "18446744073709551615",
        "99999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "-1",
        "1e9",
    ];
    let pauses = [Duration::from_secs(1), Duration::MAX];
    for (wait, pause) in waits.iter().flat_map(|wait| pauses.map(|pause| (wait, pause))) {
        let server = Receiver::saying(Says::status(429).header("retry-after", *wait)).await;
        let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
        let limits = Limits {
            total: Duration::from_secs(1),
            pause,
            ..Limits::new(Duration::MAX, u32::MAX)
        };
        let error = client()
            .send(&Call::get(&endpoint).limits(limits))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Refused { status: 429, .. }),
            "{wait}: {error:?}"
        );
        assert_eq!(server.got().len(), 1, "{wait}");
    }
    let server = Receiver::saying(Says::status(200)).await;
    let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
    let endless = Limits::new(Duration::MAX, u32::MAX);
    client()
        .send(&Call::get(&endpoint).limits(endless))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_caller_says_which_statuses_may_pass_and_what_a_refusal_says() {
    for (status, calls) in [(500, 1), (418, 2)] {
        let server = Receiver::saying(Says::status(status).body("no tea").header("retry-after", "0")).await;
        let endpoint = Endpoint::new("url", &server.url("/")).unwrap();
        let limits = Limits {
            pause: Duration::from_millis(1),
            ..limits(1)
        };
        let call = Call::get(&endpoint).limits(limits);
        let call = call
            .passing(|it| it == 418)
            .words(|it| String::from_utf8_lossy(&it[3..]));
        let error = client().send(&call).await.unwrap_err().to_string();
        assert!(error.ends_with(&format!("answered {status}: tea")), "{error}");
        assert_eq!(server.got().len(), calls, "{status}");
    }
}

// Redirects

#[tokio::test]
async fn a_call_that_stays_follows_nothing() {
    for status in [301, 302, 303, 307, 308] {
        let server = Receiver::saying(Says::status(status).header("location", "/new")).await;
        let endpoint = Endpoint::new("url", &server.url("/old")).unwrap();
        let error = client()
            .send(&Call::get(&endpoint).stay())
            .await
            .unwrap_err()
            .to_string();
        let says = format!("answered {status}: it points elsewhere: use the address that it points to");
        assert!(error.ends_with(&says), "{error}");
        assert_eq!(server.got().len(), 1);
    }
}

#[tokio::test]
async fn what_is_read_is_followed_and_what_is_sent_is_not_left_behind() {
    let all = [301, 302, 303, 307, 308];
    for status in all {
        let server = Receiver::start(move |it| match it.path.as_str() {
            "/old" => Says::status(status).header("location", "/new"),
            _ => Says::status(200),
        })
        .await;
        let endpoint = Endpoint::new("url", &server.url("/old")).unwrap();
        client().send(&Call::get(&endpoint)).await.unwrap();
        assert_eq!(server.got().last().unwrap().path, "/new", "{status}");

        let sent = client()
            .send(&Call::post(&endpoint).json(&serde_json::json!({})))
            .await;
        let last = server.got().last().unwrap().clone();
        let arrived = (last.path.as_str(), last.method.as_str(), last.text.as_str());
        if status < 304 {
            let error = sent.unwrap_err().to_string();
            assert!(
                error.contains("a redirect that leaves the message behind"),
                "{status}: {error}"
            );
            assert_eq!(arrived, ("/old", "POST", "{}"), "{status}");
        } else {
            sent.unwrap();
            assert_eq!(arrived, ("/new", "POST", "{}"), "{status}");
        }
    }
}

#[tokio::test]
async fn a_redirect_in_a_circle_ends() {
    let server = Receiver::saying(Says::status(302).header("location", "/")).await;
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(
        matches!(error, Error::Redirects { limit: REDIRECTS, .. }),
        "{error:?}"
    );
    assert_eq!(server.got().len(), REDIRECTS + 1);
}

#[tokio::test]
async fn a_secret_goes_to_no_other_host_and_does_not_come_back_from_there() {
    let home = Receiver::start(|it| match it.path.as_str() {
        "/same" => Says::status(307).header("location", "/end"),
        "/away" => Says::status(307).header("location", it.headers["x-away"].clone()),
        _ => Says::status(200),
    })
    .await;
    let back = home.url("/end");
    let away = Receiver::start(move |_| Says::status(307).header("location", back.clone())).await;
    let login = home.url("/").replace("http://", "http://user:s3cret-password@");
    let key = SecretString::from("s3cret-key");
    for (path, kept) in [("same", true), ("away", false)] {
        for (url, header) in [(login.clone(), "authorization"), (home.url("/"), "x-api-key")] {
            let endpoint = Endpoint::new("url", &url).unwrap().join(path);
            let mut call =
                Call::post(&endpoint).header("x-away".parse().unwrap(), away.url("/").parse().unwrap());
            if header == "x-api-key" {
                call = call.secret_header("x-api-key".parse().unwrap(), "s3cret-key".parse().unwrap(), &key);
            }
            client().send(&call).await.unwrap();
            let (first, last) = (
                home.got().into_iter().rev().nth(1).unwrap(),
                home.got().pop().unwrap(),
            );
            assert_eq!(
                (first.path.as_str(), last.path.as_str()),
                (endpoint_path(path).as_str(), "/end")
            );
            assert!(first.headers.contains_key(header));
            assert_eq!(last.headers.contains_key(header), kept, "{path} {header}");
        }
    }
    let got = away.got();
    assert!(
        got.iter()
            .all(|it| !it.headers.contains_key("authorization") && !it.headers.contains_key("x-api-key"))
    );
    assert_eq!(got.len(), 2);
}

fn endpoint_path(path: &str) -> String {
    format!("/{path}")
}

#[tokio::test]
async fn a_redirect_to_something_else_than_http_is_refused() {
    for target in [
        "file:///etc/passwd",
        "gopher://host/",
        "http://[",
        "mailto:somebody",
    ] {
        let server = Receiver::saying(Says::status(302).header("location", target)).await;
        let error = get(&client(), &server.url("/")).await.unwrap_err();
        assert!(
            error
                .to_string()
                .contains("answered 302: a redirect to something that is "),
            "{error}"
        );
    }
}

// Whom it may call

#[tokio::test]
async fn only_allowed_hosts_are_called_also_after_a_redirect() {
    let other = Receiver::saying(Says::status(200)).await;
    let elsewhere = other.url("/").replace("127.0.0.1", "localhost");
    let server = Receiver::start(move |_| Says::status(302).header("location", elsewhere.clone())).await;
    let client = Client::builder()
        .direct()
        .allow_hosts(["127.0.0.1"])
        .unwrap()
        .build()
        .unwrap();
    let error = get(&client, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::HostNotAllowed { .. }), "{error:?}");
    let endpoint = Endpoint::new("url", "http://localhost/").unwrap();
    let error = client
        .check("webhooks[0].url", &endpoint)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("webhooks[0].url: http://localhost is not among the allowed hosts"),
        "{error}"
    );
    assert_eq!((server.got().len(), other.got().len()), (1, 0));
}

#[tokio::test]
async fn metadata_addresses_are_not_called_by_number_by_redirect_or_by_name() {
    let client = Client::builder().refuse_metadata_addresses().build().unwrap();
    for url in [
        "http://169.254.169.254/latest/meta-data",
        "http://[fe80::1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://2852039166/",
    ] {
        let error = get(&client, url).await.unwrap_err();
        assert!(matches!(error, Error::AddressRefused { .. }), "{url}: {error:?}");
        assert!(
            client.check("url", &Endpoint::new("url", url).unwrap()).is_err(),
            "{url}"
        );
    }
    let server = Receiver::saying(Says::status(302).header("location", "http://169.254.169.254/")).await;
    let error = get(&client, &server.url("/")).await.unwrap_err();
    assert!(matches!(error, Error::AddressRefused { .. }), "{error:?}");
    // A name that leads to this machine is none of them.
    let named = server.url("/").replace("127.0.0.1", "localhost");
    let error = get(&client, &named).await.unwrap_err();
    assert!(matches!(error, Error::AddressRefused { .. }), "{error:?}");
    assert_eq!(server.got().len(), 2);
}

// TLS

/// A server with a certificate for 127.0.0.1; its URL and the certificate in PEM.
async fn tls() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".into()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                let _ = stream.read(&mut [0; 1024]).await;
                let _ = stream
                    .write_all(
                        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
                    )
                    .await;
            });
        }
    });
    (url, made.cert.pem())
}

#[tokio::test]
async fn a_certificate_counts_unless_it_is_trusted_or_nobody_looks() {
    let (url, pem) = tls().await;
    let endpoint = Endpoint::new("url", &url).unwrap();
    let error = client()
        .send(&Call::get(&endpoint).limits(limits(3)))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert_eq!(error.fault(), Fault::Permanent);

    // It is reached then: its answer is a redirect that loses the encryption, which is refused.
    let refused = "answered 302: a redirect from https to http";
    let call = Call::get(&endpoint).verification(Verification::Skipped);
    assert!(
        client()
            .send(&call)
            .await
            .unwrap_err()
            .to_string()
            .ends_with(refused)
    );
    let trusting = Client::builder()
        .direct()
        .trust("ca", pem.as_bytes())
        .unwrap()
        .build()
        .unwrap();
    assert!(
        trusting
            .send(&Call::get(&endpoint))
            .await
            .unwrap_err()
            .to_string()
            .ends_with(refused)
    );
    assert!(Client::builder().trust("ca", b"nothing").is_err());
}

#[tokio::test]
async fn a_server_without_tls_is_no_trusted_connection() {
    let server = Receiver::saying(Says::status(200)).await;
    let error = get(&client(), &server.url("/").replace("http://", "https://"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
}

#[tokio::test]
async fn a_client_may_have_a_proxy_of_its_own_with_a_login_that_is_not_shown() {
    let proxy = Receiver::start(|_| Says::status(200)).await;
    let url = proxy.url("/").replace("http://", "http://user:s3cret@");
    let builder = Client::builder().proxy("proxy", &url).unwrap();
    assert!(!format!("{builder:?}").contains("s3cret"));
    let target = Endpoint::new("url", "http://hooks.test/it").unwrap();
    builder.build().unwrap().send(&Call::get(&target)).await.unwrap();
    let got = proxy.got().remove(0);
    assert_eq!(got.path, "http://hooks.test/it");
    assert_eq!(got.headers["proxy-authorization"], "Basic dXNlcjpzM2NyZXQ=");

    let error = Client::builder().proxy("alerts.proxy", "socks").unwrap_err();
    assert!(
        error.to_string().starts_with("alerts.proxy: not a URL"),
        "{error}"
    );
    let both = Client::builder()
        .refuse_metadata_addresses()
        .proxy("proxy", &url)
        .unwrap();
    assert!(matches!(both.build(), Err(Error::Unusable { .. })));
}

// Secrets

#[tokio::test]
async fn a_secret_that_an_answer_repeats_is_blotted_out() {
    let server = Receiver::start(|it| Says::status(403).body(format!("{:?} {}", it.headers, it.path))).await;
    let url = server.url("/").replace("http://", "http://user:s3cret-password@");
    let endpoint = Endpoint::new("url", &url).unwrap();
    let call = Call::post(&endpoint)
        .bearer("token", &SecretString::from("s3cret-token"))
        .unwrap();
    assert!(!format!("{call:?} {endpoint:?}").contains("s3cret"));
    let error = client().send(&call).await.unwrap_err();
    assert!(error.to_string().contains("Bearer [secret]"), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_login_that_an_answer_repeats_as_its_header_had_it_is_blotted_out() {
    let server = Receiver::start(|it| Says::status(403).body(it.headers["authorization"].as_str())).await;
    let url = server.url("/").replace("http://", "http://user:s3cret@");
    let endpoint = Endpoint::new("url", &url).unwrap();
    let error = client().send(&Call::get(&endpoint)).await.unwrap_err();
    assert!(
        error.to_string().ends_with("answered 403: Basic [secret]"),
        "{error}"
    );
}
