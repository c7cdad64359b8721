//! Where a table is and how its log is read and written there: the whole log once, then entry by entry. What the
//! entries mean is `log`'s, when to write one is `delta`'s.

use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::prefix::PrefixStore;
use ::object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, PutMode};
use bytes::Bytes;
use datafusion::execution::object_store::ObjectStoreUrl;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::EagerSnapshot;
use deltalake_core::logstore::{LogStoreRef, StorageConfig, default_logstore};
use futures::StreamExt;
use url::{Position, Url};

use super::Snapshot;
use crate::error::{Error, Kind, Result};
use crate::storage::log::{self, Definition};
use crate::storage::object_store::ObjectStores;
use crate::storage::types::EventColumns;

/// Where a table is: all that is known before its log is read.
#[derive(Clone)]
pub(super) struct Place {
    pub url: Url,
    pub store: Arc<dyn ObjectStore>,
    pub store_url: ObjectStoreUrl,
    pub root: Path,
    pub log: LogStoreRef,
}

impl Place {
    pub fn of(stores: &ObjectStores, url: &Url) -> Result<Place> {
        let mut url = url.clone();
        if !url.path().ends_with('/') {
            // Joining a relative path to a URL would replace its last part.
            url.set_path(&format!("{}/", url.path()));
        }
        let (store, root) = stores.open(&url)?;
        let store_url = ObjectStoreUrl::parse(&url[..Position::BeforePath])?;
        let prefixed = Arc::new(PrefixStore::new(Arc::clone(&store), root.clone()));
        let log = default_logstore(prefixed, Arc::clone(&store), &url, &StorageConfig::default());
        Ok(Place { url, store, store_url, root, log })
    }

    /// Reads the whole log: newest checkpoint, entries after it.
    pub async fn load(&self, event: Option<EventColumns>) -> Result<Snapshot> {
        let log = EagerSnapshot::try_new(self.log.as_ref(), None).await.map_err(|error| self.explain(error))?;
        let definition = Arc::new(Definition::of(&log, event)?);
        let mut files = Vec::new();
        for file in log.log_data().iter() {
            // The only public way to a file's tags; its note offers no other.
            #[allow(deprecated)]
            let add = file.add_action();
            files.push(definition.file(&self.root, add)?);
        }
        Ok(Snapshot::new(log.version(), definition, files))
    }

    /// deltalake-core's and the kernel's refusals are texts; ours have a kind.
    fn explain(&self, error: DeltaTableError) -> Error {
        let text = error.to_string();
        let kind = match &error {
            DeltaTableError::NotATable(_) => {
                let message = format!("location '{}' holds no Delta table", self.url);
                return Error::new(Kind::FileNotFound, message);
            }
            _ if text.contains("nsupported") || text.contains("not supported") => Kind::Unsupported,
            _ => Kind::Storage,
        };
        Error::new(kind, format!("Delta log of '{}': {text}", self.url)).with_source(error)
    }

    /// The bytes of one entry of the log, None when it is not there.
    pub async fn entry(&self, version: u64) -> Result<Option<Bytes>> {
        match self.store.get(&entry_path(&self.root, version)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Puts one entry of the log; false when there is one of that number. The store does it atomically.
    pub async fn put(&self, version: u64, body: Bytes) -> Result<bool> {
        match self.store.put_opts(&entry_path(&self.root, version), body.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The highest number of an entry or checkpoint in the log's folder, of those after `after`.
    pub async fn newest_listed(&self, after: Option<u64>) -> Result<Option<u64>> {
        let folder = log_folder(&self.root);
        let offset = after.map_or_else(|| folder.clone(), |after| entry_path(&self.root, after));
        let mut listed = self.store.list_with_offset(Some(&folder), &offset);
        let mut newest = None;
        while let Some(file) = listed.next().await {
            let file = file?;
            let number =
                file.location.filename().and_then(|name| name.get(..20)).and_then(|digits| digits.parse().ok());
            newest = newest.max(number);
        }
        Ok(newest)
    }
}

fn log_folder(root: &Path) -> Path {
    log::full_path(root, "_delta_log")
}

fn entry_path(root: &Path, version: u64) -> Path {
    log::full_path(root, &format!("_delta_log/{version:020}.json"))
}
