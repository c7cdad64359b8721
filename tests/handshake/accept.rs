//! Whole sign-ins over a socket, with a server that answers every command with OK: what garbage, silence and hostility
//! get, TLS, and users that change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use desirepath::catalog::credentials::{Credential, Plugin};
use desirepath::catalog::objects::User;
use desirepath::config::Settings;
use desirepath::engine::Engine;
use desirepath::error::{Error, Kind};
use desirepath::server::mysql::handshake::{self, AcceptContext, Accepted, OFFERED, accept};
use desirepath::server::mysql::packet::{Completion, PacketReader, PacketWriter};
use desirepath::server::mysql::tls;
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, OptsBuilder, SslOpts};
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, HandshakePacket, HandshakeResponse, SslRequest};
use mysql_common::proto::MySerialize;
use mysql_common::scramble::scramble_native;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PASSWORD: &str = "correct horse";
const CHANGE_USER: u8 = 0x11;

/// A server with the accounts `native` and `sha2`, both with [`PASSWORD`], and `root`, who has none.
async fn server() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Error>) {
    // Making an RSA key takes seconds in a debug build on a busy machine.
    server_that_waits(60).await
}

async fn server_that_waits(connect_timeout_seconds: u64) -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Error>) {
    let settings = Settings { data: "memory://handshake".into(), connect_timeout_seconds, ..Settings::default() };
    let engine = Engine::open(settings).await.unwrap();
    for (name, plugin) in [("native", Plugin::NativePassword), ("sha2", Plugin::CachingSha2Password)] {
        let credential = Credential::make(plugin, PASSWORD).unwrap();
        let user = User { name: name.into(), host: "%".into(), credential };
        engine.catalog().change(|manifest| manifest.create_user(user.clone())).await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let context = Arc::new(AcceptContext::new(engine).await.unwrap());
    let (refusals, refused) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, from)) = listener.accept().await {
            let (context, refusals) = (context.clone(), refusals.clone());
            tokio::spawn(async move {
                match accept(stream, from, &context).await {
                    Ok(accepted) => agree(accepted, &context).await,
                    Err(error) => refusals.send(error).unwrap_or_default(),
                }
            });
        }
    });
    (address, refused)
}

/// Answers every command with OK.
async fn agree(accepted: Accepted, context: &AcceptContext) {
    let Accepted { mut reader, mut writer, peer, .. } = accepted;
    let done = Completion::plain(StatusFlags::SERVER_STATUS_AUTOCOMMIT);
    writer.write_ok(&done);
    writer.flush().await.unwrap();
    while let Ok(Some(packet)) = reader.read_packet(0).await {
        writer.set_sequence(reader.next_sequence());
        if packet.first() == Some(&CHANGE_USER)
            && let Err(error) = handshake::change_user(&packet, &peer, &mut reader, &mut writer, context).await
        {
            writer.write_error(&error);
            return writer.shut_down().await;
        }
        writer.write_ok(&done);
        writer.flush().await.unwrap();
    }
}

/// Reads the greeting's packet and returns its payload.
async fn greeted(stream: &mut TcpStream) -> Vec<u8> {
    PacketReader::exact(stream, 1 << 16).read_packet(0).await.unwrap().unwrap().to_vec()
}

/// Sends raw bytes after the greeting and returns the ERR's number and text, and that the connection was closed.
async fn answer_to(address: SocketAddr, bytes: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    greeted(&mut stream).await;
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[4], 0xFF, "{answer:?}");
    assert_eq!(answer[..3], ((answer.len() - 4) as u32).to_le_bytes()[..3], "one packet and no more");
    (u16::from_le_bytes([answer[5], answer[6]]), String::from_utf8_lossy(&answer[13..]).into_owned())
}

fn packet(sequence: u8, payload: &[u8]) -> Vec<u8> {
    [&(payload.len() as u32).to_le_bytes()[..3], &[sequence], payload].concat()
}

