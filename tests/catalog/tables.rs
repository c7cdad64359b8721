//! Databases and tables: names, definitions and their errors, what crashes and drops leave, tables made elsewhere.

use desirepath::catalog::objects::{Key, KeyKind};
use desirepath::catalog::{Catalog, EventOptions, NewTable};
use desirepath::error::Result;
use desirepath::storage::types::{Column, EventColumns};
use futures::TryStreamExt;
use url::Url;

use super::{column, events, failure, fresh, new_table, open, stores, url};

fn event_columns(user: &str, time: &str, event: &str) -> Option<EventColumns> {
    Some(EventColumns { user: user.into(), time: time.into(), event: event.into() })
}

#[tokio::test]
async fn names_fail_in_mysqls_words() {
    let catalog = fresh().await;
    catalog.create_database("shop").await.expect("made");
    catalog.create_table("shop", events("events")).await.expect("made");
    assert_eq!(failure(catalog.table("nowhere", "t").await), (1049, "42000", "Unknown database 'nowhere'".into()));
    assert_eq!(failure(catalog.table("shop", "t").await), (1146, "42S02", "Table 'shop.t' doesn't exist".into()));
    let again = catalog.create_table("shop", events("events")).await;
    assert_eq!(failure(again), (1050, "42S01", "Table 'events' already exists".into()));
    assert_eq!(
        failure(catalog.create_database("shop").await),
        (1007, "HY000", "Can't create database 'shop'; database exists".into())
    );
    assert_eq!(
        failure(catalog.drop_database("nowhere").await),
        (1008, "HY000", "Can't drop database 'nowhere'; database doesn't exist".into())
    );
    let pair = |name: &str| ("shop".to_owned(), name.to_owned());
    let dropped = catalog.drop_tables(&[pair("events"), pair("a"), pair("b")], false).await;
    assert_eq!(failure(dropped), (1051, "42S02", "Unknown table 'shop.a,shop.b'".into()));
    catalog.table("shop", "events").await.expect("all or none: it is still there");
    assert_eq!(failure(catalog.create_database("information_schema").await).0, 1044);
    assert_eq!(failure(catalog.create_database("").await), (1102, "42000", "Incorrect database name ''".into()));
    assert_eq!(failure(catalog.create_database("x ").await).0, 1102);
    assert_eq!(failure(catalog.create_database(&"x".repeat(65)).await).0, 1059);
}

#[tokio::test]
async fn exact_case_first_then_any() {
    let catalog = fresh().await;
    catalog.create_database("Shop").await.expect("made");
    catalog.create_table("shop", events("Events")).await.expect("found without case");
    let table = catalog.table("SHOP", "EVENTS").await.expect("found without case");
    assert_eq!((table.database.as_str(), table.object.name.as_str()), ("Shop", "Events"));
    catalog.create_table("Shop", new_table("events", vec![column("a", "int", true)])).await.expect("another name");
    assert_eq!(catalog.table("Shop", "events").await.expect("exact").object.event, None);
    assert!(catalog.table("Shop", "Events").await.expect("exact").object.event.is_some());
}

#[tokio::test]
async fn a_dropped_table_leaves_no_file_and_its_name_is_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = Url::from_directory_path(folder.path()).expect("a URL");
    let catalog = open(&stores(), &root).await;
    catalog.create_database("shop").await.expect("made");
    catalog.create_table("shop", events("events")).await.expect("made");
    let first = catalog.table("shop", "events").await.expect("there").object;
    assert!(folder.path().join(&first.location).join("_delta_log").is_dir(), "{}", first.location);
    assert!(first.location.starts_with("tables/shop/events-"), "{}", first.location);
    let names = [("shop".to_owned(), "events".to_owned()), ("shop".to_owned(), "none".to_owned())];
    assert_eq!(catalog.drop_tables(&names, true).await.expect("dropped"), ["shop.none"]);
    assert!(!folder.path().join(&first.location).exists());
    catalog.create_table("shop", events("events")).await.expect("made again");
    let second = catalog.table("shop", "events").await.expect("there").object;
    assert!(second.id > first.id && second.location != first.location, "{second:?}");
    catalog.drop_database("shop").await.expect("dropped");
    assert!(!folder.path().join(&second.location).exists());
}

