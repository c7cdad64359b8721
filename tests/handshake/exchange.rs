//! The rounds of authentication, played from the client's side over an in-memory stream.

use std::time::Duration;

use bytes::Bytes;
use desirepath::catalog::credentials::{Credential, Plugin, Sha2Cache};
use desirepath::error::{Kind, Result};
use desirepath::server::mysql::authentication::{Claim, Exchange, Verifier, authenticate};
use desirepath::server::mysql::packet::{PacketReader, PacketWriter, ReadStream, WriteStream};
use desirepath::server::mysql::tls::RsaKeys;
use mysql_common::scramble::{scramble_native, scramble_sha256};
use rsa::pkcs8::DecodePublicKey;
use rsa::rand_core::OsRng;
use rsa::{Oaep, RsaPublicKey};
use sha1::Sha1;
use tokio::io::{duplex, split};

const PASSWORD: &str = "correct horse";
const SALT: [u8; 20] = *b"ABCDEFGHIJKLMNOPQRST";
const NATIVE: Option<&str> = Some("mysql_native_password");
const SHA2: Option<&str> = Some("caching_sha2_password");

/// What connections of one server share.
struct Shared {
    rsa: RsaKeys,
    sha2_cache: Sha2Cache,
}

impl Default for Shared {
    fn default() -> Self {
        Shared { rsa: RsaKeys::default(), sha2_cache: Sha2Cache::new(10) }
    }
}

/// The client's end of the stream, after its first packet.
struct Client {
    reader: PacketReader<ReadStream>,
    writer: PacketWriter<WriteStream>,
    sequence: u8,
}

impl Client {
    async fn receive(&mut self) -> Bytes {
        let packet = self.reader.read_packet(self.sequence).await.unwrap().unwrap();
        self.sequence = self.reader.next_sequence();
        packet
    }

    async fn send(&mut self, payload: &[u8]) {
        self.writer.set_sequence(self.sequence);
        self.writer.write_packet(payload);
        self.writer.flush().await.unwrap();
        self.sequence = self.writer.sequence();
    }

    /// Expects to be asked for `plugin`, and returns the fresh salt.
    async fn switched_to(&mut self, plugin: Option<&str>) -> Vec<u8> {
        let packet = self.receive().await;
        let name = [plugin.unwrap().as_bytes(), &[0]].concat();
        assert_eq!(packet[0], 0xFE);
        assert_eq!(packet[1..=name.len()], name[..]);
        let salt = &packet[1 + name.len()..];
        assert_eq!((salt.len(), salt[20]), (21, 0));
        assert_ne!(salt[..20], SALT);
        salt[..20].to_vec()
    }

    /// Encrypts a password as clients do: with the NUL, mixed with the salt, RSA-OAEP with SHA-1.
    async fn send_encrypted(&mut self, password: &str, salt: &[u8]) {
        self.send(&[0x02]).await;
        let key = self.receive().await;
        assert_eq!(key[0], 0x01);
        let key = RsaPublicKey::from_public_key_pem(std::str::from_utf8(&key[1..]).unwrap()).unwrap();
        let clear = [password.as_bytes(), &[0]].concat();
        let mixed: Vec<u8> = clear.iter().zip(salt.iter().cycle()).map(|(byte, salt)| byte ^ salt).collect();
        let encrypted = key.encrypt(&mut OsRng, Oaep::new::<Sha1>(), &mixed).unwrap();
        self.send(&encrypted).await;
    }
}

/// A claim as it comes with the handshake response of a client that was greeted with [`SALT`].
fn claim<'a>(plugin: Option<&'a str>, response: &'a [u8]) -> Claim<'a> {
    Claim { user: "ann", host: "10.1.2.3", plugin, salt: SALT, response, ask_again: false, tls: false }
}

