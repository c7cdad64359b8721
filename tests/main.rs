//! The one test binary: each file is a room's tests, `harness` starts real servers for them.

mod harness;

mod catalog;
mod dialect;
mod encoding;
mod functions;
mod handshake;
mod oracle;
mod s3;
mod scan;
mod script;
mod scripts;
mod server;
mod storage;
mod tidy;
mod validate;
mod wire;
