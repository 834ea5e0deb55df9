//! Plain HTTP: each request is decided by itself, and has one meaning before it goes on.

use portcullis_proxy::Why;
use tokio::io::AsyncWriteExt;

use crate::support::{World, http, next, read_all, read_head};

const HI: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 1\r\n\r\nhi";

/// Everything that comes back for these bytes until the proxy closes.
async fn answers(world: &World, requests: &str) -> String {
    let mut client = world.client().await;
    client.write_all(requests.as_bytes()).await.unwrap();
    String::from_utf8(read_all(&mut client).await).unwrap()
}

#[tokio::test]
async fn a_request_goes_on_without_what_is_about_the_connection() {
    let (server, mut received) = http(HI).await;
    let mut world = World::new(&["ok.com:80"], server);
    let mut client = world.client().await;
    client
        .write_all(
            b"GET http://OK.com/a?b=c HTTP/1.1\r\nHost: ok.com\r\nProxy-Connection: keep-alive\r\n\
              Proxy-Authorization: Basic eDp5\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nTE: trailers\r\n\
              Upgrade: websocket\r\nX-Kept: 1\r\n\r\n",
        )
        .await
        .unwrap();
    let head = read_head(&mut client).await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("x-end: 1") && !head.contains("x-hop") && !head.contains("keep-alive"));
    let request = next(&mut received).await;
    assert!(request.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{request}");
    let lower = request.to_ascii_lowercase();
    assert!(
        lower.contains("host: ok.com\r\n") && lower.contains("x-kept: 1\r\n"),
        "{request}"
    );
    for gone in ["proxy-", "connection", "x-mine", "te:", "upgrade"] {
        assert!(!lower.contains(gone), "{gone} in {request}");
    }
    let verdict = world.verdict().await;
    assert_eq!((verdict.allowed, verdict.port), (true, 80));
    assert!(verdict.bytes_up >= request.len() as u64 && verdict.bytes_down == HI.len() as u64);
}

#[tokio::test]
async fn each_request_on_a_kept_connection_is_decided_anew() {
    let (server, mut received) = http(HI).await;
    let mut world = World::new(&["ok.com:80", "ok.com:8080"], server);
    let mut client = world.client().await;
    let cases = [
        ("ok.com", "200"),
        ("evil.com", "403"),
        ("ok.com:8080", "200"),
        ("ok.com:22", "403"),
        ("ok.com", "200"),
    ];
    for (host, status) in cases {
        let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{host}: {head}"
        );
        let length = head
            .to_ascii_lowercase()
            .lines()
            .find_map(|line| Some(line.strip_prefix("content-length: ")?.parse().unwrap()));
        let mut body = vec![0; length.unwrap()];
        tokio::io::AsyncReadExt::read_exact(&mut client, &mut body)
            .await
            .unwrap();
        let allowed = status == "200";
        assert_eq!(world.verdict().await.allowed, allowed, "{host}");
        if allowed {
            let sent = next(&mut received).await.to_ascii_lowercase();
            assert!(sent.contains(&format!("host: {host}\r\n")), "{sent}");
        }
    }
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn host_is_the_host_of_the_url() {
    let (server, mut received) = http(HI).await;
    let world = World::new(&["ok.com:80", "b.ok.com:80"], server);
    let refused = [
        "GET http://ok.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        "GET http://ok.com/ HTTP/1.1\r\nHost: b.ok.com\r\n\r\n",
        "GET http://ok.com/ HTTP/1.1\r\nHost: ok.com:8080\r\n\r\n",
        "GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nHost: ok.com\r\n\r\n",
        "GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nHost: evil.com\r\n\r\n",
        "GET http://ok.com/ HTTP/1.1\r\n\r\n",
        "GET http://ok.com/ HTTP/1.1\r\nHost:\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET https://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET ftp://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET http://ok.com@evil.com/ HTTP/1.1\r\nHost: evil.com\r\n\r\n",
        "GET http://evil.com@ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET http://ok.com./ HTTP/1.1\r\nHost: ok.com.\r\n\r\n",
        "GET http://0x7f.1/ HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n",
        "GET http://evil\0.ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET http://\u{f6}k.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
    ];
    for request in refused {
        let status = world.ask(request.as_bytes()).await;
        assert!(status.starts_with("HTTP/1.1 40"), "{request}: {status}");
    }
    assert!(world.untouched());
    for request in [
        "GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET http://ok.com HTTP/1.1\r\nhost: OK.com:80\r\n\r\n",
        "GET http://ok.com:80/ HTTP/1.1\r\nHost: ok.com\r\n\r\n",
        "GET http://ok.com/ HTTP/1.0\r\n\r\n",
    ] {
        let status = world.ask(request.as_bytes()).await;
        assert!(status.ends_with("200 OK"), "{request}: {status}");
        let sent = next(&mut received).await.to_ascii_lowercase();
        assert!(sent.starts_with("get / http/1.1\r\n"), "{sent}");
        assert_eq!(sent.matches("host: ok.com\r\n").count(), 1, "{sent}");
    }
}