/// Authenticates `claim` while `client` plays its part. The server's answer would have the client's next number.
async fn play(
    claim: Claim<'_>,
    credential: Option<&Credential>,
    shared: &Shared,
    client: impl AsyncFnOnce(&mut Client),
) -> Result<()> {
    fn ends(stream: tokio::io::DuplexStream) -> (PacketReader<ReadStream>, PacketWriter<WriteStream>) {
        let (read, write) = split(stream);
        (PacketReader::new(Box::new(read), 1 << 16), PacketWriter::new(Box::new(write), Duration::from_secs(5)))
    }
    let (near, far) = duplex(1 << 16);
    let (mut reader, mut writer) = ends(near);
    writer.set_sequence(2);
    let server = async {
        let mut exchange = Exchange { reader: &mut reader, writer: &mut writer };
        let verifier = Verifier { rsa: &shared.rsa, sha2_cache: &shared.sha2_cache };
        let outcome = authenticate(&mut exchange, &claim, credential, verifier).await;
        writer.flush().await.unwrap();
        (outcome, writer.sequence())
    };
    let playing = async {
        let (reader, writer) = ends(far);
        let mut played = Client { reader, writer, sequence: 2 };
        client(&mut played).await;
        played.sequence
    };
    let ((outcome, answer_sequence), client_sequence) = tokio::join!(server, playing);
    if outcome.is_ok() {
        assert_eq!(answer_sequence, client_sequence);
    }
    outcome
}

fn native() -> Credential {
    Credential::make(Plugin::NativePassword, PASSWORD).unwrap()
}

fn sha2() -> Credential {
    Credential::make(Plugin::CachingSha2Password, PASSWORD).unwrap()
}

fn denied(outcome: Result<()>, using_password: &str) {
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.row().number, error.row().sqlstate), (Kind::AccessDenied, 1045, "28000"));
    let expected = format!("Access denied for user 'ann'@'10.1.2.3' (using password: {using_password})");
    assert_eq!(error.message(), expected);
}

#[tokio::test]
async fn native_password_takes_one_round() {
    let shared = Shared::default();
    let right = scramble_native(&SALT, PASSWORD.as_bytes()).unwrap();
    let wrong = scramble_native(&SALT, b"wrong").unwrap();
    for plugin in [NATIVE, None] {
        play(claim(plugin, &right), Some(&native()), &shared, async |_| {}).await.unwrap();
        denied(play(claim(plugin, &wrong), Some(&native()), &shared, async |_| {}).await, "YES");
        denied(play(claim(plugin, b""), Some(&native()), &shared, async |_| {}).await, "NO");
        denied(play(claim(plugin, &right), None, &shared, async |_| {}).await, "YES");
        denied(play(claim(plugin, b""), None, &shared, async |_| {}).await, "NO");
    }
}

#[tokio::test]
async fn no_password_is_let_in_and_a_password_is_not() {
    let shared = Shared::default();
    let proof = scramble_native(&SALT, PASSWORD.as_bytes()).unwrap();
    for plugin in [NATIVE, None] {
        play(claim(plugin, b""), Some(&Credential::None), &shared, async |_| {}).await.unwrap();
        denied(play(claim(plugin, &proof), Some(&Credential::None), &shared, async |_| {}).await, "YES");
    }
    // caching_sha2_password writes "no password" as a NUL.
    play(claim(SHA2, b""), Some(&Credential::None), &shared, async |client| {
        client.switched_to(SHA2).await;
        client.send(&[0]).await;
    })
    .await
    .unwrap();
}

/// MySQL's own library names caching_sha2_password whatever the greeting says, and sends no proof with it.
#[tokio::test]
async fn a_client_with_another_plugin_is_switched() {
    let (shared, credential) = (Shared::default(), native());
    for plugin in [SHA2, Some("client_ed25519"), Some("")] {
        play(claim(plugin, b"whatever"), Some(&credential), &shared, async |client| {
            let salt = client.switched_to(NATIVE).await;
            client.send(&scramble_native(&salt, PASSWORD.as_bytes()).unwrap()).await;
        })
        .await
        .unwrap();
        let answer_to_first_salt = scramble_native(&SALT, PASSWORD.as_bytes()).unwrap();
        let outcome = play(claim(plugin, b""), Some(&credential), &shared, async |client| {
            client.switched_to(NATIVE).await;
            client.send(&answer_to_first_salt).await;
        });
        denied(outcome.await, "YES");
    }
}

#[tokio::test]
async fn change_user_always_asks_again() {
    let proof = scramble_native(&SALT, PASSWORD.as_bytes()).unwrap();
    let again = || Claim { ask_again: true, ..claim(NATIVE, &proof) };
    play(again(), Some(&native()), &Shared::default(), async |client| {
        let salt = client.switched_to(NATIVE).await;
        client.send(&scramble_native(&salt, PASSWORD.as_bytes()).unwrap()).await;
    })
    .await
    .unwrap();
    // A client that knows nothing of plugins cannot be asked: its proof is for the greeting's salt.
    let without_plugins = Claim { plugin: None, ..again() };
    play(without_plugins, Some(&native()), &Shared::default(), async |_| {}).await.unwrap();
}

