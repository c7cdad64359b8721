//! Packets: reassembly, limits, sequence numbers, and what hostile headers get.

use std::time::Duration;

use desirepath::error::{Error, Kind};
use desirepath::server::mysql::packet::{
    Completion, FLUSH_BYTES, Fields, PART_BYTES_MAX, PacketReader, PacketWriter, put_lenenc_bytes, put_lenenc_int,
};
use mysql_common::constants::StatusFlags;
use proptest::prelude::{any, proptest};
use tokio::io::{AsyncWriteExt, duplex};
use tokio::time::timeout;

const LIMIT: usize = 64 << 20;
const WRITE_TIMEOUT: Duration = Duration::from_millis(50);

/// The bytes of packets with these payloads, numbered from `sequence`.
async fn framed(payloads: &[&[u8]], sequence: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes, WRITE_TIMEOUT);
    writer.set_sequence(sequence);
    for payload in payloads {
        writer.write_packet(payload);
    }
    writer.flush().await.unwrap();
    bytes
}

async fn first_error(bytes: &[u8], limit_bytes: usize) -> Kind {
    let mut reader = PacketReader::new(bytes, limit_bytes);
    loop {
        match reader.read_packet(0).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended without an error"),
            Err(error) => return error.kind(),
        }
    }
}

#[tokio::test]
async fn packets_arrive_byte_by_byte() {
    let bytes = framed(&[b"SELECT 1", b"", b"x"], 0).await;
    let (mut client, server) = duplex(1);
    let writing = async move {
        for byte in bytes {
            client.write_all(&[byte]).await.unwrap();
        }
    };
    let reading = async {
        let mut reader = PacketReader::new(server, LIMIT);
        for (sequence, payload) in [&b"SELECT 1"[..], b"", b"x"].into_iter().enumerate() {
            assert_eq!(reader.read_packet(sequence as u8).await.unwrap().unwrap(), payload);
        }
        assert!(reader.read_packet(0).await.unwrap().is_none());
    };
    tokio::join!(writing, reading);
}

/// Clients that pipeline put several packets into one read.
#[tokio::test]
async fn packets_arrive_all_at_once() {
    let bytes = [framed(&[b"one"], 0).await, framed(&[b"two"], 0).await, framed(&[b"three"], 0).await].concat();
    let mut reader = PacketReader::new(&bytes[..], LIMIT);
    let one = reader.read_packet(0).await.unwrap().unwrap();
    let two = reader.read_packet(0).await.unwrap().unwrap();
    let three = reader.read_packet(0).await.unwrap().unwrap();
    assert_eq!((&one[..], &two[..], &three[..]), (&b"one"[..], &b"two"[..], &b"three"[..]));
}

#[tokio::test]
async fn long_packets_are_split_and_put_together_at_every_boundary() {
    for (payload_bytes, parts) in [
        (PART_BYTES_MAX - 1, 1),
        (PART_BYTES_MAX, 2),
        (PART_BYTES_MAX + 1, 2),
        (2 * PART_BYTES_MAX - 1, 2),
        (2 * PART_BYTES_MAX, 3),
    ] {
        let payload: Vec<u8> = (0..payload_bytes).map(|at| (at % 251) as u8).collect();
        let bytes = framed(&[&payload, b"next"], 250).await;
        assert_eq!(bytes.len(), payload_bytes + 4 * parts + 4 + b"next".len());
        let mut reader = PacketReader::new(&bytes[..], LIMIT);
        let read = reader.read_packet(250).await.unwrap().unwrap();
        assert!(read == payload, "{payload_bytes} bytes");
        // Numbers wrap around after 255.
        assert_eq!(reader.next_sequence(), 250_u8.wrapping_add(parts as u8));
        assert_eq!(reader.read_packet(reader.next_sequence()).await.unwrap().unwrap(), b"next"[..]);
    }
}

#[tokio::test]
async fn a_packet_over_the_limit_is_read_past_and_refused() {
    for payload_bytes in [101, 5_000, PART_BYTES_MAX, PART_BYTES_MAX + 7] {
        let bytes = framed(&[&vec![1; payload_bytes]], 0).await;
        let limit_bytes = if payload_bytes < PART_BYTES_MAX { 100 } else { PART_BYTES_MAX - 1 };
        let mut reader = PacketReader::new(&bytes[..], limit_bytes);
        let error = reader.read_packet(0).await.unwrap_err();
        assert_eq!((error.kind(), error.row().number), (Kind::PacketTooLarge, 1153), "{payload_bytes} bytes");
        let parts = payload_bytes / PART_BYTES_MAX + 1;
        assert_eq!(usize::from(reader.next_sequence()), parts, "the ERR follows the last part");
    }
    let bytes = framed(&[&[1; 100]], 0).await;
    assert_eq!(PacketReader::new(&bytes[..], 100).read_packet(0).await.unwrap().unwrap().len(), 100);
}

