//! The rounds in which a client proves its password, after it has said who it is: plugin switch, mysql_native_password,
//! caching_sha2_password with its fast and its full path. Arithmetic is `catalog::credentials`; packets that open the
//! connection are `handshake`.
//!
//! Rounds: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>.

use bytes::Bytes;
use mysql_common::packets::{AuthMoreData, AuthSwitchRequest};
use mysql_common::proto::MySerialize;

use super::packet::{PacketReader, PacketWriter, ReadStream, WriteStream};
use super::tls::{RsaKeys, RsaPair};
use crate::catalog::credentials::{Credential, CryptHash, Plugin, SALT_BYTES, Sha2Cache, Sha2Digest, fresh_salt};
use crate::error::{Error, Kind, Result};

/// The plugin the greeting names. Every client seen signs in with it in one round trip; MySQL's own library names
/// another of its own accord, and expects to be switched.
pub const GREETING_PLUGIN: Plugin = Plugin::NativePassword;

/// caching_sha2_password's own bytes.
const FAST_PROOF_ACCEPTED: u8 = 0x03;
const FULL_PROOF_WANTED: u8 = 0x04;
const PUBLIC_KEY_REQUEST: u8 = 0x02;

/// What all connections share while they authenticate.
#[derive(Clone, Copy)]
pub struct Verifier<'a> {
    pub rsa: &'a RsaKeys,
    pub sha2_cache: &'a Sha2Cache,
}

/// Who a client says it is, and its first proof.
pub struct Claim<'a> {
    pub user: &'a str,
    /// The client's host as messages show it.
    pub host: &'a str,
    /// Plugin the client named; None when it knows nothing of plugins, which means mysql_native_password.
    pub plugin: Option<&'a str>,
    /// Salt that `response` was made with.
    pub salt: [u8; SALT_BYTES],
    pub response: &'a [u8],
    /// The response is not looked at; the client is asked again with a fresh salt (COM_CHANGE_USER).
    pub ask_again: bool,
    pub tls: bool,
}

/// The two directions of a connection in its authentication phase, where sequence numbers simply go on.
pub struct Exchange<'a> {
    pub reader: &'a mut PacketReader<ReadStream>,
    pub writer: &'a mut PacketWriter<WriteStream>,
}

impl Exchange<'_> {
    /// Sends what has been written and waits for the client's next packet.
    ///
    /// # Errors
    /// As the reader's and the writer's; `Io` when the client hangs up.
    pub async fn receive(&mut self) -> Result<Bytes> {
        self.writer.flush().await?;
        let packet = self.reader.read_packet(self.writer.sequence()).await;
        self.writer.set_sequence(self.reader.next_sequence());
        packet?.ok_or_else(|| Error::new(Kind::Io, "the client hung up before it had signed in"))
    }

    fn write(&mut self, packet: &impl MySerialize) {
        packet.serialize(self.writer.begin_packet());
        self.writer.end_packet();
    }

    /// Asks for `plugin`'s proof with a fresh salt.
    async fn switch(&mut self, plugin: Plugin) -> Result<([u8; SALT_BYTES], Bytes)> {
        let salt = fresh_salt();
        let terminated = [&salt[..], &[0]].concat();
        self.write(&AuthSwitchRequest::new(plugin.name().as_bytes(), terminated));
        Ok((salt, self.receive().await?))
    }
}

/// Checks a claim against the account's credential (None: there is no such account), asking the client for more where
/// the plugin needs it. Ok means "let in"; the OK packet is still to be sent.
///
/// # Errors
/// `AccessDenied` (1045), the same for a wrong password and an unknown account; `AuthenticationUnsupported` (1251) for
/// a client that knows nothing of plugins and an account that needs one; failures of the connection.
pub async fn authenticate(
    exchange: &mut Exchange<'_>,
    claim: &Claim<'_>,
    credential: Option<&Credential>,
    verifier: Verifier<'_>,
) -> Result<()> {
    let wanted = wanted_plugin(claim, credential);
    let (salt, response) = match first_response_counts(claim, wanted)? {
        true => (claim.salt, Bytes::copy_from_slice(claim.response)),
        false => exchange.switch(wanted).await?,
    };
    let granted = match credential {
        None => false,
        Some(Credential::None) => is_empty(&response),
        Some(native @ Credential::NativePassword { .. }) => native.verify_native(&salt, &response),
        Some(Credential::CachingSha2Password(hash)) => {
            !is_empty(&response) && verify_sha2(exchange, claim, hash, &salt, &response, verifier).await?
        }
    };
    match granted {
        true => Ok(()),
        false => Err(access_denied(claim.user, claim.host, !is_empty(&response))),
    }
}

