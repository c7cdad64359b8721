//! The greeting, and the packets in which a client says who it is: real ones, and every way to garble them.

use std::collections::HashMap;

use desirepath::catalog::credentials::fresh_salt;
use desirepath::config::MYSQL_VERSION;
use desirepath::error::Kind;
use desirepath::server::mysql::handshake::{OFFERED, SignIn, greeting};
use mysql_common::constants::{CapabilityFlags, StatusFlags};
use mysql_common::io::ParseBuf;
use mysql_common::packets::{AuthPlugin, ComChangeUser, ComChangeUserMoreData, HandshakePacket, HandshakeResponse};
use mysql_common::proto::MySerialize;
use proptest::prelude::{any, proptest};

const ANSWER: [u8; 20] = [7; 20];

fn serialized(packet: &impl MySerialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.serialize(&mut bytes);
    bytes
}

/// What a client built on mysql_common sends.
fn response(flags: CapabilityFlags, plugin: Option<AuthPlugin<'static>>, database: Option<&'static [u8]>) -> Vec<u8> {
    let attributes = HashMap::from([("_client_name".to_owned(), "test".to_owned())]);
    serialized(&HandshakeResponse::new(
        Some(&ANSWER[..]),
        (8, 0, 36),
        Some(&b"ann"[..]),
        database,
        plugin,
        flags,
        flags.contains(CapabilityFlags::CLIENT_CONNECT_ATTRS).then_some(attributes),
        1 << 24,
    ))
}

fn modern() -> Vec<u8> {
    response(OFFERED, Some(AuthPlugin::MysqlNativePassword), Some(b"shop"))
}

#[test]
fn the_greeting_says_what_clients_look_for() {
    let salt = fresh_salt();
    let payload = greeting(0x0102_0304, &salt);
    let packet: HandshakePacket<'_> = ParseBuf(&payload).parse(()).unwrap();
    assert_eq!(packet.protocol_version(), 10);
    assert_eq!(packet.server_version_str(), MYSQL_VERSION);
    assert!(MYSQL_VERSION.starts_with("8.0.36-desirepath-"));
    assert_eq!(packet.connection_id(), 0x0102_0304);
    assert_eq!(packet.nonce(), salt);
    assert_eq!(packet.default_collation(), 255);
    assert_eq!(packet.status_flags(), StatusFlags::SERVER_STATUS_AUTOCOMMIT);
    assert_eq!(packet.auth_plugin(), Some(AuthPlugin::MysqlNativePassword));
    assert_eq!(packet.capabilities(), OFFERED);
    // The length of the salt counts the NUL behind it.
    let version_end = payload.iter().position(|byte| *byte == 0).unwrap();
    assert_eq!(payload[version_end + 21], 21);
}

#[test]
fn what_is_not_there_is_not_offered() {
    let absent = [
        CapabilityFlags::CLIENT_DEPRECATE_EOF,
        CapabilityFlags::CLIENT_SESSION_TRACK,
        CapabilityFlags::CLIENT_LOCAL_FILES,
        CapabilityFlags::CLIENT_COMPRESS,
        CapabilityFlags::CLIENT_ZSTD_COMPRESSION_ALGORITHM,
        CapabilityFlags::CLIENT_QUERY_ATTRIBUTES,
        CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA,
    ];
    for flag in absent {
        assert!(!OFFERED.intersects(flag), "{flag:?}");
    }
}

#[test]
fn a_modern_client_is_understood() {
    let sign_in = SignIn::of_handshake(&modern()).unwrap();
    assert_eq!(sign_in.user, "ann");
    assert_eq!(sign_in.response, ANSWER);
    assert_eq!(sign_in.database.as_deref(), Some("shop"));
    assert_eq!(sign_in.plugin.as_deref(), Some("mysql_native_password"));
    assert_eq!(sign_in.collation_id, 45);
    assert_eq!(sign_in.attributes, [("_client_name".to_owned(), "test".to_owned())]);
    assert_eq!(sign_in.capabilities, OFFERED);
}

/// Node's `mysql` knows nothing of plugins.
#[test]
fn a_client_without_plugins_is_understood() {
    let flags = OFFERED
        - CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
        - CapabilityFlags::CLIENT_PLUGIN_AUTH
        - CapabilityFlags::CLIENT_CONNECT_ATTRS;
    let sign_in = SignIn::of_handshake(&response(flags, None, None)).unwrap();
    assert_eq!((sign_in.user.as_str(), &sign_in.response[..]), ("ann", &ANSWER[..]));
    assert_eq!((sign_in.plugin, sign_in.database), (None, None));
}

/// Connector/Python and Node's mysql2 set CONNECT_WITH_DB and name no database.
#[test]
fn an_empty_database_is_none() {
    let payload = response(OFFERED, Some(AuthPlugin::MysqlNativePassword), Some(b""));
    assert_eq!(SignIn::of_handshake(&payload).unwrap().database, None);
}

