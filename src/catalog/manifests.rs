//! The numbered manifest files, `catalog/00000042.json`: the highest number is the catalog. A change puts the next
//! number only if it is not there yet, so of two servers one wins and the other reads again and tries again.
//!
//! Old files are deleted, but none younger than a day: a server that looked within the last hour finds every later
//! change by asking for its own number plus one, and a writer lists the folder before it writes, so it cannot put a
//! number that was used and deleted.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use ::object_store::path::Path;
use ::object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use chrono::Utc;
use futures::{StreamExt, TryStreamExt};
use url::Url;
use uuid::Uuid;

use super::manifest::{FORMAT, Manifest};
use crate::config::{COMMIT_TRIES_MAX, MANIFESTS_KEPT};
use crate::error::{Error, Kind, Result};
use crate::storage::object_store::ObjectStores;

/// Size of one manifest; some hundred thousand tables.
const MANIFEST_BYTES_MAX: u64 = 256 << 20;
/// A server that has not looked for longer lists the folder instead of asking for the next number.
const NEXT_NUMBER_TRUSTED: Duration = Duration::from_secs(3600);
/// No younger manifest is deleted; far longer than `NEXT_NUMBER_TRUSTED` and than any write may take.
const KEPT_AT_LEAST: chrono::TimeDelta = chrono::TimeDelta::days(1);
/// Old manifests are looked for at each version that divides by this.
const PRUNE_EVERY: u64 = 20;
/// Longest pause after a lost race, in milliseconds; the first is 10, each next one twice as long, all at random.
const PAUSE_MS_MAX: u64 = 1000;

/// The manifest files of one catalog, and the newest one known.
pub struct Manifests {
    store: Arc<dyn ObjectStore>,
    folder: Path,
    known: RwLock<Known>,
    /// One change at a time in this process: it would only race with itself.
    changing: tokio::sync::Mutex<()>,
}

struct Known {
    manifest: Arc<Manifest>,
    /// When this was seen to be the newest. Wall-clock time: it goes on while a machine sleeps.
    seen_at: SystemTime,
}

impl Manifests {
    /// Reads the newest manifest of `folder`, or makes the first.
    ///
    /// # Errors
    /// `Storage` when the store cannot be reached or written, `Corrupt` when a manifest cannot be read.
    pub async fn open(stores: &ObjectStores, folder: &Url) -> Result<Manifests> {
        let (store, folder) = stores.open(folder)?;
        let seen_at = SystemTime::now();
        let manifest = match newest(&store, &folder).await? {
            Some(manifest) => manifest,
            None => first(&store, &folder).await?,
        };
        let known = RwLock::new(Known { manifest: Arc::new(manifest), seen_at });
        Ok(Manifests { store, folder, known, changing: tokio::sync::Mutex::default() })
    }

    /// The newest manifest, other servers' included.
    pub async fn newest(&self) -> Result<Arc<Manifest>> {
        let asked_at = SystemTime::now();
        let (known, seen_at) = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            (known.manifest.clone(), known.seen_at)
        };
        // A clock that went back counts as "long ago".
        let trusted = asked_at.duration_since(seen_at).is_ok_and(|age| age < NEXT_NUMBER_TRUSTED);
        if trusted && !exists(&self.store, &file(&self.folder, known.version + 1)).await? {
            return Ok(self.learn(known, asked_at));
        }
        let manifest = self.list_newest().await?;
        Ok(self.learn(Arc::new(manifest), asked_at))
    }

    /// See [`Catalog::change`](super::Catalog::change).
    pub async fn change<T>(&self, edit: impl Fn(&mut Manifest) -> Result<T>) -> Result<T> {
        let _alone = self.changing.lock().await;
        for attempt in 0..COMMIT_TRIES_MAX {
            let asked_at = SystemTime::now();
            let current = self.list_newest().await?;
            let mut next = current.clone();
            let result = edit(&mut next)?;
            if next == current {
                self.learn(Arc::new(current), asked_at);
                return Ok(result);
            }
            next.version = current.version + 1;
            next.change_id = Uuid::new_v4();
            next.written_at = Utc::now();
            if put(&self.store, &self.folder, &next).await? {
                let version = next.version;
                self.learn(Arc::new(next), asked_at);
                if version.is_multiple_of(PRUNE_EVERY) {
                    self.prune(version).await;
                }
                return Ok(result);
            }
            let longest = PAUSE_MS_MAX.min(10 << attempt);
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..=longest))).await;
        }
        let message = format!("the catalog changed {COMMIT_TRIES_MAX} times while this statement tried to; try again");
        Err(Error::new(Kind::Conflict, message))
    }

    async fn list_newest(&self) -> Result<Manifest> {
        newest(&self.store, &self.folder).await?.ok_or_else(|| {
            Error::new(Kind::Corrupt, format!("the catalog is gone: no manifest left in '{}'", self.folder))
        })
    }

    /// Remembers a manifest if it is no older than the known one, and returns the newer of both.
    fn learn(&self, manifest: Arc<Manifest>, seen_at: SystemTime) -> Arc<Manifest> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if manifest.version >= known.manifest.version {
            *known = Known { manifest, seen_at };
        }
        known.manifest.clone()
    }

    /// Deletes manifests beyond [`MANIFESTS_KEPT`] and older than a day. The change is made; failing here is only
    /// logged.
    async fn prune(&self, version: u64) {
        let pruned = async {
            let now = Utc::now();
            let old = list(&self.store, &self.folder)
                .await?
                .into_iter()
                .filter(|(number, file)| number + MANIFESTS_KEPT < version && now - file.last_modified > KEPT_AT_LEAST);
            let old = futures::stream::iter(old.map(|(_, file)| Ok(file.location)).collect::<Vec<_>>()).boxed();
            self.store.delete_stream(old).try_for_each(|_| async { Ok(()) }).await.map_err(Error::from)
        };
        if let Err(error) = pruned.await {
            tracing::warn!(%error, "old catalog manifests could not be deleted");
        }
    }
}

