//! The connection phase: greeting, TLS, who the client is, and COM_CHANGE_USER, which goes through it again. It ends
//! with a client that has proved who it is and has had no answer yet; the database it asked for is the gate's business.
//!
//! Packets that the server writes are `mysql_common`'s. Those that a client writes are parsed here: the flags that
//! count are the client's AND ours (Node sends flags that were never offered), and every length is checked.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::packets::HandshakePacket;
use mysql_common::proto::MySerialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::authentication::{Claim, Exchange, GREETING_PLUGIN, Verifier, authenticate};
use super::packet::{Fields, PacketReader, PacketWriter, ReadStream, WriteStream};
use super::tls::{self, RsaKeys};
use crate::catalog::credentials::{Credential, SALT_BYTES, fresh_salt};
use crate::config::MYSQL_VERSION;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};

/// What the server can do, and no more: without DEPRECATE_EOF every client takes EOF packets, without SESSION_TRACK,
/// LOCAL_FILES and COMPRESS none asks for what is not there. LONG_PASSWORD tells MariaDB's clients that this is not
/// MariaDB.
pub const OFFERED: CapabilityFlags = CapabilityFlags::CLIENT_LONG_PASSWORD
    .union(CapabilityFlags::CLIENT_FOUND_ROWS)
    .union(CapabilityFlags::CLIENT_LONG_FLAG)
    .union(CapabilityFlags::CLIENT_CONNECT_WITH_DB)
    .union(CapabilityFlags::CLIENT_IGNORE_SPACE)
    .union(CapabilityFlags::CLIENT_PROTOCOL_41)
    .union(CapabilityFlags::CLIENT_INTERACTIVE)
    .union(CapabilityFlags::CLIENT_SSL)
    .union(CapabilityFlags::CLIENT_TRANSACTIONS)
    .union(CapabilityFlags::CLIENT_SECURE_CONNECTION)
    .union(CapabilityFlags::CLIENT_MULTI_STATEMENTS)
    .union(CapabilityFlags::CLIENT_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PS_MULTI_RESULTS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH)
    .union(CapabilityFlags::CLIENT_CONNECT_ATTRS)
    .union(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA);

/// Collation of the greeting: utf8mb4_0900_ai_ci, MySQL 8's default.
const GREETING_COLLATION: u8 = 255;
/// Largest packet of a client that has not signed in: names, a proof, 64 KiB of attributes.
const PACKET_BYTES_MAX: usize = 128 << 10;
/// An SSLRequest is a handshake response that stops before the user's name.
const SSL_REQUEST_BYTES: usize = 32;
/// Connection attributes kept of one client, and bytes of a name or value.
const ATTRIBUTES_MAX: usize = 128;
const ATTRIBUTE_BYTES_MAX: usize = 1024;

/// What signing in needs, made once and shared by all connections.
pub struct AcceptContext {
    engine: Arc<Engine>,
    tls: TlsAcceptor,
    rsa: RsaKeys,
}

impl AcceptContext {
    /// Reads or makes the TLS certificate.
    ///
    /// # Errors
    /// `Configuration` when the certificate or its key cannot be used.
    pub async fn new(engine: Arc<Engine>) -> Result<AcceptContext> {
        let settings = engine.settings().clone();
        let tls = tokio::task::spawn_blocking(move || tls::acceptor(&settings)).await;
        let tls = tls.map_err(|error| Error::internal("reading the certificate failed").with_source(error))??;
        Ok(AcceptContext { engine, tls, rsa: RsaKeys::default() })
    }

    /// What the account checks a password against; None when there is no account for this user from this address.
    async fn credential(&self, user: &str, peer: &Peer) -> Result<Option<Credential>> {
        let manifest = self.engine.catalog().manifest().await?;
        let host = peer.address.ip().to_canonical().to_string();
        Ok(manifest.user(user, &host).map(|account| account.credential.clone()))
    }

    fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.engine.settings().connect_timeout_seconds)
    }

    fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.engine.settings().net_write_timeout_seconds)
    }
}

/// What stays true of a connection from its first packet to its last.
#[derive(Debug, Clone)]
pub struct Peer {
    pub connection_id: u32,
    pub address: SocketAddr,
    /// Host part of the user's name: `localhost` for a client on this machine, else its IP address.
    pub host: String,
    pub tls: bool,
    /// The client's flags AND [`OFFERED`].
    pub capabilities: CapabilityFlags,
    /// Salt of the greeting, for COM_CHANGE_USER of clients that know nothing of plugins.
    salt: [u8; SALT_BYTES],
}

