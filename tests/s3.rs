//! A real S3 endpoint in this process (s3s-fs): tables and catalog in a bucket, and two servers that race for a commit.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use desirepath::engine::Engine;
use hyper::Method;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use mysql_async::prelude::Queryable;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use crate::harness::{TestServer, settings};

const BUCKET: &str = "events";
const KEY: &str = "test-key";
const SECRET: &str = "test-secret";

/// An S3 endpoint over a folder; stops when dropped.
struct Endpoint {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn endpoint(folder: &Path) -> Endpoint {
    std::fs::create_dir_all(folder.join(BUCKET)).expect("a bucket");
    let mut builder = S3ServiceBuilder::new(FileSystem::new(folder).expect("the file system"));
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    // s3s-fs looks at If-None-Match and writes afterwards: a lock makes the two one step, as on S3 itself.
    let puts = Arc::new(Mutex::new(()));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let task = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let (service, puts) = (service.clone(), puts.clone());
            tokio::spawn(async move {
                let locked = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let (service, puts) = (service.clone(), puts.clone());
                    async move {
                        let _one_at_a_time = match request.method() {
                            &Method::PUT => Some(puts.lock_owned().await),
                            _ => None,
                        };
                        Service::call(&service, request).await
                    }
                });
                // A client that goes away is no failure of the endpoint.
                let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), locked).await;
            });
        }
    });
    Endpoint { address, task }
}

async fn server(endpoint: &Endpoint) -> TestServer {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings(&folder);
    settings.data = format!("s3://{BUCKET}/desirepath/");
    settings.s3_endpoint = format!("http://{}", endpoint.address);
    settings.s3_region = "us-east-1".into();
    settings.s3_access_key_id = KEY.into();
    settings.s3_secret_access_key = SECRET.into();
    settings.s3_allow_http = true;
    settings.allow_path = vec![format!("s3://{BUCKET}/raw/")];
    let engine = Engine::open(settings).await.expect("the engine opens on S3");
    TestServer::serve(engine, folder).await
}

const EVENTS: &str = "CREATE TABLE shop.events (event_time DATETIME(6) NOT NULL, user_id BIGINT NOT NULL, \
                      event_name VARCHAR(64) NOT NULL)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_holds_catalog_and_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = endpoint(folder.path()).await;
    let first = server(&endpoint).await;
    let mut client = first.connect().await;
    client.query_drop("CREATE DATABASE shop").await.expect("a database");
    client.query_drop(EVENTS).await.expect("a table");
    let insert =
        "INSERT INTO shop.events VALUES ('2026-01-01 00:00:00', 1, 'search'), ('2026-01-02 00:00:00', 1, 'pay')";
    client.query_drop(insert).await.expect("rows");
    drop(client);
    first.stop().await;

    let second = server(&endpoint).await;
    let mut client = second.connect().await;
    let funnel = "SELECT window_funnel(86400, event_time, event_name='search', event_name='pay') FROM shop.events \
                  GROUP BY user_id";
    let level: Option<i64> = client.query_first(funnel).await.expect("an answer");
    assert_eq!(level, Some(2));
    client.query_drop("DELETE FROM shop.events WHERE event_name = 'pay'").await.expect("a delete");
    let left: Option<i64> = client.query_first("SELECT COUNT(*) FROM shop.events").await.expect("an answer");
    assert_eq!(left, Some(1));
    drop(client);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_on_one_bucket_lose_no_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let endpoint = endpoint(folder.path()).await;
    let (left, right) = (server(&endpoint).await, server(&endpoint).await);
    let mut client = left.connect().await;
    client.query_drop("CREATE DATABASE shop").await.expect("a database");
    client.query_drop(EVENTS).await.expect("a table");

    const INSERTS: i64 = 10;
    let writer = |server: &TestServer, offset: i64| {
        let options = server.options();
        tokio::spawn(async move {
            let mut client = mysql_async::Conn::new(options).await.expect("a connection");
            for number in 0..INSERTS {
                let user = offset + number;
                let insert = format!("INSERT INTO shop.events VALUES ('2026-01-01 00:00:00', {user}, 'x')");
                client.query_drop(insert).await.expect("an insert that lost a race is tried again");
                let create = format!("CREATE TABLE shop.t{user} (a INT)");
                client.query_drop(create).await.expect("a manifest that lost a race is tried again");
            }
        })
    };
    let (one, two) = (writer(&left, 0), writer(&right, 100));
    one.await.expect("the first writer");
    two.await.expect("the second writer");

    for server in [&left, &right] {
        let mut client = server.connect().await;
        let (rows, users): (i64, i64) = client
            .query_first("SELECT COUNT(*), COUNT(DISTINCT user_id) FROM shop.events")
            .await
            .expect("an answer")
            .expect("a row");
        assert_eq!((rows, users), (2 * INSERTS, 2 * INSERTS));
        let tables: Vec<String> = client.query("SHOW TABLES FROM shop").await.expect("tables");
        assert_eq!(tables.len() as i64, 1 + 2 * INSERTS);
    }
    drop(client);
    left.stop().await;
    right.stop().await;
}
