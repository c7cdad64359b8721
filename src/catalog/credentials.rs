//! Passwords as they are kept, and the arithmetic that checks one: mysql_native_password and caching_sha2_password.
//!
//! Pure functions and plain data. What goes over the wire, and in which order, is `server/mysql/authentication.rs`;
//! who may sign in from where is the manifest's. Stored texts are MySQL's own (`mysql.user.authentication_string`), so
//! accounts can be carried over from a MySQL server.
//!
//! Algorithms: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html> and
//! SHA-crypt, <https://www.akkadia.org/drepper/SHA-crypt.txt>.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::error::{Error, Kind, Result};

/// Bytes of the random text a client mixes its password with.
pub const SALT_BYTES: usize = 20;
/// Longest password of a caching_sha2_password account: hashing takes time in proportion.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// `$A$005$`: digest kind A (SHA256-crypt), thousands of rounds in hexadecimal.
const CRYPT_PREFIX: &str = "$A$";
const CRYPT_ROUNDS_DEFAULT: u32 = 5_000;
const CRYPT_SALT_START: usize = 7;
const CRYPT_DIGEST_START: usize = CRYPT_SALT_START + SALT_BYTES;
const CRYPT_BYTES: usize = CRYPT_DIGEST_START + 43;
/// The alphabet of SHA-crypt, in the order of its values.
const CRYPT_ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// How a client proves that it knows a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plugin {
    NativePassword,
    CachingSha2Password,
}

impl Plugin {
    /// The name used on the wire and in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Plugin::NativePassword => "mysql_native_password",
            Plugin::CachingSha2Password => "caching_sha2_password",
        }
    }

    /// The plugin of that name.
    pub fn of_name(name: &str) -> Option<Plugin> {
        [Plugin::NativePassword, Plugin::CachingSha2Password].into_iter().find(|plugin| plugin.name() == name)
    }
}

/// What an account's password is checked against.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredCredential", into = "StoredCredential")]
pub enum Credential {
    /// No password: only an empty one is right.
    None,
    /// SHA1(SHA1(password)).
    NativePassword {
        stage2: [u8; 20],
    },
    CachingSha2Password(CryptHash),
}

impl Credential {
    /// The credential of a new password; no password for an empty one.
    ///
    /// # Errors
    /// `CannotUser` for a password longer than [`PASSWORD_BYTES_MAX`].
    pub fn make(plugin: Plugin, password: &str) -> Result<Credential> {
        if password.is_empty() {
            return Ok(Credential::None);
        }
        if password.len() > PASSWORD_BYTES_MAX {
            let bytes = password.len();
            let message = format!("the password has {bytes} bytes, the most is {PASSWORD_BYTES_MAX}");
            return Err(Error::new(Kind::CannotUser, message));
        }
        Ok(match plugin {
            Plugin::NativePassword => Credential::NativePassword { stage2: sha1(&[&sha1(&[password.as_bytes()])]) },
            Plugin::CachingSha2Password => Credential::CachingSha2Password(CryptHash::make(password.as_bytes())),
        })
    }

    /// The credential of `IDENTIFIED WITH plugin AS 'text'`; no password for an empty text.
    ///
    /// # Errors
    /// `PasswordFormat` when the text is not one this plugin makes.
    pub fn of_authentication_string(plugin: Plugin, text: &str) -> Result<Credential> {
        if text.is_empty() {
            return Ok(Credential::None);
        }
        match plugin {
            Plugin::NativePassword => {
                let stage2 = text.strip_prefix('*').and_then(of_hex).ok_or_else(wrong_format)?;
                Ok(Credential::NativePassword { stage2 })
            }
            Plugin::CachingSha2Password => Ok(Credential::CachingSha2Password(CryptHash::parse(text)?)),
        }
    }

    /// The text MySQL keeps: `*` and 40 hexadecimal digits, `$A$005$…`, or nothing.
    pub fn authentication_string(&self) -> String {
        match self {
            Credential::None => String::new(),
            Credential::NativePassword { stage2 } => {
                stage2.iter().fold("*".to_owned(), |text, byte| text + &format!("{byte:02X}"))
            }
            Credential::CachingSha2Password(hash) => hash.text.clone(),
        }
    }

    /// The plugin that can check this credential; any can check that there is no password, native is the one named.
    pub fn plugin(&self) -> Plugin {
        match self {
            Credential::None | Credential::NativePassword { .. } => Plugin::NativePassword,
            Credential::CachingSha2Password(_) => Plugin::CachingSha2Password,
        }
    }

