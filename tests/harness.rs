//! Real servers for tests: an engine on its own folder (or any URL), listening on loopback with a free port, stopped
//! when the test drops it.

use std::net::SocketAddr;
use std::sync::Arc;

use desirepath::config::Settings;
use desirepath::engine::Engine;
use desirepath::server::mysql;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running server and its data.
pub struct TestServer {
    pub address: SocketAddr,
    pub engine: Arc<Engine>,
    /// The data folder's parent; SQL may read files in `files/` below it.
    pub folder: TempDir,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl TestServer {
    /// A server on a new folder.
    pub async fn start() -> TestServer {
        TestServer::start_with(|_| {}).await
    }

    /// A server with other settings than the tests' defaults.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> TestServer {
        install_tls_provider();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut settings = settings(&folder);
        change(&mut settings);
        let engine = Engine::open(settings).await.expect("the engine opens");
        TestServer::serve(engine, folder).await
    }

    /// Serves an engine that is open already.
    pub async fn serve(engine: Arc<Engine>, folder: TempDir) -> TestServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let serving = mysql::serve(listener, engine.clone(), shutdown.clone());
        let task = tokio::spawn(async move { serving.await.expect("the server ends well") });
        TestServer { address, engine, folder, shutdown, task }
    }

    /// A folder whose files SQL may read.
    pub fn files(&self) -> std::path::PathBuf {
        self.folder.path().join("files")
    }

    /// Connection options for mysql_async: root without a password.
    pub fn options(&self) -> mysql_async::OptsBuilder {
        mysql_async::OptsBuilder::default()
            .ip_or_hostname(self.address.ip().to_string())
            .tcp_port(self.address.port())
            .user(Some("root"))
            .prefer_socket(false)
    }

    /// A connection as root.
    pub async fn connect(&self) -> mysql_async::Conn {
        mysql_async::Conn::new(self.options()).await.expect("root connects")
    }

    /// Stops the server and waits for it.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("the server's task ends");
    }
}

/// Settings for a test: data in `folder`, small limits, two threads.
pub fn settings(folder: &TempDir) -> Settings {
    let files = folder.path().join("files");
    std::fs::create_dir_all(&files).expect("the folder for files");
    Settings {
        data: folder.path().join("data").display().to_string(),
        allow_path: vec![files.display().to_string()],
        memory_limit_bytes: 1 << 30,
        threads: 2,
        shutdown_grace_seconds: 1,
        ..Settings::default()
    }
}

/// The TLS provider that `main` installs for the process; a second call finds it there.
pub fn install_tls_provider() {
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}