/// Makes the first manifest, unless another server was faster; then reads his.
async fn first(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<Manifest> {
    let manifest = Manifest::first();
    if put(store, folder, &manifest).await? {
        return Ok(manifest);
    }
    newest(store, folder).await?.ok_or_else(|| {
        Error::new(Kind::Corrupt, format!("'{}' is there but cannot be read", file(folder, manifest.version)))
    })
}

async fn newest(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<Option<Manifest>> {
    let Some((number, meta)) = list(store, folder).await?.into_iter().max_by_key(|(number, _)| *number) else {
        return Ok(None);
    };
    read(store, &meta.location, number).await.map(Some)
}

/// The manifest files with their numbers; other files in the folder are not ours.
async fn list(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<Vec<(u64, ObjectMeta)>> {
    let files: Vec<ObjectMeta> = store.list(Some(folder)).try_collect().await?;
    let number = |file: &ObjectMeta| file.location.filename()?.strip_suffix(".json")?.parse().ok();
    Ok(files.into_iter().filter_map(|file| number(&file).map(|number| (number, file))).collect())
}

async fn read(store: &Arc<dyn ObjectStore>, path: &Path, number: u64) -> Result<Manifest> {
    let corrupt = |why: String| Error::new(Kind::Corrupt, format!("catalog manifest '{path}': {why}"));
    let answer = store.get(path).await?;
    if answer.meta.size > MANIFEST_BYTES_MAX {
        return Err(corrupt(format!("{} bytes; the limit is {MANIFEST_BYTES_MAX}", answer.meta.size)));
    }
    let bytes = answer.bytes().await?;
    /// What is read first: another layout may not have the other fields.
    #[derive(serde::Deserialize)]
    struct Head {
        format: u32,
    }
    let head: Head = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
    if head.format != FORMAT {
        return Err(corrupt(format!("format {}; this build reads format {FORMAT}", head.format)));
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
    if manifest.version != number {
        return Err(corrupt(format!("it says version {}", manifest.version)));
    }
    Ok(manifest)
}

async fn exists(store: &Arc<dyn ObjectStore>, path: &Path) -> Result<bool> {
    match store.head(path).await {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes a manifest if its number is free; false when another server has it.
async fn put(store: &Arc<dyn ObjectStore>, folder: &Path, manifest: &Manifest) -> Result<bool> {
    let path = file(folder, manifest.version);
    let mut bytes = serde_json::to_vec_pretty(manifest)?;
    bytes.push(b'\n');
    if bytes.len() as u64 > MANIFEST_BYTES_MAX {
        let message = format!("the catalog would take {} bytes; the limit is {MANIFEST_BYTES_MAX}", bytes.len());
        return Err(Error::new(Kind::Storage, message));
    }
    match store.put_opts(&path, PutPayload::from(bytes), PutMode::Create.into()).await {
        Ok(_) => Ok(true),
        Err(StoreError::AlreadyExists { .. }) => {
            // A remote store may have taken the file and lost the answer; the retried request then finds our own.
            match read(store, &path, manifest.version).await {
                Ok(found) => Ok(found.change_id == manifest.change_id),
                // Still being written by the other server.
                Err(error) if error.kind() == Kind::FileNotFound => Ok(false),
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(Error::from(error)),
    }
}

fn file(folder: &Path, version: u64) -> Path {
    folder.clone().join(format!("{version:08}.json"))
}
