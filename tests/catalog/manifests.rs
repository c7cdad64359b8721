//! The numbered manifests: racing servers, lost answers, unreadable files, old files.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use chrono::TimeDelta;
use datafusion::execution::object_store::ObjectStoreRegistry;
use desirepath::catalog::Catalog;
use desirepath::catalog::manifest::Manifest;
use desirepath::error::Kind;
use desirepath::storage::object_store::ObjectStores;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use url::Url;

use super::{failure, fresh, open, stores, url};

/// Two servers on one place make databases at the same time; every one must land, exactly once.
async fn race(stores: &Arc<ObjectStores>, root: &Url) {
    const EACH: usize = 12;
    let servers = [open(stores, root).await, open(stores, root).await];
    let mut tasks = Vec::new();
    for (server, catalog) in servers.iter().enumerate() {
        for number in 0..EACH {
            let catalog = catalog.clone();
            tasks.push(tokio::spawn(async move { catalog.create_database(&format!("db_{server}_{number}")).await }));
        }
    }
    for task in tasks {
        task.await.expect("no panic").expect("the database is made");
    }
    for catalog in &servers {
        let manifest = catalog.manifest().await.expect("a manifest");
        assert_eq!(manifest.databases.len(), 2 * EACH);
        assert_eq!(manifest.version, 1 + 2 * EACH as u64, "one version a change: none was lost or written twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_in_memory_lose_no_change() {
    race(&stores(), &url("memory://bucket/below/it/")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_on_one_folder_lose_no_change() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Url::from_directory_path(folder.path().join("not yet there")).expect("a URL");
    // Stores of their own, as in two processes.
    race(&stores(), &root).await;
    let again = open(&stores(), &root).await;
    assert_eq!(again.manifest().await.expect("a manifest").databases.len(), 24);
    let catalog = folder.path().join("not yet there/catalog");
    let names = std::fs::read_dir(catalog).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let odd: Vec<_> = names.filter(|name| !name.to_string_lossy().ends_with(".json")).collect();
    assert!(odd.is_empty(), "staged files are left: {odd:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_makes_a_database_the_others_hear_it_exists() {
    let (stores, root) = (stores(), url("memory://bucket/"));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let catalog = open(&stores, &root).await;
        for _ in 0..3 {
            let catalog = catalog.clone();
            tasks.push(tokio::spawn(async move { catalog.create_database("shop").await }));
        }
    }
    let mut made = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(()) => made += 1,
            Err(error) => assert_eq!(error.kind(), Kind::DatabaseExists, "{error}"),
        }
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn another_servers_change_is_seen_at_once() {
    let (stores, root) = (stores(), url("memory://bucket/"));
    let (one, other) = (open(&stores, &root).await, open(&stores, &root).await);
    for number in 0..5 {
        one.create_database(&format!("db{number}")).await.expect("made");
    }
    assert_eq!(other.manifest().await.expect("a manifest").databases.len(), 5);
    other.drop_database("db3").await.expect("dropped");
    assert_eq!(failure(one.manifest().await.expect("a manifest").database("db3").cloned()).0, 1049);
}

#[tokio::test]
async fn a_change_that_changes_nothing_writes_nothing() {
    let catalog = fresh().await;
    catalog.change(|_| Ok(())).await.expect("no change");
    assert_eq!(catalog.manifest().await.expect("a manifest").version, 1);
    let made_twice = |manifest: &mut Manifest| {
        manifest.create_database("half")?;
        manifest.create_database("half")
    };
    let refused = catalog.change(made_twice).await;
    assert_eq!(failure(refused), (1007, "HY000", "Can't create database 'half'; database exists".into()));
    assert!(catalog.manifest().await.expect("a manifest").databases.is_empty(), "a failed edit leaves nothing");
}

#[tokio::test]
async fn a_manifest_is_json_a_person_can_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Url::from_directory_path(folder.path()).expect("a URL");
    open(&stores(), &root).await.create_database("shop").await.expect("made");
    let text = std::fs::read_to_string(folder.path().join("catalog/00000002.json")).expect("the second manifest");
    assert!(text.contains("\n  \"version\": 2,\n"), "{text}");
    assert!(text.contains("\"name\": \"shop\""), "{text}");
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Url::from_directory_path(folder.path()).expect("a URL");
    open(&stores(), &root).await;
    for (content, reason) in [
        ("{", "EOF"),
        ("{\"format\": 99}", "format 99; this build reads format 1"),
        ("{\"format\": 1}", "missing field"),
    ] {
        std::fs::write(folder.path().join("catalog/00000002.json"), content).expect("a file");
        let error = Catalog::open(stores(), root.clone()).await.expect_err("not a manifest");
        assert_eq!(error.kind(), Kind::Corrupt);
        assert!(error.message().contains("catalog/00000002.json"), "{error}");
        assert!(error.message().contains(reason), "{error}");
    }
}

/// A store in memory with a remote store's troubles.
#[derive(Debug, Default)]
struct Troubled {
    inner: InMemory,
    /// Puts are taken, and their answers lost: the client's own second try is refused.
    loses_answers: AtomicBool,
    /// Files look this much older than they are.
    age: TimeDelta,
}

impl fmt::Display for Troubled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("troubled store")
    }
}

