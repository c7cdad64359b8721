//! Protocols only: the MySQL wire, the HTTP routes, and scripts run in-process. Nothing here knows what SQL means: text
//! goes to `session`, batches come back.

pub mod http; // GET /healthz, /readyz
pub mod mysql; // greeting, commands, answers
pub mod script; // `desirepath sql`
pub mod start; // opening, listening, stopping
