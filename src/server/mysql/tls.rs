//! The keys of the connection phase: the TLS certificate, given or self-made, and the RSA key pair with which
//! caching_sha2_password is done without TLS. No protocol here.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rsa::pkcs8::{EncodePublicKey, LineEnding};
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, RsaPrivateKey};
use sha1::Sha1;
use tokio::sync::OnceCell;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::storage::object_store::ObjectStores;

/// Where a self-made certificate is kept below a local data folder: one PEM file with the key and the certificate, so
/// that it is written in one step.
const SELF_MADE_FILE: &str = "tls/self-made.pem";
/// What MySQL makes, and what every client can use.
const RSA_KEY_BITS: usize = 2048;

/// The TLS side of the server: the certificate of the settings, or a self-made one, kept in the data folder if that is
/// a folder of this machine and in memory if it is not. Reads files: call it where blocking is allowed.
///
/// # Errors
/// `Configuration` naming the file, when a certificate or key cannot be read or they do not belong together.
pub fn acceptor(settings: &Settings) -> Result<TlsAcceptor> {
    let (certificates, key, source) = match settings.tls_certificate.as_str() {
        "" => self_made(settings)?,
        file => {
            let certificates = read_certificates(&read(Path::new(file))?, file)?;
            let key = read_key(&read(Path::new(&settings.tls_key))?, &settings.tls_key)?;
            (certificates, key, file.to_owned())
        }
    };
    // The provider is named because DataFusion's object stores bring their own choice into the process.
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key))
        .map_err(|error| configuration(&source, &error.to_string()).with_source(error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The server's RSA key pair, made when a client first asks for it: that takes a good part of a second.
#[derive(Default)]
pub struct RsaKeys {
    pair: OnceCell<Arc<RsaPair>>,
}

impl RsaKeys {
    /// The key pair, made now if it has to be.
    ///
    /// # Errors
    /// `Internal` when the key cannot be made.
    pub async fn pair(&self) -> Result<Arc<RsaPair>> {
        let make = || async {
            let made = tokio::task::spawn_blocking(RsaPair::generate).await;
            made.map_err(|error| Error::internal("making the RSA key failed").with_source(error))?.map(Arc::new)
        };
        self.pair.get_or_try_init(make).await.cloned()
    }
}

/// A private key and its public half as clients want it.
pub struct RsaPair {
    private: RsaPrivateKey,
    public_pem: String,
}

impl RsaPair {
    /// Makes a pair; blocks for a good part of a second.
    ///
    /// # Errors
    /// `Internal`.
    pub fn generate() -> Result<RsaPair> {
        let failed = |error: String| Error::internal(format!("making the RSA key failed: {error}"));
        let private = RsaPrivateKey::new(&mut OsRng, RSA_KEY_BITS).map_err(|error| failed(error.to_string()))?;
        let public_pem =
            private.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|error| failed(error.to_string()))?;
        Ok(RsaPair { private, public_pem })
    }

    /// The public key as PEM text.
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }

    /// Bytes of every ciphertext.
    pub fn ciphertext_bytes(&self) -> usize {
        self.private.size()
    }

    /// Decrypts RSA-OAEP with SHA-1, which is what the protocol fixes; None when that fails. Blinded, because the time
    /// of a plain decryption tells about the key (RUSTSEC-2023-0071).
    pub fn decrypt(&self, ciphertext: &[u8]) -> Option<Vec<u8>> {
        self.private.decrypt_blinded(&mut OsRng, Oaep::new::<Sha1>(), ciphertext).ok()
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>, String);

fn self_made(settings: &Settings) -> Result<Identity> {
    let file = kept_file(settings)?;
    let name = file.as_ref().map_or_else(|| "self-made certificate".to_owned(), |path| path.display().to_string());
    let pem = match &file {
        Some(path) if path.exists() => read(path)?,
        Some(path) => {
            let pem = make_pem()?;
            write_private(path, &pem).map_err(|error| configuration(&name, &error.to_string()).with_source(error))?;
            pem
        }
        None => make_pem()?,
    };
    Ok((read_certificates(&pem, &name)?, read_key(&pem, &name)?, name))
}

/// Where the self-made certificate is kept, if the data is in a folder of this machine.
fn kept_file(settings: &Settings) -> Result<Option<PathBuf>> {
    let root = ObjectStores::parse_location(&settings.data)?;
    match root.scheme() {
        "file" => Ok(root.to_file_path().ok().map(|folder| folder.join(SELF_MADE_FILE))),
        _ => Ok(None),
    }
}

/// A fresh key and a certificate for it, signed by itself, as PEM text. Clients that check certificates will not take
/// it; those that only want the line encrypted do.
fn make_pem() -> Result<Vec<u8>> {
    let failed = |error: rcgen::Error| Error::internal(format!("making the certificate failed: {error}"));
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut parameters = CertificateParams::new(names).map_err(failed)?;
    parameters.distinguished_name.push(DnType::CommonName, "Desirepath self-made certificate");
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = parameters.self_signed(&key).map_err(failed)?;
    Ok((key.serialize_pem() + &certificate.pem()).into_bytes())
}

/// Writes a file only its owner can read: whole or not at all, also when two servers start on one folder.
fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let temporary = path.with_extension(format!("pem.{}", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| configuration(&path.display().to_string(), &error.to_string()).with_source(error))
}

fn read_certificates(pem: &[u8], name: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(configuration(name, "has no certificate in PEM form")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(configuration(name, &error.to_string())),
    }
}

fn read_key(pem: &[u8], name: &str) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| configuration(name, &format!("no private key: {error}")))
}

fn configuration(name: &str, what: &str) -> Error {
    Error::new(Kind::Configuration, format!("TLS: {name}: {what}"))
}