#[tokio::test]
async fn a_data_folder_can_be_moved() {
    let folder = tempfile::tempdir().expect("a folder");
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    let catalog = open(&stores(), &Url::from_directory_path(&before).expect("a URL")).await;
    catalog.create_database("shop").await.expect("made");
    catalog.create_table("shop", events("events")).await.expect("made");
    std::fs::rename(&before, &after).expect("moved");
    let catalog = open(&stores(), &Url::from_directory_path(&after).expect("a URL")).await;
    assert_eq!(catalog.table("shop", "events").await.expect("found").object.name, "events");
}

#[tokio::test]
async fn a_pending_table_is_invisible_and_goes_without_a_trace() {
    let (stores, root) = (stores(), url("memory://pending/"));
    let catalog = open(&stores, &root).await;
    catalog.create_database("shop").await.expect("made");
    let pending = catalog.begin_table("shop", events("events")).await.expect("begun");
    assert_eq!(pending.storage.snapshot().await.expect("a snapshot").files().len(), 0);
    assert_eq!(failure(catalog.table("shop", "events").await).0, 1146);
    // Another statement takes the name meanwhile: the pending table loses, and its files go.
    catalog.create_table("shop", events("events")).await.expect("made");
    assert_eq!(failure(catalog.publish(pending).await).0, 1050);
    let other = catalog.begin_table("shop", events("more")).await.expect("begun");
    catalog.discard(other).await;
    let (store, base) = stores.open(&root).expect("the store");
    let files: Vec<_> = store.list(Some(&base)).try_collect().await.expect("a list");
    let logs = files.iter().filter(|file| file.location.as_ref().contains("_delta_log")).count();
    assert_eq!(logs, 1, "only the table that got the name has files: {files:?}");
}

/// The event columns of a table made so.
async fn made(
    catalog: &Catalog,
    name: &str,
    columns: Vec<Column>,
    event: EventOptions,
) -> Result<Option<EventColumns>> {
    catalog.create_table("d", NewTable { event, ..new_table(name, columns) }).await?;
    Ok(catalog.table("d", name).await?.object.event)
}

#[tokio::test]
async fn event_tables_are_known_by_their_columns() {
    let catalog = fresh().await;
    catalog.create_database("d").await.expect("made");
    let options = |user: Option<&str>, time: Option<&str>, event: Option<&str>| EventOptions {
        user: user.map(str::to_owned),
        time: time.map(str::to_owned),
        event: event.map(str::to_owned),
    };
    let own = || {
        vec![
            column("Visitor", "varchar(36)", false),
            column("at", "timestamp(3)", false),
            column("what", "varchar(64)", false),
            column("score", "double", true),
        ]
    };
    let none = EventOptions::default;
    assert_eq!(made(&catalog, "a", own(), none()).await.expect("plain"), None);
    let given = options(Some("visitor"), Some("AT"), Some("what"));
    assert_eq!(
        made(&catalog, "b", own(), given).await.expect("an event table"),
        event_columns("Visitor", "at", "what")
    );
    let defaults = events("c").columns;
    assert_eq!(
        made(&catalog, "c", defaults.clone(), none()).await.expect("an event table"),
        event_columns("user_id", "event_time", "event_name")
    );
    let mut unfit = defaults;
    unfit[1] = column("user_id", "double", false);
    assert_eq!(made(&catalog, "e", unfit.clone(), none()).await.expect("plain: the type does not fit"), None);
    for (columns, event, number, words) in [
        (own(), options(Some("visitor"), None, None), 1054, "Unknown column 'event_time' in 'TIME_COLUMN'"),
        (own(), options(Some("score"), Some("at"), Some("what")), 1063, "USER_COLUMN must be an integer or a string"),
        (own(), options(Some("what"), Some("at"), Some("what")), 1063, "both USER_COLUMN and EVENT_COLUMN"),
        (unfit, options(Some("user_id"), None, None), 1063, "not double"),
    ] {
        let (found, _, message) = failure(made(&catalog, "f", columns, event).await);
        assert_eq!(found, number, "{message}");
        assert!(message.contains(words), "{message}");
    }
}

fn key(kind: KeyKind, name: &str, columns: &[&str]) -> Key {
    Key { kind, name: name.into(), columns: columns.iter().map(|name| (*name).to_owned()).collect() }
}

