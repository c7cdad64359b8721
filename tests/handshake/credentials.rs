//! Passwords as they are stored, against values that other servers and tools made.

use desirepath::catalog::credentials::fresh_salt;
use desirepath::catalog::credentials::{Credential, CryptHash, PASSWORD_BYTES_MAX, Plugin, Sha2Cache, Sha2Digest};
use desirepath::error::Kind;
use mysql_common::scramble::{scramble_native, scramble_sha256};

/// Passwords and their caching_sha2_password texts, which a person could type.
const CRYPT_TEXTS: [(&str, &str); 3] = [
    // Longer than one block of the hash, more than ASCII, other numbers of rounds: made with a second implementation,
    // in Python, that was itself checked against glibc's crypt(3).
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$A$005$0123456789abcdefghijEUS1TxgxDjdcKobwKwMkr2aUwAcpQSAlwmy6ljKuK.5",
    ),
    (
        "größer als ein Block ✓ und noch etwas mehr Text",
        "$A$005$0123456789abcdefghijwRQu7nU1egGkL7jiQRBBBO93p//7ElMNYxUnBdkWHH2",
    ),
    ("ten thousand rounds", "$A$00A$0123456789abcdefghijSf9u1kPfVZQAtRS2llBphZP81Jzj819ZSdEZ.k6TESC"),
];

/// Passwords and their caching_sha2_password texts in hexadecimal, salts with control characters, quotes and all.
const CRYPT_HEX: [(&str, &str, &str); 3] = [
    // Percona Server 8.0.32-24's own: SHOW CREATE USER in the README of github.com/ChaosHour/go-pass.
    (
        "wH4FLM97jCkbhPcFy6Ip8YL",
        "2441243030352446274D6E7F57015B673B1E4E5C272728022C585F",
        "6B6F2E2E6135484A706D584146734554374944725047\
         7A6F764B5269734C6A59494333474663334B307044",
    ),
    // Published example of hashcat's mode 7401.
    (
        "password",
        "2441243030352406437A150142644D74187A6A2F0D7971094F2575",
        "48667A67485366745A304F6A487A73704250663465337A7530325157687A51364A384D737554424939702E",
    ),
    // Test data of TiDB's parser.
    (
        "foobar",
        "24412430303524031A69251C34295C4B35167C7F1E5A7B63091349",
        "503974624D34504B5A424679354856336868686F52485A736E4A733368786E427575516C73446469496537",
    ),
];

/// Salt and proofs of the password `G!ider27`, from mysql_common's tests.
const SALT: &[u8; 20] = b"NR3HP:qIYa_9=db?Sd{`";
const PASSWORD: &str = "G!ider27";
const NATIVE_PROOF: &str = "09CFF8855E9E705340FF2270D8FB9FADBA906B70";
const SHA2_PROOF: &str = "4F97BBFD202401C42A69DEAAE53BDA077ED7578563C1A80EB816C82119B68D2E";

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn native(password: &str) -> Credential {
    Credential::make(Plugin::NativePassword, password).unwrap()
}

#[test]
fn native_password_is_stored_as_mysql_stores_it() {
    assert_eq!(native("password").authentication_string(), "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19");
    assert_eq!(native("mypass").authentication_string(), "*6C8989366EAF75BB670AD8EA7A7FC1176A95CEF4");
    assert!(native("mypass").verify_plain(b"mypass"));
    assert!(!native("mypass").verify_plain(b"mypass "));
}

#[test]
fn native_proof_is_checked() {
    let credential = native(PASSWORD);
    assert!(credential.verify_native(SALT, &bytes(NATIVE_PROOF)));
    assert!(!credential.verify_native(b"NR3HP:qIYa_9=db?Sd{a", &bytes(NATIVE_PROOF)), "another salt");
    for wrong in [&b""[..], &[0; 19], &[0; 20], &[0; 21], &[0; 4000]] {
        assert!(!credential.verify_native(SALT, wrong), "{} bytes", wrong.len());
    }
    for password in ["a", "pässwörd", &"long ".repeat(50)] {
        let salt = fresh_salt();
        let proof = scramble_native(&salt, password.as_bytes()).unwrap();
        assert!(native(password).verify_native(&salt, &proof), "{password}");
        assert!(!native("b").verify_native(&salt, &proof), "{password}");
    }
}

#[test]
fn no_password_is_right_only_when_empty() {
    for plugin in [Plugin::NativePassword, Plugin::CachingSha2Password] {
        let credential = Credential::make(plugin, "").unwrap();
        assert_eq!(credential, Credential::None);
        assert!(credential.verify_native(SALT, b"") && credential.verify_plain(b""));
        assert!(!credential.verify_native(SALT, &bytes(NATIVE_PROOF)) && !credential.verify_plain(b"x"));
    }
}

#[test]
fn sha2_hashes_of_other_servers_are_understood() {
    let from_hex = CRYPT_HEX
        .map(|(password, salt, digest)| (password, String::from_utf8([bytes(salt), bytes(digest)].concat()).unwrap()));
    let from_text = CRYPT_TEXTS.map(|(password, text)| (password, text.to_owned()));
    for (password, text) in from_hex.into_iter().chain(from_text) {
        let credential = Credential::of_authentication_string(Plugin::CachingSha2Password, &text).unwrap();
        assert!(credential.verify_plain(password.as_bytes()), "{password}");
        assert!(!credential.verify_plain(&password.as_bytes()[1..]), "{password}");
        assert!(!credential.verify_plain(b""));
        assert_eq!(credential.authentication_string(), text);
    }
}

