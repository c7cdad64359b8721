//! What comes in from a client, and everything that may end a connection: between commands the next packet is awaited,
//! during a command the socket is watched, so that a client that leaves cancels its query.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::packet::{PacketReader, ReadStream};
use crate::error::{Error, Kind, Result};

/// Why a connection ended: a word for the log, and the error a client that waits for an answer is told.
#[derive(Debug)]
pub struct Ending {
    pub reason: &'static str,
    pub error: Option<Error>,
}

impl Ending {
    /// The client expects no answer.
    pub fn quiet(reason: &'static str) -> Ending {
        Ending { reason, error: None }
    }

    /// The client is told why.
    pub fn told(reason: &'static str, error: Error) -> Ending {
        Ending { reason, error: Some(error) }
    }

    /// The client broke the protocol.
    pub fn violation(error: Error) -> Ending {
        Ending::told("protocol violation", error)
    }
}

/// The reading side of a connection with what may end it from outside.
pub struct Incoming {
    pub reader: PacketReader<ReadStream>,
    /// Cancelled by KILL.
    pub killed: CancellationToken,
    /// Cancelled when the server stops.
    pub shutdown: CancellationToken,
    /// How long a command may go on after `shutdown`.
    pub grace: Duration,
}

impl Incoming {
    /// The next command's packet, awaited for at most `wait_max`.
    pub async fn next_packet(&mut self, wait_max: Duration) -> Result<Bytes, Ending> {
        tokio::select! {
            biased;
            () = self.killed.cancelled() => Err(Ending::quiet("killed")),
            () = self.shutdown.cancelled() => Err(Ending::quiet("server shutdown")),
            read = timeout(wait_max, self.reader.read_packet(0)) => match read {
                Ok(Ok(Some(packet))) => Ok(packet),
                Ok(Ok(None)) => Err(Ending::quiet("client left")),
                Ok(Err(error)) if error.kind() == Kind::Io => Err(Ending::quiet("connection lost")),
                Ok(Err(error)) => Err(Ending::violation(error)),
                Err(_) => Err(Ending::quiet("idle for wait_timeout")),
            },
        }
    }

    /// Waits for a command's answer to be sent, unless something ends the connection before; then the answer is dropped
    /// where it stands, and whatever was computing it is cancelled.
    pub async fn watch(&mut self, answer: impl Future<Output = Result<()>>) -> Result<(), Ending> {
        let grace_over = async {
            self.shutdown.cancelled().await;
            sleep(self.grace).await;
        };
        tokio::select! {
            biased;
            () = self.killed.cancelled() => {
                Err(Ending::told("killed", Error::new(Kind::ConnectionKilled, "Connection was killed")))
            }
            answered = answer => answered.map_err(|error| Ending::told("answer not sent", error)),
            () = grace_over => {
                Err(Ending::told("server shutdown", Error::new(Kind::ServerShutdown, "Server shutdown in progress")))
            }
            () = self.reader.closed() => Err(Ending::quiet("client left during a command")),
        }
    }
}
