//! The TLS of a tunnel asks for the name that was connected to.

use portcullis_proxy::Why;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{World, client_hello, echo, next, read_all};

/// What the server got and what the proxy said, for these bytes in a tunnel to `ok.com`.
async fn through(bytes: &[u8], piece: usize) -> (Vec<u8>, Why) {
    let (server, mut received) = echo().await;
    let mut world = World::new(&["ok.com:443"], server);
    let (status, mut client) = world.connect("ok.com:443").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    client.set_nodelay(true).unwrap();
    for piece in bytes.chunks(piece) {
        // The proxy may have closed already.
        if client.write_all(piece).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let _closed: std::io::Result<()> = client.shutdown().await;
    read_all(&mut client).await;
    (next(&mut received).await, world.verdict().await.why)
}

#[tokio::test]
async fn tls_for_the_name_passes_in_any_pieces() {
    for name in ["ok.com", "OK.Com"] {
        let hello = [&client_hello(&[name])[..], b"more"].concat();
        for piece in [1, 5, 7, hello.len()] {
            assert_eq!(through(&hello, piece).await, (hello.clone(), Why::Allowed));
        }
    }
    // The same message in many records.
    let whole = client_hello(&["ok.com"]);
    let mut records = Vec::new();
    for part in whole[5..].chunks(9) {
        records.extend([0x16, 3, 1, 0, u8::try_from(part.len()).unwrap()]);
        records.extend(part);
    }
    assert_eq!(through(&records, 3).await, (records.clone(), Why::Allowed));
}

#[tokio::test]
async fn tls_for_another_server_reaches_nobody() {
    let cases = [
        (
            client_hello(&["evil.com"]),
            Why::ServerName(Some("evil.com".to_owned())),
        ),
        (
            client_hello(&["a.ok.com"]),
            Why::ServerName(Some("a.ok.com".to_owned())),
        ),
        (client_hello(&[]), Why::ServerName(None)),
    ];
    for (hello, why) in cases {
        for piece in [1, hello.len()] {
            assert_eq!(through(&hello, piece).await, (Vec::new(), why.clone()));
        }
    }
}

#[tokio::test]
async fn what_only_begins_as_tls_reaches_nobody() {
    let mut version_2 = client_hello(&["ok.com"]);
    version_2[1] = 2;
    let mut server_hello = client_hello(&["ok.com"]);
    server_hello[5] = 2;
    let mut huge = client_hello(&["ok.com"]);
    huge[6] = 1;
    let cases = [
        client_hello(&["ok.com", "evil.com"]),
        client_hello(&["ok.com."]),
        client_hello(&["ok\0.com"]),
        client_hello(&["127.0.0.1"]),
        version_2,
        server_hello,
        huge,
        // An alert or a change of ciphers before the ClientHello, which some servers skip.
        [&[0x15, 3, 1, 0, 2, 1, 0][..], &client_hello(&["ok.com"])].concat(),
        [&[0x14, 3, 3, 0, 1, 1][..], &client_hello(&["ok.com"])].concat(),
        // Empty records, and a message that never ends.
        [&[0x16, 3, 1, 0, 0][..], &client_hello(&["ok.com"])].concat(),
        client_hello(&["ok.com"])[..40].to_vec(),
    ];
    for bytes in cases {
        let (got, why) = through(&bytes, bytes.len()).await;
        assert_eq!(got, b"", "{bytes:?}");
        assert!(matches!(why, Why::Malformed(_)), "{why:?}");
    }
}

#[tokio::test]
async fn other_protocols_pass_also_when_the_server_speaks_first() {
    let (server, mut received) = echo().await;
    let mut world = World::new(&["ok.com:22"], server);
    let (_, mut client) = world.connect("ok.com:22").await;
    let mut hello = [0; 5];
    client.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"hello");
    client.write_all(b"SSH-2.0").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut client).await, b"SSH-2.0");
    assert_eq!(next(&mut received).await, b"SSH-2.0");
    let verdict = world.verdict().await;
    assert_eq!((verdict.bytes_up, verdict.bytes_down), (7, 12));
}

#[tokio::test]
async fn what_comes_with_the_request_belongs_to_the_tunnel() {
    let (server, mut received) = echo().await;
    let world = World::new(&["ok.com:443"], server);
    for (name, reaches) in [("ok.com", true), ("evil.com", false)] {
        let mut client = world.client().await;
        let hello = client_hello(&[name]);
        let head = b"CONNECT ok.com:443 HTTP/1.1\r\nHost: ok.com:443\r\n\r\n";
        client
            .write_all(&[&head[..], &hello].concat())
            .await
            .unwrap();
        client.shutdown().await.unwrap();
        read_all(&mut client).await;
        assert_eq!(
            next(&mut received).await,
            if reaches { hello } else { Vec::new() }
        );
    }
}

#[tokio::test]
async fn an_address_needs_no_name() {
    let (server, mut received) = echo().await;
    let world = World::new(&[&server.to_string()], server);
    for hello in [client_hello(&[]), client_hello(&["any.com"])] {
        let (status, mut client) = world.connect(&server.to_string()).await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        client.write_all(&hello).await.unwrap();
        client.shutdown().await.unwrap();
        read_all(&mut client).await;
        assert_eq!(next(&mut received).await, hello);
    }
}

#[tokio::test]
async fn connect_has_no_body() {
    let (server, _) = echo().await;
    let world = World::new(&["ok.com:443"], server);
    for header in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
        let head = format!("CONNECT ok.com:443 HTTP/1.1\r\nHost: ok.com:443\r\n{header}\r\n\r\n");
        assert_eq!(world.ask(head.as_bytes()).await, "HTTP/1.1 400 Bad Request");
    }
    assert!(world.untouched());
}