#[tokio::test]
async fn definitions_fail_in_mysqls_words() {
    let catalog = fresh().await;
    catalog.create_database("d").await.expect("made");
    let a = || vec![column("a", "int", true), column("b", "int", true)];
    let with_keys = |keys: Vec<Key>| NewTable { keys, ..new_table("t", a()) };
    let long = "x".repeat(65);
    let cases = [
        (new_table("t", vec![]), 1113, "A table must have at least 1 column"),
        (new_table("t", vec![column("a", "int", true), column("A", "int", true)]), 1060, "Duplicate column name 'A'"),
        (new_table("t", vec![column("", "int", true)]), 1166, "Incorrect column name ''"),
        (new_table("t", vec![column("_event_date", "date", true)]), 1166, "Incorrect column name '_event_date'"),
        (new_table("", a()), 1103, "Incorrect table name ''"),
        (new_table(&long, a()), 1059, "is too long"),
        (with_keys(vec![key(KeyKind::Index, "", &["c"])]), 1072, "Key column 'c' doesn't exist in table"),
        (
            with_keys(vec![key(KeyKind::Index, "k", &["a"]), key(KeyKind::Unique, "K", &["b"])]),
            1061,
            "Duplicate key name 'K'",
        ),
        (
            with_keys(vec![key(KeyKind::Primary, "", &["a"]), key(KeyKind::Primary, "", &["b"])]),
            1068,
            "Multiple primary key defined",
        ),
    ];
    for (table, number, words) in cases {
        let (found, _, message) = failure(catalog.create_table("d", table).await);
        assert_eq!(found, number, "{message}");
        assert!(message.contains(words), "{message}");
    }
    let keys =
        vec![key(KeyKind::Primary, "x", &["A"]), key(KeyKind::Index, "", &["b"]), key(KeyKind::Index, "", &["B"])];
    catalog.create_table("d", with_keys(keys)).await.expect("made");
    let keys = catalog.table("d", "t").await.expect("there").object.keys;
    let names: Vec<_> = keys.iter().map(|key| (key.name.as_str(), key.columns[0].as_str())).collect();
    assert_eq!(names, [("PRIMARY", "a"), ("b", "b"), ("b_2", "b")]);
}

#[tokio::test]
async fn columns_are_added_at_the_end() {
    let catalog = fresh().await;
    catalog.create_database("d").await.expect("made");
    catalog.create_table("d", events("e")).await.expect("made");
    catalog.add_column("d", "e", &column("platform", "varchar(16)", true)).await.expect("added");
    let again = catalog.add_column("d", "e", &column("PLATFORM", "int", true)).await;
    assert_eq!(failure(again), (1060, "42S21", "Duplicate column name 'PLATFORM'".into()));
    let table = catalog.table("d", "e").await.expect("there");
    let snapshot = table.storage.snapshot().await.expect("a snapshot");
    let names: Vec<_> = snapshot.schema().columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["event_time", "user_id", "event_name", "amount", "platform"]);
}

/// Another catalog names the first one's table with LOCATION; dropping it there leaves the files.
#[tokio::test]
async fn a_table_made_elsewhere_is_read_and_left_alone() {
    let stores = stores();
    let (ours, theirs) = (open(&stores, &url("memory://ours/")).await, open(&stores, &url("memory://theirs/")).await);
    for catalog in [&ours, &theirs] {
        catalog.create_database("d").await.expect("made");
    }
    theirs.create_table("d", events("events")).await.expect("made");
    let object = theirs.table("d", "events").await.expect("there").object;
    let location = theirs.location(&object).expect("a URL");
    let at = |name: &str, columns| NewTable { location: Some(location.clone()), ..new_table(name, columns) };

    ours.create_table("d", at("seen", vec![])).await.expect("its own columns");
    let seen = ours.table("d", "seen").await.expect("there");
    assert!(seen.object.external && seen.object.event.is_none(), "{:?}", seen.object);
    let columns = seen.storage.snapshot().await.expect("a snapshot").schema().columns.clone();
    assert_eq!(columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>()[1], "user_id");
    ours.create_table("d", at("same", columns)).await.expect("the same columns said again");
    let other = ours.create_table("d", at("other", vec![column("a", "int", true)])).await;
    let (number, _, message) = failure(other);
    assert_eq!(number, 1063, "{message}");

    ours.drop_tables(&[("d".into(), "seen".into())], false).await.expect("dropped");
    ours.drop_database("d").await.expect("dropped");
    theirs.table("d", "events").await.expect("there").storage.snapshot().await.expect("its files are there");
    let missing = NewTable { location: Some(url("memory://theirs/nothing/")), ..new_table("t", vec![]) };
    theirs.create_table("d", missing).await.expect_err("no table there");
}