fn response(user: &str, proof: &[u8], flags: CapabilityFlags) -> Vec<u8> {
    let packet = HandshakeResponse::new(
        Some(proof),
        (8, 0, 36),
        Some(user.as_bytes()),
        None::<&[u8]>,
        Some(AuthPlugin::MysqlNativePassword),
        flags,
        None,
        1 << 24,
    );
    let mut payload = Vec::new();
    packet.serialize(&mut payload);
    payload
}

fn salt_of(greeting: &[u8]) -> Vec<u8> {
    let packet: HandshakePacket<'_> = ParseBuf(greeting).parse(()).unwrap();
    packet.nonce()
}

/// Signs in as `native` with a response numbered `sequence`; the answer's first byte.
async fn sign_in(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), salt: &[u8], sequence: u8) -> u8 {
    let proof = scramble_native(salt, PASSWORD.as_bytes()).unwrap();
    stream.write_all(&packet(sequence, &response("native", &proof, OFFERED))).await.unwrap();
    PacketReader::exact(stream, 1 << 16).read_packet(sequence + 1).await.unwrap().unwrap()[0]
}

#[tokio::test]
async fn garbage_gets_an_error_and_the_door() {
    let (address, mut refused) = server().await;
    let cases: [(&[u8], u16); 6] = [
        (b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", 1156),
        (&packet(0, b"the sequence number of the greeting"), 1156),
        (&packet(1, b"too short"), 1043),
        (&packet(1, b""), 1043),
        (&packet(1, &[0xFF; 200]), 1043),
        (&packet(1, &[0; 1 << 20]), 1153),
    ];
    for (bytes, number) in cases {
        let (answered, message) = answer_to(address, bytes).await;
        assert_eq!(answered, number, "{message}");
        assert_eq!(refused.recv().await.unwrap().row().number, number);
    }
    // An SSLRequest, and then no TLS.
    let mut stream = TcpStream::connect(address).await.unwrap();
    greeted(&mut stream).await;
    stream.write_all(&packet(1, &ssl_request())).await.unwrap();
    stream.write_all(&[0; 100]).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
    assert_eq!(refused.recv().await.unwrap().kind(), Kind::HandshakeFailed);
    // And the door is still open for others.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let salt = salt_of(&greeted(&mut stream).await);
    assert_eq!(sign_in(&mut stream, &salt, 1).await, 0x00);
}

#[tokio::test]
async fn silence_and_hesitation_have_a_limit() {
    let (address, mut refused) = server_that_waits(1).await;
    for said in [&b""[..], b"\x10\0\0\x01", &packet(1, &ssl_request())] {
        let started = Instant::now();
        let mut stream = TcpStream::connect(address).await.unwrap();
        greeted(&mut stream).await;
        stream.write_all(said).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        let waited = started.elapsed();
        assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(5), "{waited:?}");
        assert!(refused.recv().await.unwrap().message().contains("connect_timeout_seconds"));
    }
    // A health check that comes and goes is no client that failed.
    drop(TcpStream::connect(address).await.unwrap());
    assert_eq!(refused.recv().await.unwrap().kind(), Kind::Io);
}