/// Who signed in, and what with; COM_CHANGE_USER makes a new one.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    /// Database asked for, not looked up yet; None when absent or empty.
    pub database: Option<String>,
    pub collation_id: u16,
    pub attributes: Vec<(String, String)>,
}

/// A client that has proved who it is and has had **no answer yet**: the gate selects `login.database` and then sends
/// OK (or 1049, and closes) with `writer`, whose sequence number is already right.
pub struct Accepted {
    pub reader: PacketReader<ReadStream>,
    pub writer: PacketWriter<WriteStream>,
    pub peer: Peer,
    pub login: Login,
}

/// Greets a client, goes over to TLS if it asks, and authenticates it, all within `connect_timeout_seconds`.
///
/// # Errors
/// For the log: the client has had its ERR packet, if it could take one, and the connection is closed.
pub async fn accept(stream: TcpStream, address: SocketAddr, context: &AcceptContext) -> Result<Accepted> {
    let limit = context.connect_timeout();
    match timeout(limit, greet(stream, address, context)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(not_in_time(limit)),
    }
}

/// COM_CHANGE_USER: `payload` is the whole packet, command byte included, that `reader` has just read. Authenticates
/// the new user; a client that knows plugins is always asked again. On Ok the gate resets the session and sends OK.
///
/// # Errors
/// As for signing in. The gate sends that ERR and closes the connection, as MySQL does. The writer's sequence number is
/// right for either answer.
pub async fn change_user(
    payload: &[u8],
    peer: &Peer,
    reader: &mut PacketReader<ReadStream>,
    writer: &mut PacketWriter<WriteStream>,
    context: &AcceptContext,
) -> Result<Login> {
    writer.set_sequence(reader.next_sequence());
    let request = SignIn::of_change_user(payload, peer.capabilities)?;
    let mut exchange = Exchange { reader, writer };
    let limit = context.connect_timeout();
    match timeout(limit, prove(&mut exchange, peer, &request, true, context)).await {
        Ok(outcome) => outcome.map(|()| request.into_login()),
        Err(_) => Err(not_in_time(limit)),
    }
}

/// Refuses a connection before greeting it (1040, 1053), and closes it.
pub async fn refuse(stream: TcpStream, error: &Error) {
    /// What is left to say fits any socket's buffer; a peer that does not take it has gone.
    const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
    let (mut reader, mut writer) = plain_halves(stream, WRITE_TIMEOUT);
    writer.write_error_before_greeting(error);
    writer.shut_down().await;
    reader.drain().await;
}

/// The payload of the greeting.
pub fn greeting(connection_id: u32, salt: &[u8; SALT_BYTES]) -> Vec<u8> {
    let (first, second) = salt.split_first_chunk::<8>().expect("a salt has 20 bytes");
    let packet = HandshakePacket::new(
        10,
        MYSQL_VERSION.as_bytes(),
        connection_id,
        *first,
        Some([second, &[0]].concat()),
        OFFERED,
        GREETING_COLLATION,
        StatusFlags::SERVER_STATUS_AUTOCOMMIT,
        Some(GREETING_PLUGIN.name().as_bytes()),
    );
    let mut payload = Vec::new();
    packet.serialize(&mut payload);
    payload
}

/// A handshake response or a COM_CHANGE_USER packet, decoded.
#[derive(Debug)]
pub struct SignIn {
    /// The client's flags AND ours.
    pub capabilities: CapabilityFlags,
    pub collation_id: u16,
    pub user: String,
    pub response: Vec<u8>,
    pub database: Option<String>,
    /// None from a client that knows nothing of plugins.
    pub plugin: Option<String>,
    pub attributes: Vec<(String, String)>,
}

impl SignIn {
    /// Decodes HandshakeResponse41.
    ///
    /// # Errors
    /// `HandshakeFailed` (1043) for anything else, the old HandshakeResponse320 included.
    pub fn of_handshake(payload: &[u8]) -> Result<SignIn> {
        Self::decode_handshake(payload).map_err(|_| bad_handshake())
    }

    /// Decodes a COM_CHANGE_USER packet, command byte included.
    ///
    /// # Errors
    /// `HandshakeFailed` (1043) when it ends early or a length goes past its end.
    pub fn of_change_user(payload: &[u8], capabilities: CapabilityFlags) -> Result<SignIn> {
        Self::decode_change_user(payload, capabilities).map_err(|_| bad_handshake())
    }

