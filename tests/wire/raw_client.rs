//! A MySQL client made of bytes, for what a polite one would not send or would not show.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests takes longer unless it hangs.
pub const HANG: Duration = Duration::from_secs(60);

pub const PROTOCOL_41: u32 = 0x200;
pub const SECURE_CONNECTION: u32 = 0x8000;
pub const MULTI_STATEMENTS: u32 = 0x1_0000;
pub const PLUGIN_AUTH: u32 = 0x8_0000;
pub const BASE: u32 = PROTOCOL_41 | SECURE_CONNECTION | PLUGIN_AUTH;

pub const IN_TRANSACTION: u16 = 1;
pub const AUTOCOMMIT: u16 = 2;
pub const MORE_RESULTS: u16 = 8;

/// A client made of bytes.
pub struct RawClient {
    pub stream: TcpStream,
}

impl RawClient {
    /// Signs in as root with the given capability flags.
    pub async fn connect(address: SocketAddr, capabilities: u32) -> RawClient {
        let mut client = RawClient::open(address).await;
        let (_, greeting) = client.packet().await;
        assert_eq!(greeting[0], 10, "protocol 10");
        client.send(1, &login(capabilities)).await;
        loop {
            let (sequence, answer) = client.packet().await;
            match answer[0] {
                0x00 => return client,
                0xFE => client.send(sequence + 1, b"").await,
                0x01 => {}
                _ => panic!("sign-in failed: {:?}", error_of(&answer)),
            }
        }
    }

    /// A connection that has said nothing yet.
    pub async fn open(address: SocketAddr) -> RawClient {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        RawClient { stream }
    }

    pub async fn send(&mut self, sequence: u8, payload: &[u8]) {
        self.stream.write_all(&framed(sequence, payload)).await.unwrap();
    }

    pub async fn command(&mut self, byte: u8, body: &[u8]) {
        self.send(0, &[&[byte], body].concat()).await;
    }

    pub async fn query(&mut self, text: &str) {
        self.command(0x03, text.as_bytes()).await;
    }

    /// The next packet's number and payload; panics at the end of the stream.
    pub async fn packet(&mut self) -> (u8, Vec<u8>) {
        self.try_packet().await.expect("the server closed the connection")
    }

    /// None when the server has closed the connection.
    pub async fn try_packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let mut header = [0; 4];
            self.stream.read_exact(&mut header).await.ok()?;
            let length = usize::from(header[0]) | usize::from(header[1]) << 8 | usize::from(header[2]) << 16;
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some((header[3], payload))
        };
        timeout(HANG, read).await.expect("the server answers")
    }

    /// The status word of an OK, or the number of an ERR.
    pub async fn outcome(&mut self) -> Result<u16, u16> {
        let (_, answer) = self.packet().await;
        outcome_of(&answer)
    }

    /// Reads a whole result set of the text protocol: its rows (their payloads) and the last packet's outcome.
    pub async fn result(&mut self) -> (Vec<Vec<u8>>, Result<u16, u16>) {
        let (_, first) = self.packet().await;
        if first[0] == 0x00 || first[0] == 0xFF {
            return (Vec::new(), outcome_of(&first));
        }
        for _ in 0..first[0] {
            self.packet().await;
        }
        let (_, end_of_columns) = self.packet().await;
        assert_eq!(end_of_columns[0], 0xFE);
        let mut rows = Vec::new();
        loop {
            let (_, packet) = self.packet().await;
            match packet[0] {
                0xFE if packet.len() < 9 => return (rows, outcome_of(&packet)),
                0xFF => return (rows, outcome_of(&packet)),
                _ => rows.push(packet),
            }
        }
    }

    /// Prepares a statement; its id.
    pub async fn prepare(&mut self, text: &str) -> u32 {
        self.command(0x16, text.as_bytes()).await;
        let (_, answer) = self.packet().await;
        assert_eq!(answer[0], 0, "prepare: {:?}", error_of(&answer));
        let word = |at: usize| u16::from_le_bytes([answer[at], answer[at + 1]]);
        for count in [word(7), word(5)] {
            // Definitions and the EOF behind them.
            for _ in 0..if count == 0 { 0 } else { count + 1 } {
                self.packet().await;
            }
        }
        u32::from_le_bytes([answer[1], answer[2], answer[3], answer[4]])
    }

    pub async fn ping(&mut self) {
        self.command(0x0E, b"").await;
        assert!(self.outcome().await.is_ok());
    }

    /// Expects an ERR of that number and then the end of the connection.
    pub async fn expect_closed_with(&mut self, number: u16) {
        let (_, answer) = self.packet().await;
        assert_eq!(outcome_of(&answer), Err(number), "{:?}", error_of(&answer));
        assert!(self.try_packet().await.is_none(), "the connection ends");
    }
}

pub fn framed(sequence: u8, payload: &[u8]) -> Vec<u8> {
    let [low, middle, high, ..] = payload.len().to_le_bytes();
    [&[low, middle, high, sequence], payload].concat()
}

/// HandshakeResponse41 of root without a password.
pub fn login(capabilities: u32) -> Vec<u8> {
    let mut payload = capabilities.to_le_bytes().to_vec();
    payload.extend_from_slice(&(1u32 << 24).to_le_bytes());
    payload.push(45);
    payload.extend_from_slice(&[0; 23]);
    payload.extend_from_slice(b"root\0\0mysql_native_password\0");
    payload
}

pub fn outcome_of(packet: &[u8]) -> Result<u16, u16> {
    match packet[0] {
        // The number of columns: a result follows.
        _ if packet.len() == 1 => Ok(0),
        0xFF => Err(u16::from_le_bytes([packet[1], packet[2]])),
        0xFE => Ok(u16::from_le_bytes([packet[3], packet[4]])),
        // Both counts of an OK are single bytes in these tests.
        _ => Ok(u16::from_le_bytes([packet[3], packet[4]])),
    }
}

pub fn error_of(packet: &[u8]) -> String {
    String::from_utf8_lossy(packet.get(3..).unwrap_or_default()).into_owned()
}
