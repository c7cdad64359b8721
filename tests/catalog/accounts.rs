//! Accounts: which one a client signs in to, and what CREATE, ALTER and DROP USER refuse.

use desirepath::catalog::credentials::{Credential, Plugin};
use desirepath::catalog::manifest::Manifest;
use desirepath::catalog::objects::User;

use super::{failure, fresh};

fn user(name: &str, host: &str, password: &str) -> User {
    let credential = Credential::make(Plugin::NativePassword, password).expect("a password");
    User { name: name.into(), host: host.into(), credential }
}

#[tokio::test]
async fn a_fresh_root_comes_from_this_machine_only() {
    let manifest = fresh().await.manifest().await.expect("a manifest");
    for local in ["127.0.0.1", "::1", "localhost", "127.1.2.3", "::ffff:127.0.0.1"] {
        assert!(manifest.user("root", local).is_some(), "{local}");
    }
    for remote in ["10.0.0.7", "2001:db8::1", "client.example.com", "128.0.0.1"] {
        assert!(manifest.user("root", remote).is_none(), "{remote}");
    }
    assert!(manifest.user("Root", "localhost").is_none(), "user names have case");
    assert_eq!(manifest.users_without_password().count(), 1);
}

#[tokio::test]
async fn a_root_with_a_password_comes_from_anywhere() {
    let catalog = fresh().await;
    let secret = Credential::make(Plugin::NativePassword, "secret").expect("a password");
    catalog.change(|manifest| manifest.alter_user("root", "%", secret.clone())).await.expect("altered");
    let manifest = catalog.manifest().await.expect("a manifest");
    assert!(manifest.user("root", "10.0.0.7").is_some());
    assert_eq!(manifest.users_without_password().count(), 0);
}

#[test]
fn the_narrowest_host_wins() {
    let mut manifest = Manifest::first();
    for host in ["%", "10.0.%", "10.0.0.7", "localhost", "%.example.com"] {
        manifest.create_user(user("ana", host, "x")).expect("a user");
    }
    for (from, host) in [
        ("10.0.0.7", "10.0.0.7"),
        ("10.0.0.8", "10.0.%"),
        ("10.1.0.8", "%"),
        ("127.0.0.1", "localhost"),
        ("::1", "localhost"),
    ] {
        assert_eq!(manifest.user("ana", from).map(|user| user.host.as_str()), Some(host), "from {from}");
    }
}

#[test]
fn hosts_match_as_in_like() {
    for (pattern, host, matches) in [
        ("%", "", true),
        ("10._._.7", "10.0.0.7", true),
        ("10._._.7", "10.0.10.7", false),
        ("%a%b%c", "xxaaxxbbxxc", true),
        ("%a%b%c", "xxaaxxbbxx", false),
        ("Web.Example.com", "web.example.COM", true),
        ("10.0.0.7", "10.0.0.77", false),
    ] {
        assert_eq!(user("ana", pattern, "x").admits(host), matches, "'{pattern}' for '{host}'");
    }
}

#[test]
fn users_are_made_and_dropped_once() {
    let mut manifest = Manifest::first();
    manifest.create_user(user("ana", "%", "x")).expect("a user");
    let refused = |statement: &str| (1396, "HY000", format!("Operation {statement} failed for 'ana'@'%'"));
    assert_eq!(failure(manifest.create_user(user("ana", "%", "y"))), refused("CREATE USER"));
    manifest.drop_user("ana", "%").expect("dropped");
    assert_eq!(failure(manifest.drop_user("ana", "%")), refused("DROP USER"));
    assert_eq!(failure(manifest.alter_user("ana", "%", Credential::None)), refused("ALTER USER"));
    let (number, _, message) = failure(manifest.drop_user("root", "%"));
    assert_eq!(number, 1396);
    assert!(message.contains("last account"), "{message}");
}
