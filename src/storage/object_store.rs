//! Every object store by its URL, one connection pool each, shared by DataFusion's scans and the Delta log; and the
//! paths people may name. Knows no tables.
//!
//! On a local folder every write is on disk (file and folder flushed) when its call returns, and a file appears under
//! its name only with its whole content: see [`local`]. Nothing else has to flush.

mod allowed;
mod local;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use ::object_store::azure::MicrosoftAzureBuilder;
use ::object_store::client::ClientConfigKey;
use ::object_store::gcp::GoogleCloudStorageBuilder;
use ::object_store::http::HttpBuilder;
use ::object_store::memory::InMemory;
use ::object_store::path::Path;
use ::object_store::{ClientOptions, ObjectStore, RetryConfig};
use datafusion::common::DataFusionError;
use datafusion::execution::object_store::ObjectStoreRegistry;
use futures::{StreamExt, TryStreamExt};
use url::{Position, Url};

use crate::config::Settings;
use crate::error::{Error, Kind, Result};

pub use allowed::AllowedPaths;
use local::LocalFolder;

/// Buckets and hosts one engine talks to; each holds a connection pool.
const STORES_MAX: usize = 1024;
/// Time after which a request to a remote store is given up, retries included: a statement must not hang on a dead
/// host.
const RETRY_TIMEOUT: Duration = Duration::from_secs(60);
/// Retries of one request; the pauses between them double from 100 ms.
const RETRIES_MAX: usize = 6;

/// The object stores of one engine, opened at first use and kept by scheme and authority.
pub struct ObjectStores {
    s3: S3Settings,
    stores: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

/// The `s3_*` settings; an empty text means "as the `AWS_*` variables say".
struct S3Settings {
    endpoint: String,
    region: String,
    access_key_id: String,
    secret_access_key: String,
    allow_http: bool,
}

impl ObjectStores {
    /// No store is contacted before it is used.
    ///
    /// # Errors
    /// `Configuration` when only one half of the S3 key is set, or the endpoint is not a URL.
    pub fn new(settings: &Settings) -> Result<ObjectStores> {
        if settings.s3_access_key_id.is_empty() != settings.s3_secret_access_key.is_empty() {
            let message = "s3_access_key_id and s3_secret_access_key go together: set both or neither";
            return Err(Error::new(Kind::Configuration, message));
        }
        if !settings.s3_endpoint.is_empty() {
            Url::parse(&settings.s3_endpoint).map_err(|error| {
                Error::new(Kind::Configuration, format!("s3_endpoint '{}': {error}", settings.s3_endpoint))
            })?;
        }
        let s3 = S3Settings {
            endpoint: settings.s3_endpoint.clone(),
            region: settings.s3_region.clone(),
            access_key_id: settings.s3_access_key_id.clone(),
            secret_access_key: settings.s3_secret_access_key.clone(),
            allow_http: settings.s3_allow_http,
        };
        Ok(ObjectStores { s3, stores: Mutex::default() })
    }

    /// The store `url` is in, and the place in it.
    ///
    /// # Errors
    /// `Unsupported` for an unknown scheme, `Configuration` when the store's settings are not enough to open it.
    pub fn open(&self, url: &Url) -> Result<(Arc<dyn ObjectStore>, Path)> {
        let path = Path::from_url_path(url.path())
            .map_err(|error| Error::new(Kind::Configuration, format!("location '{url}': {error}")))?;
        Ok((self.store(url)?, path))
    }

    /// A folder or file name, or a URL, as a URL; relative names start at the working directory, links in existing
    /// folders are followed. Wildcards are kept.
    ///
    /// # Errors
    /// `Unsupported` for an unknown scheme, `Configuration` for text that is neither path nor URL.
    pub fn parse_url(text: &str) -> Result<Url> {
        let bad = |why: &str| Error::new(Kind::Configuration, format!("location '{text}': {why}"));
        if text.is_empty() {
            return Err(bad("is empty"));
        }
        if text.contains("://") {
            let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
            Scheme::of(&url)?;
            return Ok(url);
        }
        let absolute = std::path::absolute(text).map_err(|error| bad(&error.to_string()))?;
        let resolved = resolve(&absolute).map_err(|error| bad(&error.to_string()))?;
        Url::from_file_path(resolved).map_err(|()| bad("is not a path"))
    }

