//! MySQL packets: whole logical packets off a stream and onto it, whatever the stream is.
//!
//! A packet is three bytes of length, one of sequence number, and the payload; a payload of 16 MiB - 1 bytes is
//! continued in the next packet. Limits, sequence numbers and buffering live here; what a payload means does not,
//! except for the three short answers every part of the protocol needs: OK, ERR and EOF.
//! Format: <https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html>.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use mysql_common::constants::StatusFlags;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::error::{Error, Kind, Result};

mod fields;

pub use fields::{Fields, put_lenenc_bytes, put_lenenc_int};

/// The reading side of a connection, plain or TLS.
pub type ReadStream = Box<dyn AsyncRead + Send + Sync + Unpin>;
/// The writing side of a connection, plain or TLS.
pub type WriteStream = Box<dyn AsyncWrite + Send + Sync + Unpin>;

/// Payload bytes of one physical packet; exactly so many mean "continued".
pub const PART_BYTES_MAX: usize = 0xFF_FFFF;
/// Length and sequence number in front of each physical packet.
pub const HEADER_BYTES: usize = 4;
/// The writer asks to be flushed when it holds so many bytes.
pub const FLUSH_BYTES: usize = 64 << 10;

/// Bytes asked of the stream in one read.
const RECEIVE_BYTES_MAX: usize = 64 << 10;
/// Bytes kept of what a client sends while its last command still runs; past that it has to wait.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;
/// A buffer that has grown past this for one large packet is given back afterwards.
const KEPT_BYTES_MAX: usize = 1 << 20;
/// How much of an oversized packet is read and thrown away, as a multiple of the limit, so that its ERR can be seen.
const SKIP_LIMITS_MAX: usize = 16;
/// Longest text of an ERR packet (clients cut at 512 bytes and up).
const MESSAGE_BYTES_MAX: usize = 4096;
/// How long, and for how many bytes, [`PacketReader::drain`] waits for a refused client to hang up.
const DRAIN_TIME: Duration = Duration::from_secs(1);
const DRAIN_BYTES_MAX: usize = 1 << 20;

/// Reads one whole logical packet at a time.
///
/// Every method is safe to cancel: what was received stays in the reader and the next call goes on from there.
#[derive(Debug)]
pub struct PacketReader<R> {
    stream: R,
    /// Received and not yet taken.
    buffer: BytesMut,
    /// The parts so far of a packet that is continued.
    assembled: BytesMut,
    /// Whether a packet that is continued has begun.
    continued: bool,
    next_sequence: u8,
    limit_bytes: usize,
    read_ahead_bytes: usize,
}

impl<R: AsyncRead + Unpin> PacketReader<R> {
    /// A reader that refuses payloads longer than `limit_bytes`.
    pub fn new(stream: R, limit_bytes: usize) -> Self {
        PacketReader {
            stream,
            buffer: BytesMut::new(),
            assembled: BytesMut::new(),
            continued: false,
            next_sequence: 0,
            limit_bytes,
            read_ahead_bytes: RECEIVE_BYTES_MAX,
        }
    }

    /// A reader that takes not one byte past the packet it returns, so that the stream can become something else (TLS).
    pub fn exact(stream: R, limit_bytes: usize) -> Self {
        PacketReader { read_ahead_bytes: 0, ..Self::new(stream, limit_bytes) }
    }

    /// Changes the largest payload allowed, in bytes.
    pub fn set_limit(&mut self, limit_bytes: usize) {
        self.limit_bytes = limit_bytes;
    }

    /// The sequence number that follows the last packet read: the answer's.
    pub fn next_sequence(&self) -> u8 {
        self.next_sequence
    }

