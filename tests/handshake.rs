//! The connection phase of the MySQL protocol: packets, passwords, the rounds of authentication, and what hostile or
//! garbled openings get. Through the public API, over in-memory streams where a socket is not the point.

mod accept;
mod credentials;
mod exchange;
mod packets;
mod sign_in;