/// A client that never stops sending parts is not listened to for ever.
#[tokio::test]
async fn an_endless_packet_is_given_up() {
    let (mut client, server) = duplex(1 << 20);
    let endless = async {
        let part = vec![0; PART_BYTES_MAX];
        for sequence in 0.. {
            if client.write_all(&[0xFF, 0xFF, 0xFF, sequence]).await.is_err() || client.write_all(&part).await.is_err()
            {
                return;
            }
        }
    };
    let reading = async move {
        let mut reader = PacketReader::new(server, 1024);
        assert_eq!(reader.read_packet(0).await.unwrap_err().kind(), Kind::PacketTooLarge);
    };
    tokio::join!(endless, reading);
}

#[tokio::test]
async fn broken_streams_are_errors() {
    let whole = framed(&[b"payload"], 0).await;
    for length in 1..whole.len() {
        assert_eq!(first_error(&whole[..length], LIMIT).await, Kind::Io, "cut after {length} bytes");
    }
    // Sixteen megabytes announced, nothing sent.
    assert_eq!(first_error(&[0xFF, 0xFF, 0xFF, 0], LIMIT).await, Kind::Io);
    assert_eq!(first_error(b"GET / HTTP/1.1\r\n\r\n", LIMIT).await, Kind::PacketOutOfOrder);
    assert_eq!(first_error(&framed(&[b"x"], 1).await, LIMIT).await, Kind::PacketOutOfOrder);
    // The second part of a long packet has the wrong number.
    let mut long = framed(&[&vec![0; PART_BYTES_MAX]], 0).await;
    let last = long.len() - 1;
    long[last] = 7;
    assert_eq!(first_error(&long, LIMIT).await, Kind::PacketOutOfOrder);
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = PacketReader::new(&bytes[..], 1 << 20);
            while let Ok(Some(_)) = reader.read_packet(reader.next_sequence()).await {}
        });
    }

    #[test]
    fn no_bytes_make_the_fields_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let mut fields = Fields::new(&bytes);
        while !fields.is_empty() && fields.lenenc_bytes().is_ok() {}
        let _ = (Fields::new(&bytes).null_terminated(), Fields::new(&bytes).u64(), Fields::new(&bytes).u16());
    }

    #[test]
    fn length_encoded_forms_come_back(value in any::<u64>(), small in 0_u64..70_000) {
        for value in [value, small, value >> 40] {
            let mut bytes = Vec::new();
            put_lenenc_int(&mut bytes, value);
            put_lenenc_bytes(&mut bytes, b"text");
            let mut fields = Fields::new(&bytes);
            assert_eq!(fields.lenenc_int().unwrap(), value);
            assert_eq!(fields.lenenc_bytes().unwrap(), b"text");
            assert!(fields.is_empty());
        }
    }
}

#[tokio::test]
async fn reading_may_be_cancelled_anywhere() {
    let bytes = framed(&[&[7; 300]], 0).await;
    let (mut client, server) = duplex(1024);
    let mut reader = PacketReader::new(server, LIMIT);
    for piece in bytes.chunks(50) {
        assert!(timeout(Duration::from_millis(1), reader.read_packet(0)).await.is_err());
        client.write_all(piece).await.unwrap();
    }
    assert_eq!(reader.read_packet(0).await.unwrap().unwrap(), [7; 300][..]);
}

/// While a query runs its connection is watched: what arrives early is kept, and the end of the stream is seen.
#[tokio::test]
async fn a_watched_connection_keeps_what_arrives() {
    let (mut client, server) = duplex(1024);
    let mut reader = PacketReader::new(server, LIMIT);
    client.write_all(&framed(&[b"early"], 0).await).await.unwrap();
    assert!(timeout(Duration::from_millis(5), reader.closed()).await.is_err());
    assert_eq!(reader.read_packet(0).await.unwrap().unwrap(), b"early"[..]);
    client.write_all(&framed(&[b"last"], 0).await).await.unwrap();
    drop(client);
    timeout(Duration::from_secs(5), reader.closed()).await.unwrap();
    assert_eq!(reader.read_packet(0).await.unwrap().unwrap(), b"last"[..]);
    assert!(reader.read_packet(0).await.unwrap().is_none());
}