    /// The payload of the next packet, whose first part must have number `sequence` (0 for a command).
    /// None when the peer has closed the stream between two packets.
    ///
    /// # Errors
    /// `PacketOutOfOrder`; `PacketTooLarge`, after the rest of that packet has been read past (within reason), so that
    /// an ERR numbered [`Self::next_sequence`] reaches a client that writes first and reads later; `Io` when the stream
    /// fails or ends inside a packet. The stream is of no further use then.
    pub async fn read_packet(&mut self, sequence: u8) -> Result<Option<Bytes>> {
        if !self.continued {
            self.next_sequence = sequence;
        }
        loop {
            if !self.fill(HEADER_BYTES).await? {
                return match self.buffer.is_empty() && !self.continued {
                    true => Ok(None),
                    false => Err(cut_short()),
                };
            }
            let part_bytes = self.check_header()?;
            let total_bytes = self.assembled.len() + part_bytes;
            if total_bytes > self.limit_bytes {
                self.skip(part_bytes).await?;
                return Err(too_large(total_bytes, self.limit_bytes));
            }
            if !self.fill(HEADER_BYTES + part_bytes).await? {
                return Err(cut_short());
            }
            let part = self.take_part(part_bytes);
            let first = !self.continued;
            self.continued = part_bytes == PART_BYTES_MAX;
            if first && !self.continued {
                return Ok(Some(part.freeze()));
            }
            self.assembled.extend_from_slice(&part);
            if !self.continued {
                return Ok(Some(std::mem::take(&mut self.assembled).freeze()));
            }
        }
    }

