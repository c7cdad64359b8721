//! What a client may ask in the command phase, decoded from one packet with every read bounds-checked, and what the
//! wire has to remember of prepared statements to decode their parameters. Nothing is answered here.

use std::collections::HashMap;

use datafusion::scalar::ScalarValue;

use super::packet::Fields;
use super::parameter::{ParameterType, decode_parameters};
use super::statement_text::{statement_text, text};
use crate::error::{Error, Kind, Result};

/// The first byte of a command packet.
pub mod byte {
    pub const QUIT: u8 = 0x01;
    pub const INIT_DB: u8 = 0x02;
    pub const QUERY: u8 = 0x03;
    pub const FIELD_LIST: u8 = 0x04;
    pub const STATISTICS: u8 = 0x09;
    pub const PROCESS_KILL: u8 = 0x0C;
    pub const PING: u8 = 0x0E;
    pub const CHANGE_USER: u8 = 0x11;
    pub const STMT_PREPARE: u8 = 0x16;
    pub const STMT_EXECUTE: u8 = 0x17;
    pub const STMT_SEND_LONG_DATA: u8 = 0x18;
    pub const STMT_CLOSE: u8 = 0x19;
    pub const STMT_RESET: u8 = 0x1A;
    pub const SET_OPTION: u8 = 0x1B;
    pub const STMT_FETCH: u8 = 0x1C;
    pub const RESET_CONNECTION: u8 = 0x1F;
}

/// One decoded command.
pub enum Command {
    Quit,
    InitDatabase(String),
    Query(String),
    FieldList {
        table: String,
    },
    Statistics,
    KillProcess {
        id: u32,
    },
    Ping,
    /// Its packet goes to `handshake::change_user` undecoded.
    ChangeUser,
    Prepare(String),
    Execute {
        statement: u32,
        parameters: Vec<ScalarValue>,
    },
    SendLongData {
        statement: u32,
        parameter: u16,
        data: Vec<u8>,
    },
    CloseStatement {
        statement: u32,
    },
    ResetStatement {
        statement: u32,
    },
    SetOption {
        multi_statements: bool,
    },
    ResetConnection,
}

impl Command {
    /// Decodes a packet's payload. `statements` supplies what earlier packets said about a prepared statement;
    /// `backslash_escapes` is off under sql_mode NO_BACKSLASH_ESCAPES.
    ///
    /// # Errors
    /// `MalformedPacket` when the payload ends early or contradicts itself: the client cannot be believed any more.
    /// `UnknownCommand`, `UnknownStatement`, `NoCursor`, `InvalidText` and bad parameter values: it may go on.
    pub fn decode(packet: &[u8], statements: &mut Statements, backslash_escapes: bool) -> Result<Command> {
        let mut fields = Fields::new(packet);
        Ok(match fields.u8()? {
            byte::QUIT => Command::Quit,
            byte::INIT_DB => Command::InitDatabase(text(fields.rest().to_vec())?),
            byte::QUERY => Command::Query(statement_text(fields.rest(), backslash_escapes)?),
            byte::FIELD_LIST => Command::FieldList { table: text(fields.null_terminated()?.to_vec())? },
            byte::STATISTICS => Command::Statistics,
            byte::PROCESS_KILL => Command::KillProcess { id: fields.u32()? },
            byte::PING => Command::Ping,
            byte::CHANGE_USER => Command::ChangeUser,
            byte::STMT_PREPARE => Command::Prepare(statement_text(fields.rest(), backslash_escapes)?),
            byte::STMT_EXECUTE => {
                let statement = fields.u32()?;
                // Cursor flag and iteration count: rows always come inline, once.
                fields.bytes(5)?;
                Command::Execute { statement, parameters: statements.bind(statement, fields.rest())? }
            }
            byte::STMT_SEND_LONG_DATA => Command::SendLongData {
                statement: fields.u32()?,
                parameter: fields.u16()?,
                data: fields.rest().to_vec(),
            },
            byte::STMT_CLOSE => Command::CloseStatement { statement: fields.u32()? },
            byte::STMT_RESET => {
                let statement = fields.u32()?;
                statements.get(statement, "COM_STMT_RESET")?;
                Command::ResetStatement { statement }
            }
            byte::SET_OPTION => match fields.u16()? {
                0 => Command::SetOption { multi_statements: true },
                1 => Command::SetOption { multi_statements: false },
                option => return Err(Error::new(Kind::UnknownCommand, format!("Unknown option {option}"))),
            },
            byte::STMT_FETCH => {
                let statement = fields.u32()?;
                statements.get(statement, "COM_STMT_FETCH")?;
                return Err(Error::new(Kind::NoCursor, format!("The statement ({statement}) has no open cursor.")));
            }
            byte::RESET_CONNECTION => Command::ResetConnection,
            other => return Err(Error::new(Kind::UnknownCommand, format!("Unknown command 0x{other:02X}"))),
        })
    }
}

