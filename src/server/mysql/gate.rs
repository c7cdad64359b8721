//! The gate: one task, one connection, one command at a time. It owns the socket. A whole packet is read and decoded;
//! statements go to opensrv-mysql, which calls back into the conversation; the rest is answered here. No byte of a
//! client gets past it undecoded. How a client signs in is `handshake`, what an answer looks like is `answer`.

use std::sync::Arc;
use std::time::Duration;

use mysql_common::constants::CapabilityFlags;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer::Conversation;
use super::command::{Command, Statements};
use super::handshake::{self, AcceptContext, Accepted, Login, Peer};
use super::incoming::{Ending, Incoming};
use super::shim::Opensrv;
use crate::engine::Engine;
use crate::error::{Kind, Result};
use crate::session::{Client, Session};

/// How long a connection that ends waits for the client to take its last answer.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);

/// One signed-in connection.
pub struct Gate {
    incoming: Incoming,
    /// Shared with opensrv's shim; only one of the two is ever at work, so the lock is always free.
    conversation: Arc<Mutex<Conversation>>,
    opensrv: Opensrv,
    peer: Peer,
    context: Arc<AcceptContext>,
}

impl Gate {
    /// Serves a client that has signed in until its connection ends, and says why it did.
    pub async fn serve(
        accepted: Accepted,
        engine: Arc<Engine>,
        context: Arc<AcceptContext>,
        shutdown: CancellationToken,
    ) -> Ending {
        match Gate::open(accepted, engine, context, shutdown).await {
            Ok(mut gate) => loop {
                if let Err(ending) = gate.command().await {
                    gate.close(&ending).await;
                    return ending;
                }
            },
            Err(ending) => ending,
        }
    }

    /// The life of a command: read, decode, answer.
    async fn command(&mut self) -> Result<(), Ending> {
        let wait_max = self.conversation.lock().await.session.wait_max();
        let packet = match self.incoming.next_packet(wait_max).await {
            Ok(packet) => packet,
            Err(ending) => {
                // The client takes the error for the answer to what it sent last, in however many pieces.
                self.conversation.lock().await.writer.set_sequence(self.incoming.reader.next_sequence());
                return Err(ending);
            }
        };
        match self.decode(&packet).await? {
            None => Ok(()),
            Some(Command::Quit) => Err(Ending::quiet("quit")),
            Some(Command::ChangeUser) => self.change_user(&packet).await,
            Some(Command::ResetConnection) => self.reset_connection().await,
            Some(
                command @ (Command::Query(_)
                | Command::InitDatabase(_)
                | Command::Prepare(_)
                | Command::Execute { .. }
                | Command::CloseStatement { .. }),
            ) => {
                drop(packet);
                self.incoming.watch(self.opensrv.run(command)).await
            }
            Some(command) => {
                let conversation = &self.conversation;
                self.incoming.watch(async { conversation.lock().await.answer(command).await.map(drop) }).await
            }
        }
    }

    /// The command in a packet; None when the client has been told what is wrong with it and may go on.
    async fn decode(&mut self, packet: &[u8]) -> Result<Option<Command>, Ending> {
        let mut conversation = self.conversation.lock().await;
        let conversation = &mut *conversation;
        conversation.writer.set_sequence(self.incoming.reader.next_sequence());
        let backslash_escapes = !conversation.session.status().no_backslash_escapes;
        match Command::decode(packet, &mut conversation.statements, backslash_escapes) {
            Ok(command) => Ok(Some(command)),
            Err(error) if error.kind() == Kind::MalformedPacket => Err(Ending::violation(error)),
            Err(error) => self.incoming.watch(conversation.refuse(&error)).await.map(|()| None),
        }
    }

    /// COM_RESET_CONNECTION: as after signing in, but the database stays.
    async fn reset_connection(&mut self) -> Result<(), Ending> {
        let mut conversation = self.conversation.lock().await;
        conversation.session.reset();
        conversation.statements.clear();
        self.opensrv = start(&self.conversation).await?;
        self.incoming.watch(conversation.agree()).await
    }

    /// COM_CHANGE_USER: another user signs in on the same connection. One that fails ends it.
    async fn change_user(&mut self, packet: &[u8]) -> Result<(), Ending> {
        let mut conversation = self.conversation.lock().await;
        let denied = |error| Ending::told("denied", error);
        let (reader, writer) = (&mut self.incoming.reader, &mut conversation.writer);
        let login = handshake::change_user(packet, &self.peer, reader, writer, &self.context).await.map_err(denied)?;
        let changed = conversation.session.change_user(client(&self.peer, &login), login.database.as_deref()).await;
        changed.map_err(denied)?;
        tracing::info!(connection = self.peer.connection_id, user = login.user, "user changed");
        self.incoming.killed = conversation.session.killed();
        conversation.statements.clear();
        self.opensrv = start(&self.conversation).await?;
        self.incoming.watch(conversation.agree()).await
    }

    /// Selects the database that the login names and sends the OK that ends the connection phase.
    async fn open(
        accepted: Accepted,
        engine: Arc<Engine>,
        context: Arc<AcceptContext>,
        shutdown: CancellationToken,
    ) -> Result<Gate, Ending> {
        let Accepted { reader, writer, peer, login } = accepted;
        let settings = engine.settings();
        let grace = Duration::from_secs(settings.shutdown_grace_seconds);
        let statements = Statements::new(settings.max_allowed_packet_bytes);
        let mut session = Session::new(engine.clone(), client(&peer, &login));
        let killed = session.killed();
        let chosen = match &login.database {
            Some(name) => session.use_database(name).await,
            None => Ok(()),
        };
        let multi_statements = peer.capabilities.contains(CapabilityFlags::CLIENT_MULTI_STATEMENTS);
        let conversation = Arc::new(Mutex::new(Conversation { session, writer, statements, multi_statements }));
        let mut gate = Gate {
            incoming: Incoming { reader, killed, shutdown, grace },
            opensrv: start(&conversation).await?,
            conversation,
            peer,
            context,
        };
        let welcomed = match chosen {
            Ok(()) => gate.incoming.watch(async { gate.conversation.lock().await.agree().await }).await,
            Err(error) => Err(Ending::told("denied", error)),
        };
        match welcomed {
            Ok(()) => Ok(gate),
            Err(ending) => {
                gate.close(&ending).await;
                Err(ending)
            }
        }
    }

    /// Sends the last words, if there are any, and closes the socket so that they arrive.
    async fn close(self, ending: &Ending) {
        let Gate { mut incoming, conversation, opensrv, .. } = self;
        // Cancels the command that runs, and with it frees the conversation.
        drop(opensrv);
        let mut conversation = conversation.lock().await;
        if let Some(error) = &ending.error {
            conversation.writer.write_error(error);
        }
        // A client that does not listen any more has nothing to lose.
        let farewell = timeout(FAREWELL_TIME_MAX, conversation.writer.shut_down()).await;
        if farewell.is_ok() && ending.error.is_some() {
            incoming.reader.drain().await;
        }
    }
}

async fn start(conversation: &Arc<Mutex<Conversation>>) -> Result<Opensrv, Ending> {
    Opensrv::start(conversation.clone()).await.map_err(|error| Ending::told("opensrv failed", error))
}

/// Who the session serves.
fn client(peer: &Peer, login: &Login) -> Client {
    Client {
        id: peer.connection_id,
        user: login.user.clone(),
        host: peer.host.clone(),
        secure: peer.tls,
        address: peer.address.to_string(),
    }
}
