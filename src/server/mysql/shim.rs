//! opensrv-mysql as the dispatcher of statements: it runs inside the connection's task, is fed one made-up packet per
//! command and calls the shim back. The made-up packet carries the command's byte and nothing else, and what opensrv
//! writes is thrown away, so no byte of a client reaches its parser and none of its answers reaches a client: both have
//! faults (stale reads on pipelined packets, panics on malformed parameters, fixed column definitions). The decoded
//! command waits in a mailbox for the shim; the conversation writes the answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use mysql_common::constants::CapabilityFlags;
use opensrv_mysql::{
    AsyncMysqlIntermediary, AsyncMysqlShim, InitWriter, IntermediaryOptions, ParamParser, QueryResultWriter,
    StatementMetaWriter,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, sink};
use tokio::sync::Mutex;

use super::answer::Conversation;
use super::command::{Command, byte};
use super::packet::HEADER_BYTES;
use crate::error::{Error, Result};

/// One opensrv-mysql connection, polled by the gate. Dropping it cancels the command it runs.
pub struct Opensrv {
    mailbox: Mailbox,
    connection: Pin<Box<dyn Future<Output = Result<()>> + Send>>,
}

impl Opensrv {
    /// Starts opensrv in its command phase: a made-up login is its first packet.
    ///
    /// # Errors
    /// `Internal` when opensrv refuses the login, which it cannot.
    pub async fn start(conversation: Arc<Mutex<Conversation>>) -> Result<Opensrv> {
        let mailbox = Mailbox::default();
        let shim = Shim { conversation, mailbox: mailbox.clone() };
        let feed = mailbox.clone();
        let connection = Box::pin(async move {
            // USE is a statement like any other; opensrv would take all that follows the word for a name.
            let options = IntermediaryOptions { process_use_statement_on_query: true, ..Default::default() };
            AsyncMysqlIntermediary::run_with_options(shim, feed, sink(), &options).await
        });
        let mut opensrv = Opensrv { mailbox, connection };
        opensrv.mailbox.post(1, &login(), None);
        opensrv.until_idle().await?;
        Ok(opensrv)
    }

    /// Runs one command; done when its answer has been written and flushed.
    ///
    /// # Errors
    /// What the conversation could not send; the connection is of no further use then.
    pub async fn run(&mut self, command: Command) -> Result<()> {
        let packet = match &command {
            Command::Query(_) => vec![byte::QUERY],
            Command::InitDatabase(_) => vec![byte::INIT_DB],
            Command::Prepare(_) => vec![byte::STMT_PREPARE],
            // Statement id, then the flags and the iteration count of an execution.
            Command::Execute { statement, .. } => {
                [&[byte::STMT_EXECUTE], &statement.to_le_bytes()[..], &[0, 1, 0, 0, 0]].concat()
            }
            Command::CloseStatement { statement } => [&[byte::STMT_CLOSE], &statement.to_le_bytes()[..]].concat(),
            _ => return Err(Error::internal("this command is answered without opensrv")),
        };
        self.mailbox.post(0, &packet, Some(command));
        self.until_idle().await
    }

    /// Polls opensrv until it asks for the next packet: then the last one has been dealt with.
    async fn until_idle(&mut self) -> Result<()> {
        std::future::poll_fn(|context| match self.connection.as_mut().poll(context) {
            Poll::Ready(Ok(())) => Poll::Ready(Err(Error::internal("opensrv left its command loop"))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending if self.mailbox.lock().wanted => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        })
        .await
    }
}

/// A HandshakeResponse41 without a password. Its flags decide how opensrv writes, which nobody reads.
fn login() -> Vec<u8> {
    let flags = CapabilityFlags::CLIENT_PROTOCOL_41
        | CapabilityFlags::CLIENT_SECURE_CONNECTION
        | CapabilityFlags::CLIENT_PLUGIN_AUTH;
    let mut payload = flags.bits().to_le_bytes().to_vec();
    payload.extend_from_slice(&[0; 4]); // largest packet
    payload.push(45); // utf8mb4
    payload.extend_from_slice(&[0; 23]); // reserved
    payload.extend_from_slice(b"\0"); // user
    payload.push(0); // length of the password's answer
    payload.extend_from_slice(b"mysql_native_password\0"); // what opensrv expects, so that it asks no more
    payload
}

/// What the gate hands to opensrv: a packet for its reader, and the command for the shim.
#[derive(Clone, Default)]
struct Mailbox(Arc<StdMutex<Post>>);

#[derive(Default)]
struct Post {
    packet: Vec<u8>,
    taken: usize,
    command: Option<Command>,
    /// opensrv has read everything and asks for more.
    wanted: bool,
}

impl Mailbox {
    fn post(&self, sequence: u8, payload: &[u8], command: Option<Command>) {
        let mut post = self.lock();
        post.packet.clear();
        post.packet.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..HEADER_BYTES - 1]);
        post.packet.push(sequence);
        post.packet.extend_from_slice(payload);
        post.taken = 0;
        post.command = command;
        post.wanted = false;
    }

    fn take_command(&self) -> Result<Command> {
        self.lock().command.take().ok_or_else(|| Error::internal("opensrv called back without a command"))
    }

    fn lock(&self) -> MutexGuard<'_, Post> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsyncRead for Mailbox {
    /// No waker is kept: whoever posts a packet polls opensrv next.
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut post = self.lock();
        let rest = &post.packet[post.taken..];
        let length = rest.len().min(buffer.remaining());
        if length == 0 {
            post.wanted = true;
            return Poll::Pending;
        }
        buffer.put_slice(&rest[..length]);
        post.taken += length;
        Poll::Ready(Ok(()))
    }
}

/// Where opensrv calls: each command is taken from the mailbox and answered by the conversation.
struct Shim {
    conversation: Arc<Mutex<Conversation>>,
    mailbox: Mailbox,
}

impl Shim {
    async fn answer(&self) -> Result<Option<u32>> {
        let command = self.mailbox.take_command()?;
        self.conversation.lock().await.answer(command).await
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> AsyncMysqlShim<W> for Shim {
    type Error = Error;

    async fn on_query<'a>(&'a mut self, _: &'a str, _: QueryResultWriter<'a, W>) -> Result<()> {
        self.answer().await.map(drop)
    }

    async fn on_init<'a>(&'a mut self, _: &'a str, _: InitWriter<'a, W>) -> Result<()> {
        self.answer().await.map(drop)
    }

    async fn on_prepare<'a>(&'a mut self, _: &'a str, statement: StatementMetaWriter<'a, W>) -> Result<()> {
        if let Some(id) = self.answer().await? {
            // opensrv refuses to execute an id that it has not been told.
            statement.reply(id, &[], &[]).await?;
        }
        Ok(())
    }

    async fn on_execute<'a>(&'a mut self, _: u32, _: ParamParser<'a>, _: QueryResultWriter<'a, W>) -> Result<()> {
        self.answer().await.map(drop)
    }

    async fn on_close<'a>(&'a mut self, statement: u32)
    where
        W: 'async_trait,
    {
        // COM_STMT_CLOSE has no answer, so a failure has nobody to go to.
        if let Err(error) = self.answer().await {
            tracing::debug!(statement, %error, "close failed");
        }
    }
}
