//! HTTP routes: `/healthz` (the process answers) and `/readyz` (the catalog can be read). Answers are JSON. No SQL, no
//! events, no pages yet.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::VERSION;
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};

/// How long `/readyz` waits for the catalog.
const READY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Serves HTTP until `shutdown`, then lets requests that have begun finish within the shutdown grace.
///
/// # Errors
/// `Io` when the listener fails.
pub async fn serve(listener: TcpListener, engine: Arc<Engine>, shutdown: CancellationToken) -> Result<()> {
    let grace = Duration::from_secs(engine.settings().shutdown_grace_seconds);
    let routes = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .fallback(no_such_page)
        .with_state(engine);
    let drained = axum::serve(listener, routes).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        served = drained => served.map_err(Error::from),
        () = async { shutdown.cancelled().await; tokio::time::sleep(grace).await } => Ok(()),
    }
}

async fn healthz() -> Response {
    answer(StatusCode::OK, json!({ "status": "ok", "version": VERSION }))
}

async fn readyz(State(engine): State<Arc<Engine>>) -> Response {
    let late = || Error::new(Kind::Timeout, format!("the catalog did not answer within {READY_WAIT_MAX:?}"));
    let read = tokio::time::timeout(READY_WAIT_MAX, engine.catalog().manifest()).await;
    match read.unwrap_or_else(|_| Err(late())) {
        Ok(_) => answer(StatusCode::OK, json!({ "status": "ready" })),
        Err(error) => {
            tracing::warn!(%error, "not ready");
            answer(StatusCode::SERVICE_UNAVAILABLE, json!({ "status": "not ready", "error": error.message() }))
        }
    }
}

async fn no_such_page() -> Response {
    answer(StatusCode::NOT_FOUND, json!({ "error": "no such page; there are /healthz and /readyz" }))
}

fn answer(status: StatusCode, body: Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