/// The life of an account with caching_sha2_password: the first sign-in sends the password encrypted, the next a proof.
#[tokio::test]
async fn sha2_goes_the_full_way_once_then_the_fast_one() {
    let (shared, credential) = (Shared::default(), sha2());
    for password in ["wrong", "", PASSWORD] {
        let outcome = play(claim(SHA2, b""), Some(&credential), &shared, async |client| {
            let salt = client.switched_to(SHA2).await;
            client.send(&scramble_sha256(&salt, b"some password").unwrap()).await;
            assert_eq!(client.receive().await, [0x01, 0x04][..]);
            client.send_encrypted(password, &salt).await;
        });
        match password {
            PASSWORD => outcome.await.unwrap(),
            _ => denied(outcome.await, "YES"),
        }
    }
    for plugin in [SHA2, NATIVE] {
        play(claim(plugin, b""), Some(&credential), &shared, async |client| {
            let salt = client.switched_to(SHA2).await;
            client.send(&scramble_sha256(&salt, PASSWORD.as_bytes()).unwrap()).await;
            assert_eq!(client.receive().await, [0x01, 0x03][..]);
        })
        .await
        .unwrap();
    }
    // The password is changed, to the same one even: what was remembered does not count any more.
    play(claim(SHA2, b""), Some(&sha2()), &shared, async |client| {
        let salt = client.switched_to(SHA2).await;
        client.send(&scramble_sha256(&salt, PASSWORD.as_bytes()).unwrap()).await;
        assert_eq!(client.receive().await, [0x01, 0x04][..]);
        client.send_encrypted(PASSWORD, &salt).await;
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn sha2_takes_the_password_in_the_clear_under_tls_only() {
    let credential = sha2();
    for (tls, password, let_in) in [(true, PASSWORD, true), (true, "wrong", false), (false, PASSWORD, false)] {
        let claim = Claim { tls, ..claim(SHA2, b"") };
        let shared = Shared::default();
        let outcome = play(claim, Some(&credential), &shared, async |client| {
            let salt = client.switched_to(SHA2).await;
            client.send(&scramble_sha256(&salt, password.as_bytes()).unwrap()).await;
            assert_eq!(client.receive().await, [0x01, 0x04][..]);
            client.send(&[password.as_bytes(), &[0]].concat()).await;
        });
        match let_in {
            true => outcome.await.unwrap(),
            false => denied(outcome.await, "YES"),
        }
    }
}

#[tokio::test]
async fn sha2_refuses_what_is_no_proof() {
    let (shared, credential) = (Shared::default(), sha2());
    for empty in [&b""[..], b"\0"] {
        let outcome = play(claim(SHA2, b""), Some(&credential), &shared, async |client| {
            client.switched_to(SHA2).await;
            client.send(empty).await;
        });
        denied(outcome.await, "NO");
    }
    for garbage in [&[0x02, 0x02][..], &[], &[0; 255], &[0; 256], &[0xFF; 256], &[0; 5000]] {
        let outcome = play(claim(SHA2, b""), Some(&credential), &shared, async |client| {
            client.switched_to(SHA2).await;
            client.send(&[9; 32]).await;
            assert_eq!(client.receive().await, [0x01, 0x04][..]);
            client.send(garbage).await;
        });
        denied(outcome.await, "YES");
    }
}

#[tokio::test]
async fn a_client_without_plugins_cannot_use_a_sha2_account() {
    let proof = scramble_native(&SALT, PASSWORD.as_bytes()).unwrap();
    let outcome = play(claim(None, &proof), Some(&sha2()), &Shared::default(), async |_| {}).await;
    assert_eq!(outcome.unwrap_err().row().number, 1251);
}

#[tokio::test]
async fn a_client_that_hangs_up_or_miscounts_ends_the_exchange() {
    let (shared, credential) = (Shared::default(), native());
    let hung_up = play(claim(SHA2, b""), Some(&credential), &shared, async |client| {
        client.switched_to(NATIVE).await;
        // Ends the stream: nothing more will come.
        client.writer.shut_down().await;
    });
    assert_eq!(hung_up.await.unwrap_err().kind(), Kind::Io);
    let miscounted = play(claim(SHA2, b""), Some(&credential), &shared, async |client| {
        client.switched_to(NATIVE).await;
        client.sequence = 77;
        client.send(&[0; 20]).await;
    });
    assert_eq!(miscounted.await.unwrap_err().kind(), Kind::PacketOutOfOrder);
}