/// 1045, in MySQL's words.
pub fn access_denied(user: &str, host: &str, using_password: bool) -> Error {
    let using = if using_password { "YES" } else { "NO" };
    Error::new(Kind::AccessDenied, format!("Access denied for user '{user}'@'{host}' (using password: {using})"))
}

/// The plugin that can check the account; where any can, the one the client prefers.
fn wanted_plugin(claim: &Claim<'_>, credential: Option<&Credential>) -> Plugin {
    match credential {
        Some(Credential::None) | None => claim.plugin.and_then(Plugin::of_name).unwrap_or(GREETING_PLUGIN),
        Some(credential) => credential.plugin(),
    }
}

/// Whether the response that came with the claim was made by the wanted plugin with the greeting's salt. A client that
/// names another plugin than the greeting's may have sent no proof at all (MySQL's own library does so) and waits for
/// the switch even when the plugin it named is the wanted one.
fn first_response_counts(claim: &Claim<'_>, wanted: Plugin) -> Result<bool> {
    match claim.plugin {
        None if wanted != GREETING_PLUGIN => Err(Error::new(
            Kind::AuthenticationUnsupported,
            "Client does not support authentication protocol requested by server; consider upgrading MySQL client",
        )),
        None => Ok(true),
        Some(named) => Ok(!claim.ask_again && wanted == GREETING_PLUGIN && named == GREETING_PLUGIN.name()),
    }
}

/// No password. caching_sha2_password clients write that as a lone NUL.
fn is_empty(response: &[u8]) -> bool {
    matches!(response, [] | [0])
}

/// The fast path if the digest is known and the proof right, else the full path: the password itself, by TLS or by RSA.
async fn verify_sha2(
    exchange: &mut Exchange<'_>,
    claim: &Claim<'_>,
    hash: &CryptHash,
    salt: &[u8; SALT_BYTES],
    response: &[u8],
    verifier: Verifier<'_>,
) -> Result<bool> {
    if verifier.sha2_cache.get(hash).is_some_and(|digest| digest.verify(salt, response)) {
        exchange.write(&AuthMoreData::new(&[FAST_PROOF_ACCEPTED][..]));
        return Ok(true);
    }
    exchange.write(&AuthMoreData::new(&[FULL_PROOF_WANTED][..]));
    let answer = exchange.receive().await?;
    let password = match claim.tls {
        true => Some(without_terminator(answer.to_vec())),
        false => receive_encrypted(exchange, answer, salt, verifier).await?,
    };
    let Some(password) = password else { return Ok(false) };
    let hash = hash.clone();
    // Thousands of rounds of hashing do not belong on a thread that serves other connections.
    let proven = blocking(move || hash.verify(&password).then(|| (Sha2Digest::of_password(&password), hash))).await?;
    Ok(match proven {
        Some((digest, hash)) => {
            verifier.sha2_cache.insert(hash, digest);
            true
        }
        None => false,
    })
}

/// The password sent over a plain connection: encrypted with our public key, which the client may have to ask for.
/// None when it is anything else; in particular a password in the clear is not looked at.
async fn receive_encrypted(
    exchange: &mut Exchange<'_>,
    mut answer: Bytes,
    salt: &[u8; SALT_BYTES],
    verifier: Verifier<'_>,
) -> Result<Option<Vec<u8>>> {
    let pair = verifier.rsa.pair().await?;
    if answer[..] == [PUBLIC_KEY_REQUEST] {
        exchange.write(&AuthMoreData::new(pair.public_pem().as_bytes()));
        answer = exchange.receive().await?;
    }
    if answer.len() != pair.ciphertext_bytes() {
        return Ok(None);
    }
    let salt = *salt;
    blocking(move || decrypt_password(&pair, &answer, &salt)).await
}

/// Undoes what the client did: password and NUL, XOR with the salt over and over, RSA.
fn decrypt_password(pair: &RsaPair, ciphertext: &[u8], salt: &[u8; SALT_BYTES]) -> Option<Vec<u8>> {
    let mixed = pair.decrypt(ciphertext)?;
    let password = mixed.iter().zip(salt.iter().cycle()).map(|(byte, other)| byte ^ other).collect();
    Some(without_terminator(password))
}

fn without_terminator(mut password: Vec<u8>) -> Vec<u8> {
    if password.last() == Some(&0) {
        password.pop();
    }
    password
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("checking a password failed").with_source(error))
}
