//! The binary as a person runs it: start, refuse, stop; scripts in-process and through the mysql client; the tour.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_desirepath");

fn desirepath(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).stdin(Stdio::null()).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address").port()
}

/// A server in a process of its own, killed if a test forgets it.
struct Server {
    process: Child,
    mysql_port: u16,
    http_port: u16,
}

impl Server {
    fn start(data: &Path, more: &[&str]) -> Server {
        let (mysql_port, http_port) = (free_port(), free_port());
        #[expect(clippy::zombie_processes, reason = "`stop` waits for it, and Drop kills it when a test fails")]
        let mut process = Command::new(BINARY)
            .args(["serve", "--data", &data.display().to_string(), "--log-format", "json"])
            .args(["--mysql", &format!("127.0.0.1:{mysql_port}"), "--http", &format!("127.0.0.1:{http_port}")])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut log = BufReader::new(process.stderr.take().expect("a log"));
        let mut line = String::new();
        while log.read_line(&mut line).expect("a log line") > 0 {
            if line.contains("\"ready\"") {
                // Read on, so that the server never waits for its log.
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return Server { process, mysql_port, http_port };
            }
        }
        panic!("the server ended before it was ready: {line}");
    }

    fn mysql(&self, arguments: &[&str], input: Stdio) -> Output {
        Command::new("mysql")
            .args(["--host=127.0.0.1", "--user=root", &format!("--port={}", self.mysql_port)])
            .args(arguments)
            .stdin(input)
            .output()
            .expect("the mysql client runs (scripts/setup installs it)")
    }

    /// SIGTERM, then the exit within a few seconds.
    fn stop(mut self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill runs").success());
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if let Some(status) = self.process.try_wait().expect("a status") {
                assert!(status.success(), "SIGTERM ends the server well: {status}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not stop on SIGTERM");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // Only on a failed test: the assertion already speaks.
            let _ = self.process.kill().and_then(|()| self.process.wait());
        }
    }
}

#[test]
fn listening_for_others_needs_a_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let output = desirepath(&["serve", "--data", &data, "--mysql", "0.0.0.0:0", "--http", "127.0.0.1:0"]);
    assert!(!output.status.success());
    let error = text(&output.stderr);
    assert!(error.contains("'root'@'%' has no password") && error.contains("ALTER USER"), "{error}");
}

#[test]
fn a_wrong_setting_is_named() {
    let output =
        Command::new(BINARY).arg("config").env("DESIREPATH_MAX_CONNECTIONS", "many").output().expect("the binary runs");
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("DESIREPATH_MAX_CONNECTIONS"), "{error}");
    let output = desirepath(&["config", "--data", "/elsewhere"]);
    assert!(text(&output.stdout).contains("data = \"/elsewhere\"  # command line"), "{}", text(&output.stdout));
}

#[test]
fn scripts_run_alike_in_process_and_through_the_client() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script.sql");
    let sql = "CREATE DATABASE d; USE d; -- a comment; with a semicolon\n\
               CREATE TABLE t (a INT, b VARCHAR(20));\n\
               INSERT INTO t VALUES (1, 'one;'), (2, NULL), (3, 'drei\\'s');\n\
               SELECT * FROM t ORDER BY a;\nSELECT SUM(a) AS total FROM t;\n";
    std::fs::write(&script, sql).expect("a script");
    let data = folder.path().join("in-process").display().to_string();
    let file = script.display().to_string();
    let in_process = desirepath(&["sql", "--data", &data, "--format", "tsv", &file]);
    assert!(in_process.status.success(), "{}", text(&in_process.stderr));

    let server = Server::start(&folder.path().join("served"), &[]);
    let opened = std::fs::File::open(&script).expect("the script");
    let client = server.mysql(&["--batch"], opened.into());
    assert!(client.status.success(), "{}", text(&client.stderr));
    assert_eq!(text(&in_process.stdout), text(&client.stdout));
    assert_eq!(text(&client.stdout), "a\tb\n1\tone;\n2\tNULL\n3\tdrei's\ntotal\n6\n");

    let mut health = String::new();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.http_port)).expect("HTTP answers");
    std::io::Write::write_all(&mut stream, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("sent");
    stream.read_to_string(&mut health).expect("an answer");
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    server.stop();
}

#[test]
fn a_failing_script_names_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("broken.sql");
    std::fs::write(&script, "SELECT 1;\n\n/* two\nlines */\nSELECT nothing\nFROM nowhere;\nSELECT 2;\n")
        .expect("a script");
    let data = folder.path().join("data").display().to_string();
    let output = desirepath(&["sql", "--data", &data, "--format", "tsv", &script.display().to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("broken.sql:5: ERROR 1046 (3D000)") && error.contains("SELECT nothing"), "{error}");
    assert_eq!(text(&output.stdout), "1\n1\n");
    let output = desirepath(&["sql", "--data", &data, "--format", "tsv", "--force", &script.display().to_string()]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), "1\n1\n2\n2\n".to_owned()));
}

#[test]
fn every_question_of_the_tour_has_an_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let made = desirepath(&[
        "generate",
        "--data",
        &data.display().to_string(),
        "--events",
        "20000",
        "--users",
        "1500",
        "--out",
        "demo.events",
    ]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let fixtures = std::fs::canonicalize("fixtures").expect("the fixtures").display().to_string();
    let server = Server::start(&data, &["--allow-path", &fixtures]);
    let mut questions: Vec<_> =
        std::fs::read_dir("sql/tour").expect("the tour").map(|entry| entry.expect("an entry").path()).collect();
    questions.sort();
    for question in questions.iter().filter(|path| path.extension().is_some_and(|extension| extension == "sql")) {
        let input = std::fs::File::open(question).expect("a question");
        let answer = server.mysql(&["--batch", "demo"], input.into());
        assert!(answer.status.success(), "{}: {}", question.display(), text(&answer.stderr));
        assert!(text(&answer.stdout).lines().count() >= 2, "{}: {}", question.display(), text(&answer.stdout));
    }
    server.stop();
}

/// Runs a script of `tests/clients` with the Python of the tests.
fn python(arguments: &[&str]) -> Output {
    let environment = std::env::var("TEST_VENV").expect("TEST_VENV: run the tests with make test");
    Command::new(Path::new(&environment).join("bin/python")).args(arguments).output().expect("python runs")
}

#[test]
fn another_engine_reads_our_files_and_gives_the_same_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let made =
        desirepath(&["generate", "--data", &data, "--events", "20000", "--users", "1500", "--out", "demo.events"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let server = Server::start(Path::new(&data), &[]);
    let output = python(&["tests/clients/read_files.py", &server.mysql_port.to_string(), &data]);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    server.stop();
}

/// PyMySQL signs in with both password plugins, with and without TLS, and reads typed values.
#[test]
fn a_driver_signs_in_with_both_plugins() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    for (plugin, password) in [("mysql_native_password", "old"), ("caching_sha2_password", "new")] {
        let alter = format!("ALTER USER root IDENTIFIED WITH {plugin} BY '{password}'");
        let output = desirepath(&["sql", "--data", &data.display().to_string(), "-e", &alter]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let server = Server::start(&data, &[]);
        let output = python(&["tests/clients/sign_in.py", &server.mysql_port.to_string(), password]);
        assert!(output.status.success(), "{plugin}: {}{}", text(&output.stdout), text(&output.stderr));
        server.stop();
    }
}