#[tokio::test]
async fn a_body_has_one_length() {
    let (server, mut received) = http(HI).await;
    let world = World::new(&["ok.com:80"], server);
    let post = |headers: &str, body: &str| {
        format!("POST http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n{headers}\r\n\r\n{body}")
    };
    let smuggled = "GET http://ok.com/smuggled HTTP/1.1\r\nHost: ok.com\r\n\r\n";
    for headers in [
        "Content-Length: 0\r\nContent-Length: 5",
        "Content-Length: 5, 0",
        "Content-Length: +5",
        "Content-Length: 5\r\nContent-Length: x",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip",
        "Content-Length : 5",
        " Content-Length: 5",
        "X: y\r\n folded: z",
    ] {
        let answer = answers(&world, &post(headers, "hello")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers}: {answer}");
    }
    assert!(world.untouched());

    // Both lengths: the chunks count, the other is gone, and nothing after them is a request.
    for headers in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        let answer = answers(
            &world,
            &post(headers, &format!("5\r\nhello\r\n0\r\n\r\n{smuggled}")),
        )
        .await;
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        let sent = next(&mut received).await.to_ascii_lowercase();
        assert!(
            sent.contains("transfer-encoding: chunked") && !sent.contains("content-length"),
            "{sent}"
        );
        assert!(sent.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{sent}");
    }
    // A body that looks like a request stays a body.
    let headers = format!("Connection: close\r\nContent-Length: {}", smuggled.len());
    let answer = answers(&world, &post(&headers, smuggled)).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
    let sent = next(&mut received).await;
    assert!(sent.ends_with(smuggled), "{sent}");
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn headers_have_a_size() {
    let (server, mut received) = http(HI).await;
    let mut world = World::new(&["ok.com:80"], server);
    let with = |bytes: usize| {
        let filler = "x".repeat(bytes);
        format!("GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nX: {filler}\r\n\r\n")
    };
    assert_eq!(
        world.ask(with(16 * 1024).as_bytes()).await,
        "HTTP/1.1 200 OK"
    );
    next(&mut received).await;
    assert!(world.verdict().await.allowed);
    let mut client = world.client().await;
    // It is refused before all of it is sent.
    let _closed: std::io::Result<()> = client.write_all(with(1024 * 1024).as_bytes()).await;
    let answer = read_all(&mut client).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"));
    assert!(matches!(world.verdict().await.why, Why::Malformed(_)));
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn answers_are_framed_anew() {
    let (server, _) =
        http("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n").await;
    let world = World::new(&["ok.com:80"], server);
    let answer = answers(
        &world,
        "GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nConnection: close\r\n\r\n",
    )
    .await;
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("2\r\nhi\r\n0\r\n\r\n"),
        "{answer}"
    );
    let (server, _) =
        http("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await;
    let world = World::new(&["ok.com:80"], server);
    let status = world.ask(b"GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n").await;
    assert!(status.starts_with("HTTP/1.1 502"), "{status}");
    // A length that is none.
    let (server, _) =
        http("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi").await;
    let world = World::new(&["ok.com:80"], server);
    let status = world
        .ask(b"GET http://ok.com/ HTTP/1.1\r\nHost: ok.com\r\n\r\n")
        .await;
    assert!(status.starts_with("HTTP/1.1 502"), "{status}");
}