#[test]
fn sha2_hashes_are_salted_and_verify() {
    let make = || Credential::make(Plugin::CachingSha2Password, PASSWORD).unwrap();
    let (one, other) = (make(), make());
    assert_ne!(one, other, "two hashes of one password have two salts");
    for credential in [one, other] {
        assert!(credential.authentication_string().starts_with("$A$005$"));
        assert_eq!(credential.authentication_string().len(), 70);
        assert!(credential.verify_plain(PASSWORD.as_bytes()));
        assert!(!credential.verify_native(SALT, &bytes(NATIVE_PROOF)), "the other plugin's proof");
    }
}

#[test]
fn sha2_fast_proof_is_checked() {
    let digest = Sha2Digest::of_password(PASSWORD.as_bytes());
    assert!(digest.verify(SALT, &bytes(SHA2_PROOF)));
    assert!(digest.verify(SALT, &scramble_sha256(SALT, PASSWORD.as_bytes()).unwrap()));
    assert!(!digest.verify(SALT, &scramble_sha256(SALT, b"G!ider28").unwrap()));
    for wrong in [&b""[..], &[0; 31], &[0; 32], &[0; 33]] {
        assert!(!digest.verify(SALT, wrong));
    }
}

#[test]
fn malformed_hashes_are_refused() {
    let sha2 = CRYPT_TEXTS[0].1;
    let wrong_sha2 = [
        &sha2[..69],
        "$A$005$",
        "$A$004$0123456789abcdefghijEUS1TxgxDjdcKobwKwMkr2aUwAcpQSAlwmy6ljKuK.5",
        "$A$-05$0123456789abcdefghijEUS1TxgxDjdcKobwKwMkr2aUwAcpQSAlwmy6ljKuK.5",
        "$B$005$0123456789abcdefghijEUS1TxgxDjdcKobwKwMkr2aUwAcpQSAlwmy6ljKuK.5",
        "$A$0050123456789abcdefghijEUS1TxgxDjdcKobwKwMkr2aUwAcpQSAlwmy6ljKuK.55",
        "$A$005$öö23456789abcdefghEUS1TxgxDjdcKobwKwMkr2aUwAcpQSAlwmy6ljKuK.5",
    ];
    for text in wrong_sha2 {
        let error = Credential::of_authentication_string(Plugin::CachingSha2Password, text).unwrap_err();
        assert_eq!(error.kind(), Kind::PasswordFormat, "{text}");
    }
    for text in ["*", "2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", "*+470C0C06DEE42FD1618BB99005ADCA2EC9D1E19", sha2] {
        let error = Credential::of_authentication_string(Plugin::NativePassword, text).unwrap_err();
        assert_eq!(error.kind(), Kind::PasswordFormat, "{text}");
    }
}

/// A client decides how long the password is that it sends; hashing takes time in proportion.
#[test]
fn long_passwords_are_refused_before_they_are_hashed() {
    let longest = "x".repeat(PASSWORD_BYTES_MAX);
    let credential = Credential::make(Plugin::CachingSha2Password, &longest).unwrap();
    assert!(credential.verify_plain(longest.as_bytes()));
    assert!(!credential.verify_plain(&vec![b'x'; 64 << 20]));
    let too_long = Credential::make(Plugin::CachingSha2Password, &(longest + "x"));
    assert_eq!(too_long.unwrap_err().kind(), Kind::CannotUser);
}

#[test]
fn credentials_survive_the_manifest_and_stay_out_of_logs() {
    let credentials =
        [Credential::None, native(PASSWORD), Credential::make(Plugin::CachingSha2Password, PASSWORD).unwrap()];
    for credential in credentials {
        let json = serde_json::to_string(&credential).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&json).unwrap(), credential, "{json}");
        let shown = format!("{credential:?}");
        assert!(!shown.contains('$') && !shown.contains('*'), "{shown}");
    }
    let unknown = r#"{"plugin": "ed25519", "authentication_string": "x"}"#;
    assert!(serde_json::from_str::<Credential>(unknown).unwrap_err().to_string().contains("ed25519"));
}

#[test]
fn salts_are_text_that_ends_nowhere() {
    let salts: Vec<[u8; 20]> = (0..1000).map(|_| fresh_salt()).collect();
    for salt in &salts {
        assert!(salt.iter().all(|byte| (1..=0x7F).contains(byte) && *byte != b'$'), "{salt:?}");
    }
    assert!(salts.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn the_cache_is_bounded_and_forgets_a_changed_password() {
    let hash = |text: &str| CryptHash::parse(text).unwrap();
    let [one, two, three] = CRYPT_TEXTS.map(|(_, text)| hash(text));
    let cache = Sha2Cache::new(2);
    let digest = Sha2Digest::of_password(b"x");
    cache.insert(one.clone(), digest);
    assert!(cache.get(&one).is_some());
    assert!(cache.get(&two).is_none(), "another salt is another key, whoever's account it is");
    cache.insert(two, digest);
    cache.insert(three.clone(), digest);
    assert!(cache.get(&one).is_none() && cache.get(&three).is_some());
}