    /// Whether `response` is mysql_native_password's proof for `salt`: SHA1(p) XOR SHA1(salt + SHA1(SHA1(p))).
    pub fn verify_native(&self, salt: &[u8], response: &[u8]) -> bool {
        match self {
            Credential::None => response.is_empty(),
            Credential::NativePassword { stage2 } => match <[u8; 20]>::try_from(response) {
                Ok(response) => equal(&sha1(&[&xor(response, sha1(&[salt, stage2]))]), stage2),
                Err(_) => false,
            },
            Credential::CachingSha2Password(_) => false,
        }
    }

    /// Whether `password` is the account's. Takes milliseconds for caching_sha2_password, on purpose of its inventors.
    pub fn verify_plain(&self, password: &[u8]) -> bool {
        match self {
            Credential::None => password.is_empty(),
            Credential::NativePassword { stage2 } => equal(&sha1(&[&sha1(&[password])]), stage2),
            Credential::CachingSha2Password(hash) => hash.verify(password),
        }
    }
}

/// Shows the plugin and nothing that could be attacked: credentials must not reach a log.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credential::None => f.write_str("Credential(none)"),
            other => write!(f, "Credential({})", other.plugin().name()),
        }
    }
}

/// A credential in the manifest.
#[derive(Serialize, Deserialize)]
struct StoredCredential {
    plugin: String,
    authentication_string: String,
}

impl From<Credential> for StoredCredential {
    fn from(credential: Credential) -> Self {
        StoredCredential {
            plugin: credential.plugin().name().to_owned(),
            authentication_string: credential.authentication_string(),
        }
    }
}

impl TryFrom<StoredCredential> for Credential {
    type Error = Error;

    fn try_from(stored: StoredCredential) -> Result<Self> {
        let plugin = Plugin::of_name(&stored.plugin)
            .ok_or_else(|| Error::new(Kind::UnknownPlugin, format!("Plugin '{}' is not loaded", stored.plugin)))?;
        Credential::of_authentication_string(plugin, &stored.authentication_string)
    }
}

/// A password of caching_sha2_password as MySQL keeps it: `$A$005$`, 20 bytes of salt, 43 characters of SHA256-crypt.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CryptHash {
    text: String,
    rounds: u32,
}

impl CryptHash {
    /// Hashes a password with a fresh salt.
    fn make(password: &[u8]) -> CryptHash {
        let mut random = rand::rng();
        let salt: [u8; SALT_BYTES] =
            std::array::from_fn(|_| CRYPT_ALPHABET[random.random_range(0..CRYPT_ALPHABET.len())]);
        let rounds = CRYPT_ROUNDS_DEFAULT;
        let mut text = format!("{CRYPT_PREFIX}{:03X}$", rounds / 1000);
        text.extend(salt.iter().map(|byte| char::from(*byte)));
        text.push_str(&sha256_crypt(password, &salt, rounds));
        CryptHash { text, rounds }
    }

    /// Reads MySQL's text.
    ///
    /// # Errors
    /// `PasswordFormat`.
    pub fn parse(text: &str) -> Result<CryptHash> {
        if text.len() != CRYPT_BYTES || !text.is_ascii() || !text.starts_with(CRYPT_PREFIX) {
            return Err(wrong_format());
        }
        let digits = text[CRYPT_PREFIX.len()..CRYPT_SALT_START].strip_suffix('$').ok_or_else(wrong_format)?;
        let thousands = u32::from_str_radix(digits, 16).map_err(|_| wrong_format())?;
        match thousands * 1000 >= CRYPT_ROUNDS_DEFAULT {
            true => Ok(CryptHash { text: text.to_owned(), rounds: thousands * 1000 }),
            false => Err(wrong_format()),
        }
    }

    /// Whether this is the hash of `password`.
    pub fn verify(&self, password: &[u8]) -> bool {
        let salt = &self.text.as_bytes()[CRYPT_SALT_START..CRYPT_DIGEST_START];
        password.len() <= PASSWORD_BYTES_MAX
            && equal(sha256_crypt(password, salt, self.rounds).as_bytes(), &self.text.as_bytes()[CRYPT_DIGEST_START..])
    }
}

impl fmt::Debug for CryptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CryptHash({} rounds)", self.rounds)
    }
}

/// SHA256(SHA256(password)): what caching_sha2_password's fast path is checked against.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha2Digest([u8; 32]);

impl Sha2Digest {
    pub fn of_password(password: &[u8]) -> Sha2Digest {
        Sha2Digest(sha256(&[&sha256(&[password])]))
    }

    /// Whether `response` is the proof for `salt`: SHA256(p) XOR SHA256(SHA256(SHA256(p)) + salt).
    pub fn verify(&self, salt: &[u8], response: &[u8]) -> bool {
        match <[u8; 32]>::try_from(response) {
            Ok(response) => equal(&sha256(&[&xor(response, sha256(&[&self.0, salt]))]), &self.0),
            Err(_) => false,
        }
    }
}

