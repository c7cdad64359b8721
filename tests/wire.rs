//! The MySQL wire against a real server in this process: polite clients (mysql_async) and raw sockets where it is too
//! polite. Every hostile client has a witness beside it: a second connection that must keep working.

mod ending;
mod raw_client;

use desirepath::server::mysql::statement_text::statement_text;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value};
use tokio::io::AsyncWriteExt;

use crate::harness::TestServer;
use raw_client::{AUTOCOMMIT, BASE, IN_TRANSACTION, MORE_RESULTS, MULTI_STATEMENTS, RawClient, framed, outcome_of};

/// A database with a table of a thousand numbers.
async fn numbers(server: &TestServer) -> Conn {
    let mut conn = server.connect().await;
    conn.query_drop("CREATE DATABASE wire").await.unwrap();
    conn.query_drop("USE wire").await.unwrap();
    conn.query_drop("CREATE TABLE numbers (i BIGINT NOT NULL)").await.unwrap();
    let values = (0..1000).map(|i| format!("({i})")).collect::<Vec<_>>().join(",");
    conn.query_drop(format!("INSERT INTO numbers VALUES {values}")).await.unwrap();
    conn
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_binary_protocol_agree() {
    let server = TestServer::start().await;
    let mut conn = numbers(&server).await;
    let text: (i64, String) = conn.query_first("SELECT i, 'it''s' FROM numbers WHERE i = 7").await.unwrap().unwrap();
    let binary: (i64, String) =
        conn.exec_first("SELECT i, 'it''s' FROM numbers WHERE i = ?", (7,)).await.unwrap().unwrap();
    assert_eq!(text, (7, "it's".to_owned()));
    assert_eq!(text, binary);
    let rows: Vec<i64> = conn.exec("SELECT i FROM numbers WHERE i < ? ORDER BY i", (100,)).await.unwrap();
    assert_eq!(rows, (0..100).collect::<Vec<_>>());
    let null: Row = conn.exec_first("SELECT ?", (Value::NULL,)).await.unwrap().unwrap();
    assert_eq!(null.as_ref(0), Some(&Value::NULL));
    // The same statement again sends no types; another value must still be read by them.
    let statement = conn.prep("SELECT i + ? FROM numbers WHERE i = ?").await.unwrap();
    for (addend, expected) in [(1, 6), (-7, -2)] {
        let sum: Option<i64> = conn.exec_first(&statement, (addend, 5)).await.unwrap();
        assert_eq!(sum, Some(expected));
    }
    conn.disconnect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_packets_are_answered_in_order() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address, BASE).await;
    let queries = [&b"\x03SELECT 11"[..], b"\x0E", b"\x03SELECT @@version_comment", b"\x03SELECT 22", b"\x0E"];
    let together = queries.iter().flat_map(|payload| framed(0, payload)).collect::<Vec<_>>();
    client.stream.write_all(&together).await.unwrap();
    assert_eq!(client.result().await.0, [b"\x0211"]);
    assert!(client.outcome().await.is_ok());
    assert_eq!(client.result().await.0.len(), 1);
    assert_eq!(client.result().await.0, [b"\x0222"]);
    let (sequence, ok) = client.packet().await;
    assert_eq!((sequence, ok[0]), (1, 0), "each answer counts from its own command");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_its_own_connection_only() {
    let server = TestServer::start().await;
    let mut witness = RawClient::connect(server.address, BASE).await;
    for garbage in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xFF; 300], &[0; 64], b"\x01\0\0\x01"] {
        // In place of the sign-in.
        let mut stranger = RawClient::open(server.address).await;
        stranger.packet().await;
        stranger.stream.write_all(garbage).await.unwrap();
        stranger.stream.shutdown().await.unwrap();
        while stranger.try_packet().await.is_some() {}
        // After it.
        let mut client = RawClient::connect(server.address, BASE).await;
        client.stream.write_all(garbage).await.unwrap();
        client.stream.shutdown().await.unwrap();
        while client.try_packet().await.is_some() {}
        witness.ping().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_commands_are_told_and_closed() {
    let server = TestServer::start().await;
    let mut witness = RawClient::connect(server.address, BASE).await;
    // Empty; ids that end early; a field list without the NUL; an option of one byte.
    for payload in [&b""[..], b"\x17\x01", b"\x18\x01\0\0\0\0", b"\x19\x01", b"\x1A", b"\x0C\x01", b"\x04t", b"\x1B\0"]
    {
        let mut client = RawClient::connect(server.address, BASE).await;
        client.send(0, payload).await;
        client.expect_closed_with(1835).await;
        witness.ping().await;
    }
    let mut client = RawClient::connect(server.address, BASE).await;
    client.send(5, b"\x0E").await;
    client.expect_closed_with(1156).await;
    witness.ping().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_opensrv_does_not_know() {
    let server = TestServer::start().await;
    let mut conn = numbers(&server).await;
    let mut client = RawClient::connect(server.address, BASE).await;

    client.command(0x09, b"").await;
    assert!(client.packet().await.1.starts_with(b"Uptime: "));
    for unknown in [0x00, 0x05, 0x12, 0x1D, 0x42, 0xFA] {
        client.command(unknown, b"x").await;
        assert_eq!(client.outcome().await, Err(1047), "command {unknown}");
    }
    client.command(0x02, b"nowhere").await;
    assert_eq!(client.outcome().await, Err(1049));
    client.command(0x02, b"wire").await;
    assert_eq!(client.outcome().await, Ok(AUTOCOMMIT));
    client.command(0x04, b"numbers\0%").await;
    let (_, definition) = client.packet().await;
    assert!(definition.windows(7).any(|window| window == b"numbers"), "the table is named");
    assert_eq!(client.packet().await.1[0], 0xFE);
    client.command(0x0C, &999_999u32.to_le_bytes()).await;
    assert_eq!(client.outcome().await, Err(1094));
    client.command(0x1B, &7u16.to_le_bytes()).await;
    assert_eq!(client.outcome().await, Err(1047));

    // Statements that were never prepared: the connection goes on.
    client.command(0x17, &[9, 0, 0, 0, 0, 1, 0, 0, 0]).await;
    assert_eq!(client.outcome().await, Err(1243));
    client.command(0x1A, &9u32.to_le_bytes()).await;
    assert_eq!(client.outcome().await, Err(1243));
    client.command(0x19, &9u32.to_le_bytes()).await;
    let statement = client.prepare("SELECT 1").await;
    client.command(0x1C, &[&statement.to_le_bytes()[..], &[1, 0, 0, 0]].concat()).await;
    assert_eq!(client.outcome().await, Err(1421));
    client.ping().await;
    conn.query_drop("DROP DATABASE wire").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_show_in_the_status_word() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address, BASE).await;
    for (statement, status) in
        [("BEGIN", IN_TRANSACTION | AUTOCOMMIT), ("COMMIT", AUTOCOMMIT), ("SET autocommit = 0", 0)]
    {
        client.query(statement).await;
        let flags = client.outcome().await.unwrap();
        assert_eq!(flags & (IN_TRANSACTION | AUTOCOMMIT), status, "{statement}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_of_65_megabytes_is_refused() {
    let server = TestServer::start().await;
    let mut witness = RawClient::connect(server.address, BASE).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    let part = vec![b' '; 0xFF_FFFF];
    for sequence in 0..4 {
        client.send(sequence, &part).await;
    }
    client.send(4, &part[..1 << 20]).await;
    client.expect_closed_with(1153).await;
    witness.ping().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_may_be_longer_than_one_packet_part() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address, BASE).await;
    let text = format!("\x03SELECT {}1", " ".repeat(17 << 20));
    let (first, rest) = text.as_bytes().split_at(0xFF_FFFF);
    client.send(0, first).await;
    client.send(1, rest).await;
    let (sequence, count) = client.packet().await;
    assert_eq!((sequence, &count[..]), (2, &[1][..]));
}

/// COM_STMT_EXECUTE bodies after id, flags and iteration count, for a statement of two parameters.
fn hostile_bodies() -> Vec<Vec<u8>> {
    // NULL bitmap, types sent, two types (LONGLONG, VAR_STRING), a number, a string.
    let right = [&[0, 1, 8, 0, 0xFD, 0][..], &7i64.to_le_bytes(), b"\x03abc"].concat();
    let mut bodies = (0..right.len()).map(|length| right[..length].to_vec()).collect::<Vec<_>>();
    for unknown_type in [0x20, 0x60, 0xF0, 0xFF] {
        let mut body = right.clone();
        body[2] = unknown_type;
        bodies.push(body);
    }
    // String lengths past the end of the packet, in each of their forms.
    for length in [&b"\xFA"[..], b"\xFC\xFF\xFF", b"\xFD\xFF\xFF\xFF", b"\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", b"\xFF"]
    {
        bodies.push([&right[..14], length, b"abc"].concat());
    }
    // Dates and times of wrong lengths.
    for kind in [7, 10, 11, 12] {
        for length in [1, 3, 5, 6, 8, 9, 13, 200] {
            bodies.push([&[0, 1, kind, 0, kind, 0, length][..], &[0xEE; 12]].concat());
        }
    }
    // No types at all, in the first execution.
    bodies.push([&[0, 0][..], &7i64.to_le_bytes(), b"\x03abc"].concat());
    bodies.push([&right[..], &[0; 9]].concat());
    // Noise, from a generator whose seed is here.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..64 {
        let mut body = vec![0, 1];
        for _ in 0..(state % 40) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            body.push((state >> 33) as u8);
        }
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        bodies.push(body);
    }
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_executions_harm_nobody() {
    let server = TestServer::start().await;
    let mut witness = RawClient::connect(server.address, BASE).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    let mut statement = client.prepare("SELECT ?, ?").await;
    for body in hostile_bodies() {
        let header = [&statement.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat();
        client.command(0x17, &[&header[..], &body].concat()).await;
        let (_, answer) = client.packet().await;
        match (answer[0] == 0xFF).then(|| outcome_of(&answer)) {
            Some(Err(1835)) => assert!(client.try_packet().await.is_none(), "malformed ends it: {body:02X?}"),
            Some(_) => client.ping().await,
            // Noise that meant something: rows follow.
            None => {}
        }
        client = RawClient::connect(server.address, BASE).await;
        statement = client.prepare("SELECT ?, ?").await;
        witness.ping().await;
    }
    let right = [&statement.to_le_bytes()[..], &[0, 1, 0, 0, 0, 0, 1, 8, 0, 0xFD, 0], &7i64.to_le_bytes(), b"\x03abc"];
    client.command(0x17, &right.concat()).await;
    assert_eq!(client.packet().await.1, [2], "two columns");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_data_is_used_once_and_bounded() {
    let server = TestServer::start_with(|settings| settings.max_allowed_packet_bytes = 4096).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    let statement = client.prepare("SELECT ?").await;
    let piece = |text: &[u8]| [&statement.to_le_bytes()[..], &[0, 0], text].concat();
    let run = [&statement.to_le_bytes()[..], &[0, 1, 0, 0, 0, 0, 1, 0xFD, 0]].concat();
    client.command(0x18, &piece(b"long ")).await;
    client.command(0x18, &piece(b"data")).await;
    client.command(0x17, &run).await;
    let (rows, outcome) = client.result().await;
    assert_eq!((rows.len(), outcome.is_ok()), (1, true));
    assert!(rows[0].ends_with(b"long data"));

    for _ in 0..3 {
        client.command(0x18, &piece(&[b'x'; 2000])).await;
    }
    client.command(0x17, &run).await;
    assert_eq!(client.outcome().await, Err(1210), "more than max_allowed_packet in pieces");
    client.command(0x18, &piece(&[b'y'; 2000])).await;
    client.command(0x1A, &statement.to_le_bytes()).await;
    assert!(client.outcome().await.is_ok(), "COM_STMT_RESET drops long data");
    client.ping().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_connection_forgets_all_but_the_database() {
    let server = TestServer::start().await;
    let mut conn = numbers(&server).await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.command(0x02, b"wire").await;
    client.outcome().await.unwrap();
    client.query("SET @a = 5").await;
    client.outcome().await.unwrap();
    let statement = client.prepare("SELECT 1").await;
    client.command(0x1F, b"").await;
    assert_eq!(client.outcome().await, Ok(AUTOCOMMIT));
    client.command(0x17, &[&statement.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat()).await;
    assert_eq!(client.outcome().await, Err(1243), "its statements are gone");
    client.query("SELECT @a").await;
    assert_eq!(client.result().await.0, [b"\xFB"], "its variables are gone");
    client.query("SELECT DATABASE()").await;
    assert_eq!(client.result().await.0, [b"\x04wire"], "its database stays");
    let statement = client.prepare("SELECT 2").await;
    client.command(0x17, &[&statement.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat()).await;
    assert!(client.result().await.1.is_ok(), "new statements work");
    assert!(conn.reset().await.unwrap(), "mysql_async's own reset");
    conn.ping().await.unwrap();
}

/// COM_CHANGE_USER to `user`, answering every AuthSwitchRequest with `password_answer`.
async fn change_user(client: &mut RawClient, user: &str, password_answer: &[u8]) -> Result<u16, u16> {
    let body = [user.as_bytes(), b"\0\0\0", &45u16.to_le_bytes(), b"mysql_native_password\0"].concat();
    client.command(0x11, &body).await;
    loop {
        let (sequence, answer) = client.packet().await;
        match answer[0] {
            0xFE => client.send(sequence + 1, password_answer).await,
            0x01 => {}
            _ => return outcome_of(&answer),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn change_user_asks_for_the_password() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.query("SET @a = 5").await;
    client.outcome().await.unwrap();
    assert_eq!(change_user(&mut client, "root", b"").await, Ok(AUTOCOMMIT));
    client.query("SELECT @a").await;
    assert_eq!(client.result().await.0, [b"\xFB"], "the new user starts afresh");

    for (user, answer) in [("root", &[7; 20][..]), ("nobody", b""), ("nobody", &[7; 20])] {
        let mut client = RawClient::connect(server.address, BASE).await;
        assert_eq!(change_user(&mut client, user, answer).await, Err(1045), "{user}");
        assert!(client.try_packet().await.is_none(), "a failed change ends the connection");
    }
    client.ping().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_statements_in_one_query() {
    let server = TestServer::start().await;
    let mut conn = server.connect().await;
    let mut results = conn.query_iter("SELECT 1; SET @a = 2; SELECT @a + 1;").await.unwrap();
    assert_eq!(results.collect::<i64>().await.unwrap(), [1]);
    assert_eq!(results.collect::<i64>().await.unwrap(), Vec::<i64>::new());
    assert_eq!(results.collect::<i64>().await.unwrap(), [3]);
    assert!(results.is_empty());
    drop(results);

    let mut client = RawClient::connect(server.address, BASE).await;
    client.query("SELECT 1; SELECT 2").await;
    assert_eq!(client.result().await.1, Err(1064), "not asked for");
    client.command(0x1B, &0u16.to_le_bytes()).await;
    client.outcome().await.unwrap();
    client.query("SELECT 1; SELECT nonsense; SELECT 3").await;
    let (rows, end) = client.result().await;
    assert_eq!((rows.len(), end.unwrap() & MORE_RESULTS), (1, MORE_RESULTS));
    assert_eq!(client.result().await.1, Err(1054), "the rest is not run");
    client.ping().await;
    client.command(0x1B, &1u16.to_le_bytes()).await;
    client.outcome().await.unwrap();
    client.query("SELECT 1; SELECT 2").await;
    assert_eq!(client.result().await.1, Err(1064), "switched off again");

    let mut client = RawClient::connect(server.address, BASE | MULTI_STATEMENTS).await;
    client.query("SELECT ';'; -- one; two\nSELECT 2;;").await;
    assert_eq!(client.result().await.0, [b"\x01;"]);
    let (rows, end) = client.result().await;
    assert_eq!((rows, end.unwrap() & MORE_RESULTS), (vec![b"\x012".to_vec()], 0));
    client.query("").await;
    assert_eq!(client.outcome().await, Err(1065));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_need_not_be_utf8_inside_quotes() {
    let server = TestServer::start().await;
    let mut client = RawClient::connect(server.address, BASE).await;
    client.command(0x03, b"SELECT _binary'\xFF\x00\xFE'").await;
    assert_eq!(client.result().await.0, [b"\x03\xFF\x00\xFE"]);
    client.command(0x03, b"SELECT \xFF").await;
    assert_eq!(client.outcome().await, Err(1300));
    client.ping().await;
}

#[test]
fn text_of_statements() {
    let cases: &[(&[u8], bool, &str)] = &[
        (b"SELECT '\xC3\xA9'", true, "SELECT 'é'"),
        (b"SELECT _binary'\xFF\\0\\n', 'a'", true, "SELECT X'FF000A', 'a'"),
        (b"SELECT _BINARY \"\xFF''\"\"\"", true, "SELECT X'FF272722'"),
        (b"VALUES ('\xFF\\'b', 'it''s')", true, "VALUES (X'FF2762', 'it''s')"),
        (b"VALUES ('\xFF\\', '\xFE')", false, "VALUES (X'FF5C', X'FE')"),
        (
            b"# don't\nSELECT '\xFF' -- isn't\n, /* it's */ '\xFE', `a'b`",
            true,
            "# don't\nSELECT X'FF' -- isn't\n, /* it's */ X'FE', `a'b`",
        ),
        (b"SELECT /*!40000 '\xFF' */", true, "SELECT /*!40000 X'FF' */"),
    ];
    for (bytes, backslash_escapes, expected) in cases {
        assert_eq!(statement_text(bytes, *backslash_escapes).unwrap(), *expected);
    }
    let error = statement_text(b"SELECT caf\xE9 FROM t", true).unwrap_err();
    assert_eq!(
        (error.row().number, error.message()),
        (1300, "Invalid utf8mb4 character string: '\\xE9\\x20\\x46\\x52\\x4F\\x4D'")
    );
}