    /// Resolves when the peer is gone. What it sends until then is kept for [`Self::read_packet`], up to a limit; past
    /// the limit nothing is read and this never resolves.
    pub async fn closed(&mut self) {
        while self.buffer.len() < READ_AHEAD_BYTES_MAX {
            match self.receive(RECEIVE_BYTES_MAX).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        std::future::pending().await
    }

    /// Reads and throws away what a refused client still sends, until it hangs up; bounded in bytes and time. Closing
    /// a socket with unread bytes in it makes TCP drop the answer that is on its way.
    pub async fn drain(&mut self) {
        let rest = async {
            let mut drained_bytes = 0;
            while drained_bytes < DRAIN_BYTES_MAX {
                self.buffer.clear();
                match self.receive(RECEIVE_BYTES_MAX).await {
                    Ok(0) | Err(_) => return,
                    Ok(received) => drained_bytes += received,
                }
            }
        };
        // Running out of time is as good as running out of bytes: the connection is closed either way.
        let _ = timeout(DRAIN_TIME, rest).await;
    }

    /// The length of the part in front of the buffer, if its number is the expected one.
    fn check_header(&self) -> Result<usize> {
        let [low, middle, high, sequence] =
            self.buffer.first_chunk::<HEADER_BYTES>().copied().expect("a whole header has been received");
        if sequence != self.next_sequence {
            return Err(Error::new(
                Kind::PacketOutOfOrder,
                format!("Got packets out of order (number {sequence}, expected {})", self.next_sequence),
            ));
        }
        Ok(usize::from(low) | usize::from(middle) << 8 | usize::from(high) << 16)
    }

    /// Takes a part that is in the buffer whole.
    fn take_part(&mut self, part_bytes: usize) -> BytesMut {
        self.buffer.advance(HEADER_BYTES);
        let part = self.buffer.split_to(part_bytes);
        self.next_sequence = self.next_sequence.wrapping_add(1);
        if part_bytes > KEPT_BYTES_MAX {
            // What follows shares the large allocation; a copy lets it go with the packet.
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        part
    }

    /// Reads past an oversized packet, the part in front of the buffer and those that continue it.
    async fn skip(&mut self, mut part_bytes: usize) -> Result<()> {
        let mut budget_bytes = self.limit_bytes.saturating_mul(SKIP_LIMITS_MAX).saturating_add(PART_BYTES_MAX);
        self.assembled = BytesMut::new();
        loop {
            let mut missing = HEADER_BYTES + part_bytes;
            if missing > budget_bytes {
                return Ok(());
            }
            budget_bytes -= missing;
            while missing > 0 {
                if self.buffer.is_empty() && self.receive(missing).await? == 0 {
                    return Err(cut_short());
                }
                let here = missing.min(self.buffer.len());
                self.buffer.advance(here);
                missing -= here;
            }
            self.next_sequence = self.next_sequence.wrapping_add(1);
            if part_bytes < PART_BYTES_MAX {
                return Ok(());
            }
            if !self.fill(HEADER_BYTES).await? {
                return Err(cut_short());
            }
            part_bytes = self.check_header()?;
        }
    }

    /// Receives until the buffer holds `wanted` bytes; false when the stream ends before.
    async fn fill(&mut self, wanted: usize) -> Result<bool> {
        while self.buffer.len() < wanted {
            let missing = wanted - self.buffer.len();
            if self.receive(missing + self.read_ahead_bytes).await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// One read of at most `room` bytes; 0 at the end of the stream. The buffer grows with what has arrived, not with
    /// what a header promises.
    async fn receive(&mut self, room: usize) -> Result<usize> {
        self.buffer.reserve(room.min(RECEIVE_BYTES_MAX));
        let mut window = (&mut self.buffer).limit(room);
        match self.stream.read_buf(&mut window).await {
            Ok(received) => Ok(received),
            // TLS peers that close without saying goodbye.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

fn cut_short() -> Error {
    Error::new(Kind::Io, "the client closed the connection in the middle of a packet")
}

fn too_large(bytes: usize, limit_bytes: usize) -> Error {
    Error::new(
        Kind::PacketTooLarge,
        format!("Got a packet bigger than 'max_allowed_packet' bytes ({bytes} or more, the limit is {limit_bytes})"),
    )
}

/// What an OK packet says.
#[derive(Debug, Clone, Copy)]
pub struct Completion<'a> {
    pub affected_rows: u64,
    pub last_insert_id: u64,
    pub status: StatusFlags,
    pub warnings: u16,
    pub info: &'a str,
}

impl Completion<'_> {
    /// Done, nothing to report.
    pub fn plain(status: StatusFlags) -> Self {
        Completion { affected_rows: 0, last_insert_id: 0, status, warnings: 0, info: "" }
    }
}

/// Writes packets into a buffer, in place, and the buffer onto a stream.
///
/// ```text
/// let payload = writer.begin_packet();      // append the payload to this Vec
/// writer.end_packet();                      // fills in the header, splits at 16 MiB
/// if writer.is_full() { writer.flush().await? }
/// ```
#[derive(Debug)]
pub struct PacketWriter<W> {
    stream: W,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are on the wire already.
    sent: usize,
    /// Where the packet that is being written begins.
    open: Option<usize>,
    sequence: u8,
    write_timeout: Duration,
}

impl<W: AsyncWrite + Unpin> PacketWriter<W> {
    /// A writer that gives up on a peer that takes nothing for `write_timeout`.
    pub fn new(stream: W, write_timeout: Duration) -> Self {
        PacketWriter { stream, buffer: Vec::new(), sent: 0, open: None, sequence: 0, write_timeout }
    }

    /// The number of the next packet; an answer goes on from its request ([`PacketReader::next_sequence`]).
    pub fn set_sequence(&mut self, sequence: u8) {
        self.sequence = sequence;
    }

    /// The number the next packet will have.
    pub fn sequence(&self) -> u8 {
        self.sequence
    }

    /// Begins a packet; the payload is what is appended to the returned buffer until [`Self::end_packet`].
    /// The buffer holds earlier packets too: append only.
    pub fn begin_packet(&mut self) -> &mut Vec<u8> {
        assert!(self.open.is_none(), "the packet before was ended");
        self.open = Some(self.buffer.len());
        self.buffer.extend_from_slice(&[0; HEADER_BYTES]);
        &mut self.buffer
    }

    /// Ends the packet: its length and number are filled in, and it is split if it is longer than one part.
    pub fn end_packet(&mut self) {
        let start = self.open.take().expect("a packet was begun");
        let payload_bytes = self.buffer.len() - start - HEADER_BYTES;
        if payload_bytes >= PART_BYTES_MAX {
            return self.split_packet(start);
        }
        let header = self.header(payload_bytes);
        self.buffer[start..start + HEADER_BYTES].copy_from_slice(&header);
    }

    /// Forgets the packet that was begun, as if it had not been (a row that could not be encoded).
    pub fn abandon_packet(&mut self) {
        if let Some(start) = self.open.take() {
            self.buffer.truncate(start);
        }
    }

    /// Whether it is time to [`Self::flush`].
    pub fn is_full(&self) -> bool {
        self.buffer.len() >= FLUSH_BYTES
    }

    /// Sends every ended packet and waits until the stream has taken them: this is where a slow client slows us down.
    ///
    /// # Errors
    /// `Io` when the stream fails, or takes nothing for the write timeout.
    pub async fn flush(&mut self) -> Result<()> {
        let end = self.open.unwrap_or(self.buffer.len());
        while self.sent < end {
            let write = self.stream.write(&self.buffer[self.sent..end]);
            match timeout(self.write_timeout, write).await {
                Ok(Ok(0)) => return Err(Error::new(Kind::Io, "the client closed the connection")),
                Ok(Ok(written)) => self.sent += written,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(self.timed_out()),
            }
        }
        match timeout(self.write_timeout, self.stream.flush()).await {
            Ok(flushed) => flushed?,
            Err(_) => return Err(self.timed_out()),
        }
        self.buffer.drain(..self.sent);
        self.sent = 0;
        self.open = self.open.map(|_| 0);
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Flushes and says goodbye (TLS close_notify, TCP FIN). Errors do not matter any more.
    pub async fn shut_down(&mut self) {
        if self.flush().await.is_ok() {
            let _ = timeout(self.write_timeout, self.stream.shutdown()).await;
        }
    }

    /// One packet of the given payload.
    pub fn write_packet(&mut self, payload: &[u8]) {
        self.begin_packet().extend_from_slice(payload);
        self.end_packet();
    }

    /// An OK packet (no session state: SESSION_TRACK is not offered).
    pub fn write_ok(&mut self, done: &Completion<'_>) {
        let payload = self.begin_packet();
        payload.push(0x00);
        put_lenenc_int(payload, done.affected_rows);
        put_lenenc_int(payload, done.last_insert_id);
        payload.extend_from_slice(&done.status.bits().to_le_bytes());
        payload.extend_from_slice(&done.warnings.to_le_bytes());
        if !done.info.is_empty() {
            // The documents say "to the end of the packet"; MySQL and MariaDB send it with its length, and libmariadb
            // insists.
            put_lenenc_bytes(payload, done.info.as_bytes());
        }
        self.end_packet();
    }

    /// An EOF packet (DEPRECATE_EOF is not offered, so this form is always right).
    pub fn write_eof(&mut self, status: StatusFlags, warnings: u16) {
        let payload = self.begin_packet();
        payload.push(0xFE);
        payload.extend_from_slice(&warnings.to_le_bytes());
        payload.extend_from_slice(&status.bits().to_le_bytes());
        self.end_packet();
    }

    /// An ERR packet. A packet that was begun is forgotten.
    pub fn write_error(&mut self, error: &Error) {
        self.write_error_packet(error, true);
    }

    /// An ERR packet in place of the greeting: without SQLSTATE, because no protocol version has been agreed on yet.
    pub fn write_error_before_greeting(&mut self, error: &Error) {
        self.write_error_packet(error, false);
    }

    fn write_error_packet(&mut self, error: &Error, with_state: bool) {
        self.abandon_packet();
        let row = error.row();
        let payload = self.begin_packet();
        payload.push(0xFF);
        payload.extend_from_slice(&row.number.to_le_bytes());
        if with_state {
            payload.push(b'#');
            payload.extend_from_slice(row.sqlstate.as_bytes());
        }
        payload.extend_from_slice(shortened(error.message(), MESSAGE_BYTES_MAX).as_bytes());
        self.end_packet();
    }

    fn header(&mut self, payload_bytes: usize) -> [u8; HEADER_BYTES] {
        let [low, middle, high, ..] = payload_bytes.to_le_bytes();
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        [low, middle, high, sequence]
    }

    /// Rewrites a long packet as parts of 16 MiB - 1 bytes and a shorter, perhaps empty, last one.
    fn split_packet(&mut self, start: usize) {
        let payload = self.buffer.split_off(start + HEADER_BYTES);
        self.buffer.truncate(start);
        self.buffer.reserve(payload.len() + (payload.len() / PART_BYTES_MAX + 1) * HEADER_BYTES);
        for part in payload.chunks(PART_BYTES_MAX) {
            let header = self.header(part.len());
            self.buffer.extend_from_slice(&header);
            self.buffer.extend_from_slice(part);
        }
        if payload.len().is_multiple_of(PART_BYTES_MAX) {
            let header = self.header(0);
            self.buffer.extend_from_slice(&header);
        }
    }

    fn timed_out(&self) -> Error {
        let seconds = self.write_timeout.as_secs();
        Error::new(Kind::Io, format!("the client read nothing for {seconds} seconds (net_write_timeout_seconds)"))
    }
}

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