/// The digests of passwords that were proved in full since the server started; in memory only.
///
/// The key is the stored hash itself, salt included, so a changed password (here or through another server on the same
/// bucket) simply is not in the cache.
pub struct Sha2Cache {
    entries: Mutex<HashMap<CryptHash, Sha2Digest>>,
    entries_max: usize,
}

impl Sha2Cache {
    pub fn new(entries_max: usize) -> Sha2Cache {
        Sha2Cache { entries: Mutex::new(HashMap::new()), entries_max }
    }

    pub fn get(&self, hash: &CryptHash) -> Option<Sha2Digest> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).get(hash).copied()
    }

    /// Remembers a digest; a full cache starts again, and full sign-ins fill it.
    pub fn insert(&self, hash: CryptHash, digest: Sha2Digest) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.entries_max {
            entries.clear();
        }
        entries.insert(hash, digest);
    }
}

/// A fresh salt for a greeting: 7-bit bytes without NUL (clients read it as a C string) and `$`, as MySQL makes it.
pub fn fresh_salt() -> [u8; SALT_BYTES] {
    let mut random = rand::rng();
    std::array::from_fn(|_| {
        loop {
            let byte = random.random_range(1..=0x7F);
            if byte != b'$' {
                return byte;
            }
        }
    })
}

fn wrong_format() -> Error {
    Error::new(Kind::PasswordFormat, "The password hash doesn't have the expected format.")
}

fn of_hex(text: &str) -> Option<[u8; 20]> {
    if text.len() != 40 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 20];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    parts.iter().fold(Sha1::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    parts.iter().fold(Sha256::new(), |hasher, part| hasher.chain_update(part)).finalize().into()
}

fn xor<const N: usize>(mut left: [u8; N], right: [u8; N]) -> [u8; N] {
    left.iter_mut().zip(right).for_each(|(byte, other)| *byte ^= other);
    left
}

/// Equality in a time that does not depend on where the difference is.
fn equal(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

/// SHA256-crypt's 43 characters, without its prefix. MySQL's salt has 20 bytes where the original allows 16.
fn sha256_crypt(password: &[u8], salt: &[u8], rounds: u32) -> String {
    let alternate = sha256(&[password, salt, password]);
    let mut hasher = Sha256::new().chain_update(password).chain_update(salt);
    hasher.update(repeated(&alternate, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        match bits & 1 {
            1 => hasher.update(alternate),
            _ => hasher.update(password),
        }
        bits >>= 1;
    }
    let mut digest: [u8; 32] = hasher.finalize().into();

    let password_sequence = repeated(&sha256_of_copies(password, password.len()), password.len());
    let salt_sequence = repeated(&sha256_of_copies(salt, 16 + usize::from(digest[0])), salt.len());
    for round in 0..rounds {
        let odd = round % 2 == 1;
        let mut hasher = Sha256::new();
        hasher.update(if odd { &password_sequence[..] } else { &digest });
        if round % 3 != 0 {
            hasher.update(&salt_sequence);
        }
        if round % 7 != 0 {
            hasher.update(&password_sequence);
        }
        hasher.update(if odd { &digest } else { &password_sequence[..] });
        digest = hasher.finalize().into();
    }
    crypt_text(&digest)
}

/// The bytes of `digest` over and over, `length` of them.
fn repeated(digest: &[u8; 32], length: usize) -> Vec<u8> {
    digest.iter().copied().cycle().take(length).collect()
}

fn sha256_of_copies(bytes: &[u8], copies: usize) -> [u8; 32] {
    (0..copies).fold(Sha256::new(), |hasher, _| hasher.chain_update(bytes)).finalize().into()
}

/// SHA-crypt's own base 64: groups of three bytes taken from three thirds of the digest in turn, low bits first.
fn crypt_text(digest: &[u8; 32]) -> String {
    let mut text = String::with_capacity(43);
    let mut put = |high: u8, middle: u8, low: u8, characters: usize| {
        let mut bits = u32::from_be_bytes([0, high, middle, low]);
        for _ in 0..characters {
            text.push(char::from(CRYPT_ALPHABET[(bits & 0x3F) as usize]));
            bits >>= 6;
        }
    };
    // Which third comes first rotates from group to group.
    let mut thirds = [0, 10, 20];
    for _ in 0..10 {
        let [high, middle, low] = thirds;
        put(digest[high], digest[middle], digest[low], 4);
        thirds = [low + 1, high + 1, middle + 1];
    }
    put(0, digest[31], digest[30], 3);
    text
}