#[tokio::test]
async fn a_client_that_sends_ahead_for_ever_has_to_wait() {
    let (mut client, server) = duplex(64 << 10);
    let mut reader = PacketReader::new(server, LIMIT);
    let flood = async { while client.write_all(&[0; 64 << 10]).await.is_ok() {} };
    tokio::select! {
        () = flood => panic!("the flood ended"),
        () = reader.closed() => panic!("nothing was closed"),
        () = tokio::time::sleep(Duration::from_millis(100)) => {}
    }
}

#[tokio::test]
async fn short_answers_have_mysqls_bytes() {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes, WRITE_TIMEOUT);
    let status = StatusFlags::SERVER_STATUS_AUTOCOMMIT;
    writer.set_sequence(1);
    writer.write_ok(&Completion { affected_rows: 3, last_insert_id: 300, warnings: 1, info: "i", status });
    writer.write_eof(status | StatusFlags::SERVER_MORE_RESULTS_EXISTS, 2);
    writer.write_error(&Error::new(Kind::UnknownDatabase, "Unknown database 'x'"));
    writer.write_error_before_greeting(&Error::new(Kind::TooManyConnections, "Too many connections"));
    assert_eq!(writer.sequence(), 5);
    writer.flush().await.unwrap();
    let expected: &[&[u8]] = &[
        b"\x0b\0\0\x01\x00\x03\xfc\x2c\x01\x02\0\x01\0\x01i",
        b"\x05\0\0\x02\xfe\x02\0\x0a\0",
        b"\x1d\0\0\x03\xff\x19\x04#42000Unknown database 'x'",
        b"\x17\0\0\x04\xff\x10\x04Too many connections",
    ];
    assert_eq!(bytes, expected.concat());
}

#[tokio::test]
async fn a_row_that_fails_leaves_no_trace() {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes, WRITE_TIMEOUT);
    writer.write_packet(b"good");
    writer.begin_packet().extend_from_slice(b"half a r");
    writer.abandon_packet();
    writer.begin_packet().extend_from_slice(b"half another");
    writer.write_error(&Error::new(Kind::Internal, "m".repeat(100_000)));
    writer.flush().await.unwrap();
    assert_eq!(&bytes[..8], b"\x04\0\0\0good");
    assert_eq!(bytes[11], 1, "the ERR takes the number of the packet that was given up");
    assert!(bytes.len() < 5_000, "messages have a limit");
}

#[tokio::test]
async fn a_flush_leaves_the_open_packet_alone() {
    let mut bytes = Vec::new();
    let mut writer = PacketWriter::new(&mut bytes, WRITE_TIMEOUT);
    writer.write_packet(b"one");
    writer.begin_packet().extend_from_slice(b"tw");
    writer.flush().await.unwrap();
    assert!(!writer.is_full());
    writer.abandon_packet();
    writer.write_packet(&[0; FLUSH_BYTES]);
    assert!(writer.is_full());
    writer.flush().await.unwrap();
    assert!(!writer.is_full());
    assert_eq!(bytes.len(), 7 + 4 + FLUSH_BYTES);
    assert_eq!(bytes[7 + 3], 1);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let (_client, server) = duplex(10);
    let mut writer = PacketWriter::new(server, WRITE_TIMEOUT);
    writer.write_packet(&[0; 1000]);
    let error = writer.flush().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Io);
    assert!(error.message().contains("net_write_timeout_seconds"), "{error}");
}

/// A query that is cancelled drops a flush in the middle; what comes after must not repeat or lose bytes.
#[tokio::test]
async fn writing_may_be_cancelled_anywhere() {
    let (client, server) = duplex(16);
    let mut writer = PacketWriter::new(server, Duration::from_secs(5));
    writer.write_packet(&[1; 100]);
    assert!(timeout(Duration::from_millis(5), writer.flush()).await.is_err());
    let mut reader = PacketReader::new(client, LIMIT);
    let reading = async {
        assert_eq!(reader.read_packet(0).await.unwrap().unwrap(), [1; 100][..]);
        assert_eq!(reader.read_packet(1).await.unwrap().unwrap(), [2; 50][..]);
    };
    let writing = async {
        writer.write_packet(&[2; 50]);
        writer.flush().await.unwrap();
    };
    tokio::join!(reading, writing);
}