    fn decode_handshake(payload: &[u8]) -> Result<SignIn> {
        let mut fields = Fields::new(payload);
        let capabilities = CapabilityFlags::from_bits_truncate(fields.u32()?) & OFFERED;
        if !capabilities.contains(CapabilityFlags::CLIENT_PROTOCOL_41) {
            return Err(bad_handshake());
        }
        // The largest packet the client takes (none needs to know), and the filler.
        fields.u32()?;
        let collation_id = u16::from(fields.u8()?);
        fields.bytes(23)?;
        let user = text(fields.null_terminated()?);
        let response = if capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA) {
            fields.lenenc_bytes()?
        } else {
            short_response(&mut fields, capabilities)?
        };
        let database = match capabilities.contains(CapabilityFlags::CLIENT_CONNECT_WITH_DB) {
            true => fields.null_terminated()?,
            false => &[],
        };
        Ok(SignIn {
            capabilities,
            collation_id,
            user,
            response: response.to_vec(),
            database: Some(text(database)).filter(|name| !name.is_empty()),
            plugin: plugin_name(&mut fields, capabilities),
            attributes: attributes(&mut fields, capabilities)?,
        })
    }

    fn decode_change_user(payload: &[u8], capabilities: CapabilityFlags) -> Result<SignIn> {
        let mut fields = Fields::new(payload);
        fields.u8()?;
        let user = text(fields.null_terminated()?);
        let response = short_response(&mut fields, capabilities)?;
        let database = text(fields.null_terminated()?);
        // The rest came later than the command did, and may be missing.
        let collation_id = if fields.is_empty() { u16::from(GREETING_COLLATION) } else { fields.u16()? };
        Ok(SignIn {
            capabilities,
            collation_id,
            user,
            response: response.to_vec(),
            database: Some(database).filter(|name| !name.is_empty()),
            plugin: plugin_name(&mut fields, capabilities),
            attributes: attributes(&mut fields, capabilities)?,
        })
    }

    fn into_login(self) -> Login {
        let SignIn { user, database, collation_id, attributes, .. } = self;
        Login { user, database, collation_id, attributes }
    }
}

/// A response with one byte of length, or up to NUL from clients older than that.
fn short_response<'a>(fields: &mut Fields<'a>, capabilities: CapabilityFlags) -> Result<&'a [u8]> {
    match capabilities.contains(CapabilityFlags::CLIENT_SECURE_CONNECTION) {
        true => {
            let length = usize::from(fields.u8()?);
            fields.bytes(length)
        }
        false => fields.null_terminated(),
    }
}

/// The plugin's name, which some clients end with the packet instead of NUL.
fn plugin_name(fields: &mut Fields<'_>, capabilities: CapabilityFlags) -> Option<String> {
    capabilities.contains(CapabilityFlags::CLIENT_PLUGIN_AUTH).then(|| match fields.null_terminated() {
        Ok(name) => text(name),
        Err(_) => text(fields.rest()),
    })
}

/// Names and values a client tells about itself: a bounded number, and none that is long.
fn attributes(fields: &mut Fields<'_>, capabilities: CapabilityFlags) -> Result<Vec<(String, String)>> {
    let mut kept = Vec::new();
    if !capabilities.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS) || fields.is_empty() {
        return Ok(kept);
    }
    let mut pairs = Fields::new(fields.lenenc_bytes()?);
    while !pairs.is_empty() {
        let (name, value) = (pairs.lenenc_bytes()?, pairs.lenenc_bytes()?);
        if kept.len() < ATTRIBUTES_MAX && name.len().max(value.len()) <= ATTRIBUTE_BYTES_MAX {
            kept.push((text(name), text(value)));
        }
    }
    Ok(kept)
}

/// Names arrive in the client's character set; one that is not UTF-8 fits no account and no database.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bad_handshake() -> Error {
    Error::new(Kind::HandshakeFailed, "Bad handshake")
}

fn not_in_time(limit: Duration) -> Error {
    let seconds = limit.as_secs();
    let message = format!("the client did not sign in within {seconds} seconds (connect_timeout_seconds)");
    Error::new(Kind::HandshakeFailed, message)
}