    /// As [`parse_url`](Self::parse_url), for a folder: the URL ends with '/'.
    ///
    /// # Errors
    /// As `parse_url`; and `Configuration` for a URL with a query or fragment, which cannot have files below it.
    pub fn parse_location(text: &str) -> Result<Url> {
        let mut url = ObjectStores::parse_url(text)?;
        if url.query().is_some() || url.fragment().is_some() {
            let message = format!("location '{text}': a folder's URL has no '?' or '#' part");
            return Err(Error::new(Kind::Configuration, message));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(url)
    }

    /// Deletes everything below the folder `url`. A folder that is not there is no error.
    ///
    /// # Errors
    /// `Storage` when the store refuses; what was deleted before stays deleted.
    pub async fn remove_folder(&self, url: &Url) -> Result<()> {
        let (store, path) = self.open(url)?;
        if path.parts().next().is_none() {
            return Err(Error::internal(format!("refusing to delete the root of '{url}'")));
        }
        if Scheme::of(url)? == Scheme::File {
            return local::remove_folder(url).await;
        }
        let files = store.list(Some(&path)).map_ok(|file| file.location).boxed();
        store.delete_stream(files).try_for_each(|_| async { Ok(()) }).await.map_err(Error::from)
    }

    fn store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let key = url[..Position::BeforePath].to_owned();
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key) {
            return Ok(store.clone());
        }
        if stores.len() >= STORES_MAX {
            let message = format!("cannot open '{key}': {STORES_MAX} buckets and hosts are open already");
            return Err(Error::new(Kind::Storage, message));
        }
        let store = self.build(url).map_err(|error| {
            let message = format!("object store '{key}': {error}; check the s3_* settings or the store's variables");
            Error::new(Kind::Configuration, message)
        })?;
        stores.insert(key, store.clone());
        Ok(store)
    }

    fn build(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let retry = RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT, ..Default::default() };
        // The root of the store: paths in it are whole URL paths.
        let root = &url[..Position::BeforePath];
        Ok(match Scheme::of(url)? {
            Scheme::File => Arc::new(LocalFolder::default()),
            Scheme::Memory => Arc::new(InMemory::new()),
            Scheme::S3 => Arc::new(self.s3.builder(url).with_retry(retry).build()?),
            Scheme::Google => Arc::new(GoogleCloudStorageBuilder::from_env().with_url(root).with_retry(retry).build()?),
            Scheme::Azure => Arc::new(MicrosoftAzureBuilder::from_env().with_url(root).with_retry(retry).build()?),
            Scheme::Http => {
                let options = ClientOptions::new().with_allow_http(url.scheme() == "http");
                Arc::new(HttpBuilder::new().with_url(root).with_client_options(options).with_retry(retry).build()?)
            }
        })
    }
}

impl fmt::Debug for ObjectStores {
    /// Names the open stores; never the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("ObjectStores").field("open", &stores.keys().collect::<Vec<_>>()).finish()
    }
}

/// DataFusion asks for stores by URL; it gets the same ones, opened at need.
impl ObjectStoreRegistry for ObjectStores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        let key = url[..Position::BeforePath].to_owned();
        self.stores.lock().unwrap_or_else(PoisonError::into_inner).insert(key, store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>, DataFusionError> {
        self.store(url).map_err(DataFusionError::from)
    }
}

impl S3Settings {
    /// The `AWS_*` variables, overridden by the settings.
    fn builder(&self, url: &Url) -> AmazonS3Builder {
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(url.host_str().unwrap_or_default())
            // Two servers on one bucket: a commit is a PUT with If-None-Match, so that only one of them wins.
            .with_conditional_put(S3ConditionalPut::ETagMatch);
        let given = [
            (AmazonS3ConfigKey::Endpoint, &self.endpoint),
            (AmazonS3ConfigKey::Region, &self.region),
            (AmazonS3ConfigKey::AccessKeyId, &self.access_key_id),
            (AmazonS3ConfigKey::SecretAccessKey, &self.secret_access_key),
        ];
        for (key, value) in given {
            if !value.is_empty() {
                builder = builder.with_config(key, value);
            }
        }
        if !self.endpoint.is_empty() {
            // An AWS_ENDPOINT_URL_S3 in the environment would win over the setting.
            builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, &self.endpoint);
        }
        // Naming an http:// endpoint is asking for it.
        if self.allow_http || self.endpoint.starts_with("http://") {
            builder = builder.with_config(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp), "true");
        }
        builder
    }
}

/// The kinds of store, by URL scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    File,
    Memory,
    S3,
    Google,
    Azure,
    Http,
}

impl Scheme {
    fn of(url: &Url) -> Result<Scheme> {
        let scheme = match url.scheme() {
            "file" => Scheme::File,
            "memory" => Scheme::Memory,
            "s3" | "s3a" => Scheme::S3,
            "gs" => Scheme::Google,
            "az" | "azure" | "abfs" | "abfss" => Scheme::Azure,
            "http" | "https" => Scheme::Http,
            other => return Err(Error::unsupported(format!("object store scheme {other}://"))),
        };
        let named = url.host_str().is_some_and(|host| !host.is_empty());
        match scheme {
            Scheme::File if named => Err(Error::new(
                Kind::Configuration,
                format!("location '{url}': a file URL names no host; write file:///folder"),
            )),
            Scheme::File | Scheme::Memory => Ok(scheme),
            _ if !named => Err(Error::new(Kind::Configuration, format!("location '{url}': names no bucket or host"))),
            _ => Ok(scheme),
        }
    }
}

/// `path` with the links of its existing part followed. What does not exist yet is kept as written, and may not
/// climb with '..': where that leads is not known.
fn resolve(path: &FilePath) -> std::io::Result<PathBuf> {
    let mut missing = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(mut resolved) => {
                resolved.extend(missing.iter().rev());
                return Ok(resolved);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let (Some(parent), Some(name)) = (existing.parent(), existing.file_name()) else {
            return Err(std::io::Error::other("'..' after a folder that does not exist"));
        };
        missing.push(name);
        existing = parent;
    }
}