#[tokio::test]
async fn accounts_are_told_apart_by_password_only() {
    let (address, _refused) = server().await;
    for (user, proof, expected) in [
        ("native", &[9; 20][..], "Access denied for user 'native'@'localhost' (using password: YES)"),
        ("native", b"", "Access denied for user 'native'@'localhost' (using password: NO)"),
        ("nobody", &[9; 20], "Access denied for user 'nobody'@'localhost' (using password: YES)"),
        ("root", &[9; 20], "Access denied for user 'root'@'localhost' (using password: YES)"),
        ("", b"", "Access denied for user ''@'localhost' (using password: NO)"),
    ] {
        let answer = answer_to(address, &packet(1, &response(user, proof, OFFERED))).await;
        assert_eq!(answer, (1045, expected.to_owned()));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    greeted(&mut stream).await;
    stream.write_all(&packet(1, &response("root", b"", OFFERED))).await.unwrap();
    assert_eq!(PacketReader::exact(stream, 1 << 16).read_packet(2).await.unwrap().unwrap()[0], 0x00);
}

fn ssl_request() -> Vec<u8> {
    let mut payload = Vec::new();
    SslRequest::new(OFFERED, 1 << 24, 45).serialize(&mut payload);
    payload
}

#[tokio::test]
async fn a_driver_signs_in_with_every_plugin_and_changes_its_user() {
    // Two providers are compiled in, and the driver does not choose. An error means that another test was faster.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    let (address, _refused) = server().await;
    for (user, password, tls) in [
        ("native", PASSWORD, false),
        ("native", PASSWORD, true),
        ("sha2", PASSWORD, true),
        ("sha2", PASSWORD, false),
        ("native", "wrong", true),
        ("sha2", "wrong", true),
    ] {
        let ssl = SslOpts::default().with_danger_accept_invalid_certs(true);
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(address.port())
            .user(Some(user))
            .pass(Some(password))
            .ssl_opts(tls.then_some(ssl))
            .prefer_socket(Some(false))
            .setup(Vec::<String>::new())
            .max_allowed_packet(Some(1 << 24))
            .wait_timeout(Some(60));
        match Conn::new(options).await {
            Ok(mut connection) => {
                assert_eq!(password, PASSWORD);
                connection.ping().await.unwrap();
                connection.change_user(change("native")).await.unwrap();
                connection.change_user(change("sha2")).await.unwrap();
                connection.change_user(change("nobody")).await.unwrap_err();
            }
            Err(mysql_async::Error::Server(error)) => {
                assert_eq!((password, error.code), ("wrong", 1045), "{user}");
            }
            Err(error) => panic!("{user}, TLS {tls}: {error}"),
        }
    }
}

fn change(user: &str) -> ChangeUserOpts {
    ChangeUserOpts::new().with_user(Some(user.to_owned())).with_pass(Some(PASSWORD.to_owned()))
}

#[tokio::test]
async fn a_connection_can_be_refused_before_it_is_greeted() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    handshake::refuse(stream, &Error::new(Kind::TooManyConnections, "Too many connections")).await;
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"\x17\0\0\0\xff\x10\x04Too many connections");
}

#[test]
fn the_self_made_certificate_is_kept_and_private() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { data: folder.path().display().to_string(), ..Settings::default() };
    let file = folder.path().join("tls/self-made.pem");
    assert!(tls::acceptor(&settings).is_ok());
    let made = std::fs::read(&file).unwrap();
    assert!(tls::acceptor(&settings).is_ok());
    assert_eq!(std::fs::read(&file).unwrap(), made, "a restart keeps the certificate");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // The same file is a certificate and key that can be given in the settings.
    let given = file.display().to_string();
    let settings = Settings { tls_certificate: given.clone(), tls_key: given, ..settings };
    assert!(tls::acceptor(&settings).is_ok());
    for certificate in ["/nowhere/certificate.pem", "/dev/null"] {
        let settings = Settings { tls_certificate: certificate.into(), ..settings.clone() };
        let error = tls::acceptor(&settings).err().unwrap();
        assert_eq!(error.kind(), Kind::Configuration);
        assert!(error.message().contains(certificate), "{error}");
    }
}

#[tokio::test]
async fn a_change_of_user_that_is_garbled_ends_the_connection() {
    let (address, _refused) = server().await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let salt = salt_of(&greeted(&mut stream).await);
    assert_eq!(sign_in(&mut stream, &salt, 1).await, 0x00);
    let mut writer = PacketWriter::new(&mut stream, Duration::from_secs(5));
    writer.write_packet(&[CHANGE_USER, b'x', 0, 200, 1]);
    writer.flush().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer[4..7], [0xFF, 0x13, 0x04]);
}
