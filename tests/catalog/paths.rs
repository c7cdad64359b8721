//! Locations, the allowed paths, and the durable local store.

use std::sync::Arc;

use desirepath::error::Kind;
use desirepath::storage::object_store::{AllowedPaths, ObjectStores};
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tempfile::TempDir;
use url::Url;

use super::{stores, url};

fn allowed(entries: &[&str]) -> AllowedPaths {
    let entries = entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
    AllowedPaths::new(&entries).expect("places")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn name(folder: &TempDir, below: &str) -> String {
    folder.path().join(below).display().to_string()
}

#[test]
fn a_location_is_a_folder_or_a_url() {
    let folder = folder();
    let whole = folder.path().canonicalize().expect("the folder");
    let location = |text: &str| ObjectStores::parse_location(text).map(|url| url.to_string());
    assert_eq!(location(&name(&folder, "")).ok(), Url::from_directory_path(&whole).ok().map(String::from));
    let missing = location(&name(&folder, "new/below")).expect("a folder to be made");
    assert!(missing.ends_with("/new/below/"), "{missing}");
    assert_eq!(location("s3://bucket/some/where").expect("a URL"), "s3://bucket/some/where/");
    assert_eq!(location("memory://").expect("a URL"), "memory:///");
    assert_eq!(location("memory://a").expect("a URL"), "memory://a/");
    for (text, kind) in [
        ("", Kind::Configuration),
        ("ftp://host/folder", Kind::Unsupported),
        ("s3:///no/bucket", Kind::Configuration),
        ("file://host/folder", Kind::Configuration),
        ("https://host/folder?signature=1", Kind::Configuration),
    ] {
        assert_eq!(ObjectStores::parse_location(text).expect_err(text).kind(), kind, "{text}");
    }
}

#[test]
fn nothing_is_allowed_by_default() {
    let error = allowed(&[]).check(&url("file:///etc/passwd")).expect_err("refused");
    assert_eq!((error.row().number, error.row().sqlstate), (1290, "HY000"));
    assert!(error.message().contains("'/etc/passwd'") && error.message().contains("--allow-path"), "{error}");
}

#[test]
fn folders_hold_what_is_below_them_and_nothing_else() {
    let folder = folder();
    for below in ["raw/deep", "raw2", "private"] {
        std::fs::create_dir_all(folder.path().join(below)).expect("a folder");
    }
    std::fs::write(folder.path().join("private/secret.csv"), "x").expect("a file");
    let rules = allowed(&[&name(&folder, "raw")]);
    let check = |below: &str| rules.check(&Url::from_file_path(folder.path().join(below)).expect("a URL")).is_ok();
    assert!(check("raw/a.csv") && check("raw/deep/*.parquet") && check("raw") && check("raw/not/yet/there.csv"));
    assert!(!check("raw2/a.csv") && !check("private/secret.csv") && !check(""));
    for climbing in ["raw/../private/secret.csv", "raw/deep/../../private/secret.csv", "raw/*/../../private/x"] {
        assert!(!check(climbing), "{climbing}");
        let text = format!("file://{}", name(&folder, climbing));
        assert!(rules.check(&url(&text)).is_err(), "{text}");
    }
    assert!(rules.check(&url(&format!("file://{}", name(&folder, "raw/%2e%2e/private/secret.csv")))).is_err());
    // A link is what it points to.
    std::os::unix::fs::symlink(folder.path().join("private"), folder.path().join("raw/link")).expect("a link");
    assert!(!check("raw/link/secret.csv"));
    std::os::unix::fs::symlink(folder.path().join("raw"), folder.path().join("other")).expect("a link");
    assert!(check("other/a.csv"), "a link to an allowed folder leads into it");
}

#[test]
fn url_prefixes_end_at_a_slash() {
    let rules = allowed(&["s3://bucket/raw", "https://example.com/data/"]);
    let check = |text: &str| rules.check(&url(text)).is_ok();
    assert!(check("s3://bucket/raw/2026/*.parquet") && check("s3://bucket/raw"));
    assert!(!check("s3://bucket/raw2/x") && !check("s3://other/raw/x") && !check("s3://bucket/raw/../x"));
    assert!(check("https://example.com/data/x.csv"));
    assert!(!check("http://example.com/data/x.csv") && !check("https://example.com:8443/data/x.csv"));
    assert!(!check("https://example.com@evil.example/data/x.csv"));
    let error = rules.check(&url("https://me:secret@evil.example/x")).expect_err("refused");
    assert!(!error.message().contains("secret"), "{error}");
}

#[test]
fn the_catalog_stays_closed_inside_an_allowed_folder() {
    let folder = folder();
    std::fs::create_dir_all(folder.path().join("data/catalog")).expect("a folder");
    let place = |below: &str| Url::from_file_path(folder.path().join(below)).expect("a URL");
    let rules = allowed(&[&name(&folder, "")]).except(&place("data/catalog")).expect("a place");
    assert!(rules.check(&place("data/tables/x.parquet")).is_ok());
    let error = rules.check(&place("data/catalog/00000001.json")).expect_err("refused");
    assert_eq!(error.kind(), Kind::FileNotAllowed);
}

/// A pattern above a refused folder reads into it; the files it finds are refused one by one.
#[test]
fn a_pattern_is_no_way_around() {
    let folder = folder();
    let rules = allowed(&[&name(&folder, "")])
        .except(&Url::from_file_path(folder.path().join("catalog")).expect("a URL"))
        .expect("a place");
    let found = Url::from_file_path(folder.path().join("catalog/00000001.json")).expect("a URL");
    assert!(rules.check(&found).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_puts_a_name_in_a_folder() {
    let folder = folder();
    let root = Url::from_directory_path(folder.path()).expect("a URL");
    let (store, base) = stores().open(&root).expect("a store");
    let path = base.clone().join("deep").join("new").join("file.json");
    let mut tasks = Vec::new();
    for writer in 0..8_u8 {
        let (store, path) = (store.clone(), path.clone());
        let payload = PutPayload::from(vec![writer; 10_000]);
        tasks.push(tokio::spawn(async move { store.put_opts(&path, payload, PutMode::Create.into()).await }));
    }
    let mut winner = None;
    for (writer, task) in tasks.into_iter().enumerate() {
        match task.await.expect("no panic") {
            Ok(_) => assert_eq!(winner.replace(writer as u8), None, "two writers put one name"),
            Err(Error::AlreadyExists { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let content = store.get(&path).await.expect("the file").bytes().await.expect("its bytes");
    assert_eq!(content, vec![winner.expect("a winner"); 10_000]);
    assert_eq!(files(&folder, "deep/new"), ["file.json"], "no staged file is left");
}

#[tokio::test]
async fn uploads_appear_whole_or_not_at_all() {
    let folder = folder();
    let root = Url::from_directory_path(folder.path()).expect("a URL");
    let (store, base) = stores().open(&root).expect("a store");
    let path = base.clone().join("a").join("b.parquet");
    let mut upload = store.put_multipart(&path).await.expect("an upload");
    upload.put_part(PutPayload::from_static(b"half")).await.expect("a part");
    assert!(matches!(store.head(&path).await, Err(Error::NotFound { .. })));
    upload.abort().await.expect("aborted");
    assert!(files(&folder, "a").is_empty());
    let mut upload = store.put_multipart(&path).await.expect("an upload");
    for part in [&b"one "[..], b"two"] {
        upload.put_part(PutPayload::from(part.to_vec())).await.expect("a part");
    }
    upload.complete().await.expect("complete");
    assert_eq!(store.get(&path).await.expect("the file").bytes().await.expect("bytes").as_ref(), b"one two");
    store.put(&path, PutPayload::from_static(b"three")).await.expect("put over");
    assert_eq!(store.get(&path).await.expect("the file").bytes().await.expect("bytes").as_ref(), b"three");
    assert_eq!(files(&folder, "a"), ["b.parquet"]);
}

#[tokio::test]
async fn folders_are_removed_with_all_they_hold_and_only_they() {
    let temporary = folder();
    for root in [Url::from_directory_path(temporary.path()).expect("a URL"), url("memory://removed/")] {
        let stores = stores();
        let (store, base) = stores.open(&root).expect("a store");
        for below in ["t/x-1/a", "t/x-1/_delta_log/0.json", "t/x-10/a", "u"] {
            let path = Path::from(format!("{base}/{below}"));
            store.put(&path, PutPayload::from_static(b"1")).await.expect("put");
        }
        stores.remove_folder(&root.join("t/x-1/").expect("a URL")).await.expect("removed");
        stores.remove_folder(&root.join("t/none/").expect("a URL")).await.expect("nothing to remove");
        let left: Vec<_> = store.list(Some(&base)).try_collect().await.expect("a list");
        assert_eq!(left.len(), 2, "{left:?}");
    }
    assert!(stores().remove_folder(&url("memory://removed/")).await.is_err(), "never a whole store");
}

#[test]
fn a_store_is_opened_once() {
    let stores = stores();
    let open = |text: &str| stores.open(&url(text)).expect("a store");
    assert!(Arc::ptr_eq(&open("memory://a/x").0, &open("memory://a/y").0));
    assert!(!Arc::ptr_eq(&open("memory://a/x").0, &open("memory://b/x").0));
    assert_eq!(open("memory://a/x/y%20z").1, Path::from("x/y z"));
}

/// Names of the files in a folder of the file system.
fn files(folder: &TempDir, below: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path().join(below)).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
