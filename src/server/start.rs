//! Starting and stopping: the engine is opened, the listeners bound, and SIGTERM or ^C ends both in order.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{http, mysql};
use crate::config::{Settings, VERSION};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::ingest::generate::{self, Plan};
use crate::session::demo;

/// What `serve --demo` generates.
const DEMO: Plan = Plan { events: 2_000_000, users: 130_000, days: 30, seed: 1 };

/// Opens the data and serves until SIGTERM or ^C.
///
/// # Errors
/// `Configuration` when an address cannot be bound or is open to others while root has no password, and what opening
/// the data returns.
pub async fn serve(settings: Settings, demo: bool) -> Result<()> {
    let engine = Engine::open(settings).await?;
    refuse_open_door(&engine).await?;
    let settings = engine.settings();
    let mysql_listener = bind("mysql", settings.mysql).await?;
    let http_listener = bind("http", settings.http).await?;
    if demo {
        let bar = progress_bar("generating demo events", DEMO.events);
        demo::ensure(&engine, DEMO, &|rows| bar.set_position(rows)).await?;
        bar.finish_and_clear();
    }
    let shutdown = CancellationToken::new();
    stop_on_signal(shutdown.clone())?;
    let mysql_address = mysql_listener.local_addr()?;
    let http_address = http_listener.local_addr()?;
    tracing::info!(version = VERSION, data = settings.data, mysql = %mysql_address, http = %http_address, "ready");
    let mysql = mysql::serve(mysql_listener, engine.clone(), shutdown.clone());
    let http = http::serve(http_listener, engine.clone(), shutdown.clone());
    let (mysql, http) = tokio::join!(async { mysql.await.inspect_err(|_| shutdown.cancel()) }, async {
        http.await.inspect_err(|_| shutdown.cancel())
    });
    tracing::info!("stopped");
    mysql.and(http)
}

/// `desirepath generate`: into a folder when `out` has a '/', else into a table.
///
/// # Errors
/// What writing returns.
pub async fn generate(settings: Settings, plan: Plan, out: &str) -> Result<()> {
    let bar = progress_bar("generating events", plan.events);
    match out.contains('/') {
        true => generate::write_folder(plan, Path::new(out), &|rows| bar.set_position(rows))?,
        false => {
            let engine = Engine::open(settings).await?;
            demo::load(&engine, plan, out, &|rows| bar.set_position(rows)).await?;
        }
    }
    bar.finish_and_clear();
    println!("{} events of {} users over {} days are in {out}", plan.events, plan.users, plan.days);
    Ok(())
}

/// A bar on standard error; nothing when that is no terminal.
pub fn progress_bar(what: &'static str, total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {human_pos}/{human_len} {percent}% {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(total).with_message(what).with_style(style);
    match std::io::stderr().is_terminal() {
        true => bar.enable_steady_tick(Duration::from_millis(200)),
        false => bar.set_draw_target(ProgressDrawTarget::hidden()),
    }
    bar
}

/// Nobody but this machine may connect while an account has no password.
async fn refuse_open_door(engine: &Arc<Engine>) -> Result<()> {
    let settings = engine.settings();
    let open = [("mysql", settings.mysql), ("http", settings.http)];
    let Some((name, address)) = open.into_iter().find(|(_, address)| !address.ip().is_loopback()) else {
        return Ok(());
    };
    let manifest = engine.catalog().manifest().await?;
    match manifest.users_without_password().next() {
        None => Ok(()),
        Some(user) => Err(Error::new(
            Kind::Configuration,
            format!(
                "refusing to listen on {address} ({name}): {user} has no password. Set one first: \
                 desirepath sql --data {} -e \"ALTER USER {user} IDENTIFIED BY '…'\"",
                settings.data
            ),
        )),
    }
}

async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let message = format!("cannot listen on {address} ({name}): {error}; choose another with --{name}");
        Error::new(Kind::Configuration, message).with_source(error)
    })
}

fn stop_on_signal(shutdown: CancellationToken) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
        }
        shutdown.cancel();
    });
    Ok(())
}