/// Greets, and reads the first packet, which decides whether the rest is TLS.
async fn greet(mut stream: TcpStream, address: SocketAddr, context: &AcceptContext) -> Result<Accepted> {
    // Packets are written whole; waiting for more to send would only add delay.
    stream.set_nodelay(true)?;
    let salt = fresh_salt();
    let connection_id = context.engine.next_connection_id();
    let mut writer = PacketWriter::new(&mut stream, context.write_timeout());
    writer.write_packet(&greeting(connection_id, &salt));
    writer.flush().await?;

    // What follows an SSLRequest is TLS and must not be taken off the stream here.
    let mut reader = PacketReader::exact(&mut stream, PACKET_BYTES_MAX);
    let mut first = reader.read_packet(1).await;
    let mut sequence = reader.next_sequence();
    let tls = matches!(&first, Ok(Some(packet)) if is_ssl_request(packet));
    let (mut reader, writer) = match tls {
        true => {
            let accepted = context.tls.accept(stream).await;
            let stream = accepted
                .map_err(|error| Error::new(Kind::HandshakeFailed, format!("TLS: {error}")).with_source(error))?;
            halves(tokio::io::split(stream), context.write_timeout())
        }
        false => plain_halves(stream, context.write_timeout()),
    };
    if tls {
        first = reader.read_packet(sequence).await;
        sequence = reader.next_sequence();
    }
    let peer = Peer {
        connection_id,
        address,
        host: host(address),
        tls,
        // Known with the next packet.
        capabilities: CapabilityFlags::empty(),
        salt,
    };
    sign_in(first, sequence, reader, writer, peer, context).await
}

/// Decodes the handshake response and authenticates; answers a failure with ERR.
async fn sign_in(
    response: Result<Option<Bytes>>,
    sequence: u8,
    mut reader: PacketReader<ReadStream>,
    mut writer: PacketWriter<WriteStream>,
    mut peer: Peer,
    context: &AcceptContext,
) -> Result<Accepted> {
    writer.set_sequence(sequence);
    let mut exchange = Exchange { reader: &mut reader, writer: &mut writer };
    let outcome = async {
        let payload = response?.ok_or_else(|| Error::new(Kind::Io, "the client hung up without a word"))?;
        let request = SignIn::of_handshake(&payload)?;
        peer.capabilities = request.capabilities;
        prove(&mut exchange, &peer, &request, false, context).await?;
        Ok(request.into_login())
    };
    match outcome.await {
        Ok(login) => {
            reader.set_limit(context.engine.settings().max_allowed_packet_bytes);
            Ok(Accepted { reader, writer, peer, login })
        }
        Err(error) => {
            writer.write_error(&error);
            writer.shut_down().await;
            reader.drain().await;
            Err(error)
        }
    }
}

async fn prove(
    exchange: &mut Exchange<'_>,
    peer: &Peer,
    request: &SignIn,
    ask_again: bool,
    context: &AcceptContext,
) -> Result<()> {
    let credential = context.credential(&request.user, peer).await?;
    let claim = Claim {
        user: &request.user,
        host: &peer.host,
        plugin: request.plugin.as_deref(),
        salt: peer.salt,
        response: &request.response,
        ask_again,
        tls: peer.tls,
    };
    let verifier = Verifier { rsa: &context.rsa, sha2_cache: context.engine.sha2_cache() };
    authenticate(exchange, &claim, credential.as_ref(), verifier).await
}

fn is_ssl_request(payload: &[u8]) -> bool {
    let flags = Fields::new(payload).u32().map(CapabilityFlags::from_bits_truncate);
    payload.len() == SSL_REQUEST_BYTES && flags.is_ok_and(|flags| flags.contains(CapabilityFlags::CLIENT_SSL))
}

fn host(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        ip if ip.is_loopback() => "localhost".to_owned(),
        ip => ip.to_string(),
    }
}

fn plain_halves(stream: TcpStream, write_timeout: Duration) -> (PacketReader<ReadStream>, PacketWriter<WriteStream>) {
    halves(stream.into_split(), write_timeout)
}

fn halves<R, W>(halves: (R, W), write_timeout: Duration) -> (PacketReader<ReadStream>, PacketWriter<WriteStream>)
where
    R: AsyncRead + Send + Sync + Unpin + 'static,
    W: AsyncWrite + Send + Sync + Unpin + 'static,
{
    let (read, write) = halves;
    (PacketReader::new(Box::new(read), PACKET_BYTES_MAX), PacketWriter::new(Box::new(write), write_timeout))
}