#[async_trait]
impl ObjectStore for Troubled {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let result = self.inner.put_opts(location, payload, opts).await?;
        if self.loses_answers.load(Ordering::Relaxed) {
            return Err(Error::AlreadyExists { path: location.to_string(), source: "the first try took it".into() });
        }
        Ok(result)
    }

    async fn put_multipart_opts(&self, path: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let age = self.age;
        let older = move |file: ObjectMeta| ObjectMeta { last_modified: file.last_modified - age, ..file };
        self.inner.list(prefix).map_ok(older).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A PUT that is retried because its answer was lost finds its own file; it must not count as lost, or CREATE DATABASE
/// would answer "database exists" for the database it just made.
#[tokio::test]
async fn a_lost_answer_is_not_a_lost_race() {
    let stores = stores();
    let store = Troubled { loses_answers: AtomicBool::new(true), ..Troubled::default() };
    stores.register_store(&url("memory://troubled/"), Arc::new(store));
    let catalog = open(&stores, &url("memory://troubled/")).await;
    catalog.create_database("shop").await.expect("made");
    assert_eq!(catalog.manifest().await.expect("a manifest").version, 2);
}

async fn count(store: &Arc<dyn ObjectStore>) -> usize {
    store.list(None).try_collect::<Vec<_>>().await.expect("a list").len()
}

#[tokio::test]
async fn old_manifests_are_deleted_young_ones_kept() {
    const CHANGES: usize = 160;
    for (age, least, most) in [(TimeDelta::days(2), 100, 125), (TimeDelta::zero(), CHANGES + 1, CHANGES + 1)] {
        let stores = stores();
        let store: Arc<dyn ObjectStore> = Arc::new(Troubled { age, ..Troubled::default() });
        stores.register_store(&url("memory://old/"), store.clone());
        let catalog = open(&stores, &url("memory://old/")).await;
        for number in 0..CHANGES {
            catalog.create_database(&format!("db{number}")).await.expect("made");
        }
        let left = count(&store).await;
        assert!((least..=most).contains(&left), "{left} manifests left");
        assert_eq!(open(&stores, &url("memory://old/")).await.manifest().await.expect("one").databases.len(), CHANGES);
    }
}

#[tokio::test]
async fn a_folder_of_manifests_that_is_gone_is_reported() {
    let stores = stores();
    let catalog = open(&stores, &url("memory://gone/")).await;
    let (store, _) = stores.open(&url("memory://gone/")).expect("the store");
    store.delete(&Path::from("catalog/00000001.json")).await.expect("deleted");
    let error = catalog.create_database("shop").await.expect_err("no catalog to change");
    assert_eq!(error.kind(), Kind::Corrupt, "a new catalog in its place would hide every table: {error}");
}
