//! Everything that ends a statement or a connection from outside: clients that leave or do not read, KILL, timeouts,
//! limits, shutdown.

use desirepath::engine::Engine;
use mysql_async::prelude::Queryable;
use tokio::time::timeout;

use super::numbers;
use super::raw_client::{BASE, HANG, RawClient};
use crate::harness::TestServer;

/// A query over the table of [`numbers`] that does not end by itself within any test, in rows that never stop coming.
const ENDLESS_ROWS: &str = "SELECT a.i, b.i, c.i, d.i FROM numbers a, numbers b, numbers c, numbers d";
/// The same without a row before its end.
const ENDLESS: &str =
    "SELECT SUM(a.i % 7 + b.i % 5 + c.i % 3 + d.i % 2) FROM numbers a, numbers b, numbers c, numbers d";

/// Waits until the process list says so; the runtime turns meanwhile.
async fn until(engine: &Engine, condition: impl Fn(&Engine) -> bool) {
    let wait = async {
        while !condition(engine) {
            tokio::task::yield_now().await;
        }
    };
    timeout(HANG, wait).await.expect("the process list comes to say so");
}

/// The id of the connection that runs a statement starting with `text`.
fn running(engine: &Engine, text: &str) -> Option<u32> {
    let list = engine.processes().list();
    let runs = |statement: Option<&str>| statement.is_some_and(|it| it.starts_with(text));
    list.iter().find(|process| runs(process.statement.as_deref())).map(|process| process.id)
}

async fn until_running(engine: &Engine, text: &str) -> u32 {
    until(engine, |engine| running(engine, text).is_some()).await;
    running(engine, text).expect("it was running just now")
}

fn server_error(error: mysql_async::Error) -> u16 {
    match error {
        mysql_async::Error::Server(error) => error.code,
        other => panic!("not an answer of the server: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_cancels_its_query() {
    let server = TestServer::start().await;
    let mut conn = numbers(&server).await;
    for query in [ENDLESS, ENDLESS_ROWS] {
        let mut client = RawClient::connect(server.address, BASE).await;
        client.command(0x02, b"wire").await;
        client.outcome().await.unwrap();
        client.query(query).await;
        let id = until_running(&server.engine, query).await;
        drop(client);
        until(&server.engine, |engine| !engine.processes().contains(id)).await;
    }
    conn.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_query_interrupts_and_kill_ends_the_connection() {
    let server = TestServer::start().await;
    let mut conn = numbers(&server).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.command(0x02, b"wire").await;
    client.outcome().await.unwrap();

    client.query(ENDLESS).await;
    let id = until_running(&server.engine, ENDLESS).await;
    conn.query_drop(format!("KILL QUERY {id}")).await.unwrap();
    assert_eq!(client.result().await.1, Err(1317));
    client.ping().await;

    client.query(ENDLESS).await;
    assert_eq!(until_running(&server.engine, ENDLESS).await, id);
    conn.query_drop(format!("KILL {id}")).await.unwrap();
    assert_eq!(client.result().await.1, Err(1927));
    assert!(client.try_packet().await.is_none());
    until(&server.engine, |engine| !engine.processes().contains(id)).await;

    // While idle: closed without a word.
    let mut idle = RawClient::connect(server.address, BASE).await;
    idle.query("SELECT CONNECTION_ID()").await;
    let (rows, _) = idle.result().await;
    let id = String::from_utf8(rows[0][1..].to_vec()).unwrap();
    conn.query_drop(format!("KILL {id}")).await.unwrap();
    assert!(idle.try_packet().await.is_none());
    assert_eq!(server_error(conn.query_drop("KILL 4294967295").await.unwrap_err()), 1094);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_its_query_down() {
    let server = TestServer::start().await;
    let mut conn = numbers(&server).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.command(0x02, b"wire").await;
    client.outcome().await.unwrap();
    client.query(ENDLESS_ROWS).await;
    for _ in 0..100 {
        client.packet().await;
    }
    // Nobody reads now. Others are served, and the query waits for its reader instead of piling up rows.
    let id = until_running(&server.engine, ENDLESS_ROWS).await;
    for _ in 0..50 {
        let count: Option<i64> = conn.query_first("SELECT COUNT(*) FROM numbers").await.unwrap();
        assert_eq!(count, Some(1000));
    }
    conn.query_drop(format!("KILL QUERY {id}")).await.unwrap();
    let mut bytes = 0;
    let number = loop {
        let (_, packet) = client.packet().await;
        if packet[0] == 0xFF {
            break u16::from_le_bytes([packet[1], packet[2]]);
        }
        bytes += packet.len();
    };
    assert_eq!(number, 1317);
    assert!(bytes < 64 << 20, "{bytes} bytes were on their way");
    client.ping().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_is_given_up() {
    let server = TestServer::start_with(|settings| settings.net_write_timeout_seconds = 1).await;
    numbers(&server).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.command(0x02, b"wire").await;
    client.outcome().await.unwrap();
    client.query(ENDLESS_ROWS).await;
    let id = until_running(&server.engine, ENDLESS_ROWS).await;
    until(&server.engine, |engine| !engine.processes().contains(id)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_of_connections_and_idle_time() {
    let server = TestServer::start_with(|settings| {
        settings.max_connections = 1;
        settings.wait_timeout_seconds = 1;
    })
    .await;
    let mut first = RawClient::connect(server.address, BASE).await;
    let mut second = RawClient::open(server.address).await;
    second.expect_closed_with(1040).await;
    assert!(first.try_packet().await.is_none(), "idle for a second: closed without a word");
    until(&server.engine, |engine| engine.processes().list().is_empty()).await;
    // The seat comes free with the connection's last breath, a little after the process list.
    timeout(HANG, async {
        while RawClient::open(server.address).await.packet().await.1[0] == 0xFF {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_closes_idle_connections_and_tells_running_ones() {
    let server = TestServer::start_with(|settings| settings.shutdown_grace_seconds = 1).await;
    let mut idle = numbers(&server).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.command(0x02, b"wire").await;
    client.outcome().await.unwrap();
    client.query(ENDLESS).await;
    until_running(&server.engine, ENDLESS).await;
    let stopped = tokio::spawn(server.stop());
    assert!(idle.ping().await.is_err());
    assert_eq!(client.result().await.1, Err(1053));
    timeout(HANG, stopped).await.unwrap().unwrap();
}