/// Node sends flags that the server never offered; taken at face value they change the meaning of later packets.
#[test]
fn flags_that_were_not_offered_do_not_count() {
    let mut payload = modern();
    let flags = u32::from_le_bytes(payload[..4].try_into().unwrap())
        | CapabilityFlags::CLIENT_QUERY_ATTRIBUTES.bits()
        | CapabilityFlags::CLIENT_DEPRECATE_EOF.bits()
        | CapabilityFlags::CLIENT_SESSION_TRACK.bits();
    payload[..4].copy_from_slice(&flags.to_le_bytes());
    assert_eq!(SignIn::of_handshake(&payload).unwrap().capabilities, OFFERED);
}

#[test]
fn older_protocols_are_refused() {
    let flags = (OFFERED - CapabilityFlags::CLIENT_PROTOCOL_41).bits().to_le_bytes();
    let payload = [&flags, &modern()[4..]].concat();
    let error = SignIn::of_handshake(&payload).unwrap_err();
    assert_eq!((error.kind(), error.row().number), (Kind::HandshakeFailed, 1043));
}

#[test]
fn a_packet_that_ends_early_is_refused() {
    let whole = modern();
    let attributes_bytes = 1 + 1 + "_client_name".len() + 1 + "test".len();
    let without_attributes = whole.len() - attributes_bytes;
    for length in 0..whole.len() {
        match SignIn::of_handshake(&whole[..length]) {
            Err(error) => assert_eq!(error.kind(), Kind::HandshakeFailed),
            // The plugin's name may end with the packet, and attributes may be missing.
            Ok(sign_in) => {
                assert!(length <= without_attributes && sign_in.attributes.is_empty(), "{length} bytes");
                assert_eq!(sign_in.database.as_deref(), Some("shop"));
            }
        }
    }
}

/// `fields` in front of the attributes of a packet that is right up to there.
fn with_attributes(attributes: &[u8]) -> Vec<u8> {
    let flags = OFFERED - CapabilityFlags::CLIENT_CONNECT_ATTRS;
    let mut payload = response(flags, Some(AuthPlugin::MysqlNativePassword), Some(b"shop"));
    payload[..4].copy_from_slice(&OFFERED.bits().to_le_bytes());
    payload.extend_from_slice(attributes);
    payload
}

#[test]
fn hostile_attributes_are_refused_or_dropped() {
    // Lengths that go past the end: of all attributes, of one name, of a name without a value; 2^64 - 1; NULL.
    let hostile: [&[u8]; 5] =
        [b"\x20\x01a", b"\x03\x7fab", b"\x02\x01a", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff", b"\xfb"];
    for attributes in hostile {
        let error = SignIn::of_handshake(&with_attributes(attributes)).unwrap_err();
        assert_eq!(error.kind(), Kind::HandshakeFailed, "{attributes:?}");
    }
    let many = [&[0xFC, 0x10, 0x27][..], &b"\x01n\x01v\x01n\x01v".repeat(1250)].concat();
    let kept = SignIn::of_handshake(&with_attributes(&many)).unwrap().attributes.len();
    assert!(kept > 0 && kept < 1000, "{kept} of 2500 kept");
    let long = [&[0xFC, 0xD4, 0x07, 0xFC, 0xD0, 0x07][..], &[b'n'; 2000], b"\x00"].concat();
    assert_eq!(SignIn::of_handshake(&with_attributes(&long)).unwrap().attributes, []);
}

#[test]
fn names_that_are_not_utf8_are_no_reason_to_panic() {
    let mut payload = modern();
    payload[32] = 0xE9;
    assert_eq!(SignIn::of_handshake(&payload).unwrap().user, "\u{FFFD}nn");
}

#[test]
fn change_user_is_understood() {
    let more = ComChangeUserMoreData::new(224).with_auth_plugin(Some(AuthPlugin::CachingSha2Password));
    let packet = ComChangeUser::new()
        .with_user(Some(&b"bob"[..]))
        .with_database(Some(&b"shop"[..]))
        .with_auth_plugin_data(Some(&ANSWER[..]))
        .with_more_data(Some(more));
    let whole = serialized(&packet);
    let sign_in = SignIn::of_change_user(&whole, OFFERED).unwrap();
    assert_eq!((sign_in.user.as_str(), &sign_in.response[..]), ("bob", &ANSWER[..]));
    assert_eq!(sign_in.database.as_deref(), Some("shop"));
    assert_eq!(sign_in.plugin.as_deref(), Some("caching_sha2_password"));
    assert_eq!(sign_in.collation_id, 224);
    for length in 0..whole.len() {
        if let Err(error) = SignIn::of_change_user(&whole[..length], OFFERED) {
            assert_eq!(error.kind(), Kind::HandshakeFailed);
        }
    }
    // User, response and database only, as older clients send it.
    let short = SignIn::of_change_user(b"\x11bob\0\0\0", OFFERED - CapabilityFlags::CLIENT_PLUGIN_AUTH).unwrap();
    assert_eq!((short.user.as_str(), short.database, short.plugin), ("bob", None, None));
}

proptest! {
    #[test]
    fn no_bytes_make_sign_in_panic(
        flags in any::<u32>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let payload = [&flags.to_le_bytes()[..], &bytes].concat();
        let _ = SignIn::of_handshake(&payload);
        let offered = [&OFFERED.bits().to_le_bytes()[..], &bytes].concat();
        let _ = SignIn::of_handshake(&offered);
        let _ = SignIn::of_change_user(&bytes, CapabilityFlags::from_bits_truncate(flags));
    }
}
