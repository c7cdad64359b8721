//! Everything a name can mean: databases, tables and users, kept as numbered manifests in the data folder or bucket,
//! and `information_schema`, which shows them as tables. Runs no statements.

pub mod credentials; // passwords: hashing and checking
pub mod information_schema; // what SHOW and BI tools read
pub mod manifest; // all objects at one version
mod manifests; // the numbered manifest files: read the newest, put the next if absent
pub mod objects; // databases, tables, users as plain data
pub mod tables; // creating, opening and dropping tables

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use url::Url;

use crate::error::Result;
use crate::storage::delta;
use crate::storage::object_store::ObjectStores;
use manifest::Manifest;
use manifests::Manifests;

pub use tables::{EventOptions, NewTable, OpenTable, PendingTable};

/// Folder of the manifests below the data folder.
const MANIFESTS_FOLDER: &str = "catalog/";
/// Folder of the tables that have no LOCATION of their own.
const TABLES_FOLDER: &str = "tables/";

/// The catalog of one data folder or bucket. A handle: clones share everything.
#[derive(Clone)]
pub struct Catalog {
    inner: Arc<Inner>,
}

struct Inner {
    stores: Arc<ObjectStores>,
    root: Url,
    manifests: Manifests,
    /// Opened tables by their id; a table made again under its old name has another id.
    opened: Mutex<HashMap<u64, Arc<delta::Table>>>,
}

impl Catalog {
    /// Opens the catalog below `root`, which ends with '/'; a place without one gets its first manifest, with the user
    /// `root`, who has no password.
    ///
    /// # Errors
    /// `Storage` when the store cannot be reached, `Corrupt` when a manifest cannot be read.
    pub async fn open(stores: Arc<ObjectStores>, root: Url) -> Result<Catalog> {
        let folder = join(&root, MANIFESTS_FOLDER)?;
        let manifests = Manifests::open(&stores, &folder).await?;
        Ok(Catalog { inner: Arc::new(Inner { stores, root, manifests, opened: Mutex::default() }) })
    }

    /// All objects as they are now, other servers' changes included. One small request to the store; a statement asks
    /// once and keeps the answer.
    ///
    /// # Errors
    /// `Storage` when the store cannot be reached, `Corrupt` when a manifest cannot be read.
    pub async fn manifest(&self) -> Result<Arc<Manifest>> {
        self.inner.manifests.newest().await
    }

    /// Changes objects in one atomic step: `edit` is given a copy of the newest manifest, again each time another
    /// server was faster. An edit that changes nothing writes nothing.
    ///
    /// # Errors
    /// What `edit` returns; `Conflict` when the race was lost [`COMMIT_TRIES_MAX`](crate::config::COMMIT_TRIES_MAX)
    /// times.
    pub async fn change<T>(&self, edit: impl Fn(&mut Manifest) -> Result<T>) -> Result<T> {
        self.inner.manifests.change(edit).await
    }

    /// Where the manifests are; no SQL may read there, they hold password hashes.
    pub fn manifests_url(&self) -> Result<Url> {
        join(&self.inner.root, MANIFESTS_FOLDER)
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").field("root", &self.inner.root.as_str()).finish()
    }
}

/// A place below a folder.
fn join(folder: &Url, relative: &str) -> Result<Url> {
    folder.join(relative).map_err(|error| {
        let message = format!("location '{folder}' cannot hold '{relative}': {error}");
        crate::error::Error::new(crate::error::Kind::Configuration, message)
    })
}
