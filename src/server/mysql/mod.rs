//! The MySQL wire: connections are accepted here and live in [`gate`]. In the order a client meets them: greeting and
//! sign-in, packets, commands, opensrv-mysql, answers.

pub mod answer; // command → session → packets
pub mod authentication; // the password plugins
pub mod column; // Arrow field → column definition
pub mod command; // packet → command
pub mod gate; // one command from packet to answer
pub mod handshake; // greeting, TLS upgrade, who is there
pub mod incoming; // the next packet, and what may end a connection
pub mod packet; // whole packets off a socket and onto it
pub mod parameter; // bytes of a prepared statement's parameters → values
pub mod row; // Arrow row → row packet
pub mod shim; // opensrv-mysql between gate and conversation
pub mod statement_text; // bytes of a statement → text
pub mod tls; // certificate and keys

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use gate::Gate;
use handshake::AcceptContext;

/// Refused clients that are being told so at one time; more are cut off without a word.
const REFUSALS_MAX: usize = 64;
/// Pause after a failed accept (out of file descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What connections get on top of the shutdown grace to say their last words.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(3);

/// Serves MySQL clients until `shutdown`; then idle connections are closed, and running statements have the shutdown
/// grace to finish. One task per connection: what goes wrong in one stays in it.
///
/// # Errors
/// `Configuration` when the TLS certificate cannot be used.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>, shutdown: CancellationToken) -> Result<()> {
    let context = Arc::new(AcceptContext::new(engine.clone()).await?);
    let seats = Arc::new(Semaphore::new(engine.settings().max_connections));
    let mut connections = JoinSet::new();
    let mut refusals = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            Some(ended) = connections.join_next() => { report_panic(ended); continue }
            Some(ended) = refusals.join_next() => { report_panic(ended); continue }
            accepted = listener.accept() => accepted,
        };
        match (accepted, seats.clone().try_acquire_owned()) {
            (Ok((stream, address)), Ok(seat)) => {
                let (engine, context, shutdown) = (engine.clone(), context.clone(), shutdown.clone());
                connections.spawn(async move {
                    connection(stream, address, engine, context, shutdown).await;
                    drop(seat);
                });
            }
            (Ok((stream, address)), Err(_)) => {
                tracing::warn!(%address, "refused: too many connections");
                if refusals.len() < REFUSALS_MAX {
                    refusals.spawn(refuse(stream));
                }
            }
            (Err(error), _) => {
                tracing::warn!(%error, "accept failed");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(connections, Duration::from_secs(engine.settings().shutdown_grace_seconds)).await;
    Ok(())
}

/// One connection from its greeting to its end.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    engine: Arc<Engine>,
    context: Arc<AcceptContext>,
    shutdown: CancellationToken,
) {
    let started = Instant::now();
    let signed_in = tokio::select! {
        () = shutdown.cancelled() => return,
        signed_in = handshake::accept(stream, address, &context) => signed_in,
    };
    let accepted = match signed_in {
        Ok(accepted) => accepted,
        // Port scanners and health checks come and go without a word.
        Err(error) if error.kind() == Kind::Io => {
            return tracing::debug!(%address, error = error.message(), "no sign-in");
        }
        Err(error) => {
            let code = error.row().number;
            return tracing::warn!(%address, code, error = error.message(), "sign-in denied");
        }
    };
    let connection = accepted.peer.connection_id;
    tracing::info!(connection, %address, user = accepted.login.user, tls = accepted.peer.tls, "connected");
    let ending = Gate::serve(accepted, engine, context, shutdown).await;
    let duration_ms = started.elapsed().as_millis() as u64;
    match &ending.error {
        None => tracing::info!(connection, %address, reason = ending.reason, duration_ms, "disconnected"),
        Some(error) => {
            let (reason, code, error) = (ending.reason, error.row().number, error.message());
            tracing::warn!(connection, %address, reason, code, error, duration_ms, "disconnected");
        }
    }
}

async fn refuse(stream: TcpStream) {
    handshake::refuse(stream, &Error::new(Kind::TooManyConnections, "Too many connections")).await;
}

/// Waits for connections to end by themselves, which they do within `grace`; one that does not is cut off.
async fn drain(mut connections: JoinSet<()>, grace: Duration) {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report_panic(ended);
        }
    };
    if timeout(grace + FAREWELL_TIME_MAX, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections cut off at shutdown");
        connections.shutdown().await;
    }
}

/// A panic is a bug; it has ended its own connection and no other.
fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection panicked");
    }
}