/// The prepared statements of one connection, as far as the wire has to know them.
pub struct Statements {
    list: HashMap<u32, Statement>,
    /// Bytes of long data waiting in all statements together, and their limit.
    long_data_bytes: usize,
    long_data_bytes_max: usize,
}

#[derive(Default)]
struct Statement {
    parameters: usize,
    /// The types of the last execution: a client need not send them again.
    types: Option<Vec<ParameterType>>,
    /// What COM_STMT_SEND_LONG_DATA brought since the last execution, by parameter.
    long_data: HashMap<u16, Vec<u8>>,
    /// Long data was thrown away; the next execution says so, because COM_STMT_SEND_LONG_DATA is never answered.
    overflowed: bool,
}

impl Statement {
    fn long_data_bytes(&self) -> usize {
        self.long_data.values().map(Vec::len).sum()
    }
}

impl Statements {
    /// No statements, and at most `long_data_bytes_max` bytes of long data at one time.
    pub fn new(long_data_bytes_max: usize) -> Self {
        Statements { list: HashMap::new(), long_data_bytes: 0, long_data_bytes_max }
    }

    /// Notes a statement that has been prepared.
    pub fn insert(&mut self, statement: u32, parameters: usize) {
        self.list.insert(statement, Statement { parameters, ..Statement::default() });
    }

    /// Forgets one statement.
    pub fn remove(&mut self, statement: u32) {
        self.drop_long_data(statement);
        self.list.remove(&statement);
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        *self = Statements::new(self.long_data_bytes_max);
    }

    /// Adds to the long data of a parameter. Nothing is reported: the client does not wait for an answer.
    pub fn append_long_data(&mut self, statement: u32, parameter: u16, data: &[u8]) {
        let Some(found) = self.list.get_mut(&statement) else { return };
        let fits = self.long_data_bytes.saturating_add(data.len()) <= self.long_data_bytes_max;
        if !fits || usize::from(parameter) >= found.parameters {
            found.overflowed = true;
            return;
        }
        self.long_data_bytes += data.len();
        found.long_data.entry(parameter).or_default().extend_from_slice(data);
    }

    /// Forgets a statement's long data.
    pub fn drop_long_data(&mut self, statement: u32) {
        if let Some(found) = self.list.get_mut(&statement) {
            self.long_data_bytes -= found.long_data_bytes();
            found.long_data = HashMap::new();
            found.overflowed = false;
        }
    }

    /// The parameters of an execution, decoded; `body` starts at the NULL bitmap. Long data is used up.
    fn bind(&mut self, statement: u32, body: &[u8]) -> Result<Vec<ScalarValue>> {
        let found = self.get(statement, "COM_STMT_EXECUTE")?;
        let decoded = if found.overflowed {
            let message = format!(
                "Long data of statement {statement} is larger than 'max_allowed_packet' bytes ({}), or for a parameter \
                 it does not have",
                self.long_data_bytes_max
            );
            Err(Error::new(Kind::WrongArguments, message))
        } else if found.parameters == 0 {
            Ok((Vec::new(), Vec::new()))
        } else {
            decode_parameters(body, found.parameters, found.types.as_deref(), &found.long_data)
        };
        self.drop_long_data(statement);
        let (parameters, types) = decoded?;
        if let Some(found) = self.list.get_mut(&statement) {
            found.types = Some(types);
        }
        Ok(parameters)
    }

    fn get(&self, statement: u32, command: &str) -> Result<&Statement> {
        self.list.get(&statement).ok_or_else(|| {
            let message = format!("Unknown prepared statement handler ({statement}) given to {command}");
            Error::new(Kind::UnknownStatement, message)
        })
    }
}
