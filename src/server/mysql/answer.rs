//! The answering side of one connection: a command goes to the session, and what comes back goes out as packets. Rows
//! are encoded in place in the writer's buffer, which is flushed as it fills: a slow reader slows the query down, and a
//! large result never piles up here.

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use chrono_tz::Tz;
use datafusion::scalar::ScalarValue;
use futures::StreamExt;
use mysql_common::constants::StatusFlags;

use super::column::ColumnDefinition;
use super::command::{Command, Statements};
use super::packet::{Completion, PacketWriter, WriteStream, put_lenenc_int};
use super::row::{BinaryEncoder, TextEncoder};
use crate::error::{Error, Kind, Result};
use crate::session::{Answer, Done, Prepared, Rows, Session};

/// One connection's session and the writer its answers leave by.
pub struct Conversation {
    pub session: Session,
    pub writer: PacketWriter<WriteStream>,
    pub statements: Statements,
    /// Whether one query may hold several statements.
    pub multi_statements: bool,
}

/// Why a command was not carried out.
enum Failure {
    /// The statement's fault: the client gets an ERR packet and may go on.
    Statement(Error),
    /// The client cannot be reached.
    Connection(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Statement(error)
    }
}

/// How values are written: as text for COM_QUERY, in binary for COM_STMT_EXECUTE.
#[derive(Clone, Copy)]
enum Protocol {
    Text,
    Binary,
}

impl Conversation {
    /// Carries out one command and sends its answer. The id of a statement it prepared is returned.
    ///
    /// # Errors
    /// `Io` when the client cannot be reached; whatever is wrong with the command itself has been answered.
    pub async fn answer(&mut self, command: Command) -> Result<Option<u32>> {
        let mut prepared = None;
        match self.carry_out(command).await {
            Ok(statement) => prepared = statement,
            Err(Failure::Statement(error)) => self.writer.write_error(&error),
            Err(Failure::Connection(error)) => return Err(error),
        }
        self.writer.flush().await?;
        Ok(prepared)
    }

    /// Answers with an error.
    pub async fn refuse(&mut self, error: &Error) -> Result<()> {
        self.writer.write_error(error);
        self.writer.flush().await
    }

    /// Answers OK.
    pub async fn agree(&mut self) -> Result<()> {
        self.write_ok();
        self.writer.flush().await
    }

    async fn carry_out(&mut self, command: Command) -> Result<Option<u32>, Failure> {
        match command {
            Command::Query(text) => self.query(&text).await?,
            Command::Prepare(text) => return Ok(Some(self.prepare(&text).await?)),
            Command::Execute { statement, parameters } => self.execute(statement, parameters).await?,
            Command::InitDatabase(name) => {
                self.session.use_database(&name).await?;
                self.write_ok();
            }
            Command::FieldList { table } => self.field_list(&table).await?,
            // A statement of our own making: KILL knows who may kill whom.
            Command::KillProcess { id } => self.query(&format!("KILL {id}")).await?,
            Command::Statistics => self.writer.write_packet(self.session.statistics().as_bytes()),
            Command::Ping => self.write_ok(),
            Command::SetOption { multi_statements } => {
                self.multi_statements = multi_statements;
                self.write_eof(false);
            }
            Command::ResetStatement { statement } => {
                self.statements.drop_long_data(statement);
                self.write_ok();
            }
            // These two are never answered.
            Command::SendLongData { statement, parameter, data } => {
                self.statements.append_long_data(statement, parameter, &data);
            }
            Command::CloseStatement { statement } => {
                self.session.close_prepared(statement);
                self.statements.remove(statement);
            }
            Command::Quit | Command::ChangeUser | Command::ResetConnection => {
                return Err(Error::internal("the gate handles this command").into());
            }
        }
        Ok(None)
    }

    /// Every statement of a COM_QUERY in order, up to the first error.
    async fn query(&mut self, text: &str) -> Result<(), Failure> {
        let statements = if self.multi_statements { self.session.split(text) } else { Vec::new() };
        let Some((last, before)) = statements.split_last() else {
            // One statement or none: the parser says what is wrong with anything else.
            let answer = self.session.execute(text).await?;
            return self.write_answer(answer, Protocol::Text, false).await;
        };
        for statement in before {
            let answer = self.session.execute(statement.text).await?;
            self.write_answer(answer, Protocol::Text, true).await?;
            // The next one may take long, and a million of them would pile up here.
            self.writer.flush().await.map_err(Failure::Connection)?;
        }
        let answer = self.session.execute(last.text).await?;
        self.write_answer(answer, Protocol::Text, false).await
    }

    /// COM_STMT_PREPARE: id and counts, then a definition of each parameter and of each result column.
    async fn prepare(&mut self, text: &str) -> Result<u32, Failure> {
        let Prepared { id, parameters, columns } = self.session.prepare(text).await?;
        let described = counted(parameters).and_then(|parameter_count| {
            let definitions = ColumnDefinition::of_schema(&columns)?;
            Ok((parameter_count, counted(definitions.len())?, definitions))
        });
        let (parameter_count, column_count, definitions) = match described {
            Ok(described) => described,
            Err(error) => {
                self.session.close_prepared(id);
                return Err(error.into());
            }
        };
        self.statements.insert(id, parameters);

        let payload = self.writer.begin_packet();
        payload.push(0x00);
        payload.extend_from_slice(&id.to_le_bytes());
        payload.extend_from_slice(&column_count.to_le_bytes());
        payload.extend_from_slice(&parameter_count.to_le_bytes());
        payload.push(0x00);
        payload.extend_from_slice(&self.session.status().warnings.to_le_bytes());
        self.writer.end_packet();
        if parameters > 0 {
            self.write_definitions(&vec![ColumnDefinition::parameter(); parameters]);
        }
        if column_count > 0 {
            self.write_definitions(&definitions);
        }
        Ok(id)
    }

    async fn execute(&mut self, statement: u32, parameters: Vec<ScalarValue>) -> Result<(), Failure> {
        let answer = self.session.execute_prepared(statement, parameters).await?;
        self.write_answer(answer, Protocol::Binary, false).await
    }

    /// COM_FIELD_LIST: the columns of a table, each with its (here always NULL) default.
    async fn field_list(&mut self, table: &str) -> Result<(), Failure> {
        let columns = self.session.field_list(table).await?;
        for definition in ColumnDefinition::of_schema(&columns)? {
            definition.write_for_field_list(self.writer.begin_packet());
            self.writer.end_packet();
        }
        self.write_eof(false);
        Ok(())
    }

    async fn write_answer(&mut self, answer: Answer, protocol: Protocol, more: bool) -> Result<(), Failure> {
        match answer {
            Answer::Done(Done { affected_rows, last_insert_id, info }) => {
                let warnings = self.session.status().warnings;
                let status = self.status(more);
                self.writer.write_ok(&Completion { affected_rows, last_insert_id, status, warnings, info: &info });
                Ok(())
            }
            Answer::Rows(rows) => self.write_rows(rows, protocol, more).await,
        }
    }

    /// A result set: column count, definitions, rows as they come, EOF. An error in the middle ends it with an ERR.
    async fn write_rows(&mut self, rows: Rows, protocol: Protocol, more: bool) -> Result<(), Failure> {
        let Rows { schema, mut stream } = rows;
        let mut encoder = RowEncoder::new(protocol, &schema, self.session.time_zone())?;
        let definitions = ColumnDefinition::of_schema(&schema)?;
        put_lenenc_int(self.writer.begin_packet(), definitions.len() as u64);
        self.writer.end_packet();
        self.write_definitions(&definitions);

        while let Some(batch) = stream.next().await {
            let batch = batch.map_err(Error::from)?;
            encoder.prepare(&batch)?;
            for row in 0..batch.num_rows() {
                encoder.encode(row, self.writer.begin_packet());
                self.writer.end_packet();
                if self.writer.is_full() {
                    self.writer.flush().await.map_err(Failure::Connection)?;
                }
            }
            // Other connections, and whoever may end this one, have their turn.
            tokio::task::yield_now().await;
        }
        // The statement is over before the client can know it.
        drop(stream);
        self.write_eof(more);
        Ok(())
    }

    /// Column definitions and the EOF behind them.
    fn write_definitions(&mut self, definitions: &[ColumnDefinition]) {
        for definition in definitions {
            definition.write(self.writer.begin_packet());
            self.writer.end_packet();
        }
        self.write_eof(false);
    }

    fn write_ok(&mut self) {
        self.writer.write_ok(&Completion::plain(self.status(false)));
    }

    fn write_eof(&mut self, more: bool) {
        self.writer.write_eof(self.status(more), self.session.status().warnings);
    }

    /// The status word of an OK or EOF packet; drivers read autocommit, transaction and quoting rules from it.
    fn status(&self, more: bool) -> StatusFlags {
        let session = self.session.status();
        let mut flags = StatusFlags::empty();
        flags.set(StatusFlags::SERVER_STATUS_AUTOCOMMIT, session.autocommit);
        flags.set(StatusFlags::SERVER_STATUS_IN_TRANS, session.in_transaction);
        flags.set(StatusFlags::SERVER_STATUS_NO_BACKSLASH_ESCAPES, session.no_backslash_escapes);
        flags.set(StatusFlags::SERVER_MORE_RESULTS_EXISTS, more);
        flags
    }
}

/// A count as COM_STMT_PREPARE answers it.
fn counted(count: usize) -> Result<u16> {
    u16::try_from(count).map_err(|_| {
        Error::new(Kind::TooManyParameters, format!("Prepared statement contains too many placeholders ({count})"))
    })
}

/// One of the two row encoders.
enum RowEncoder {
    Text(TextEncoder),
    Binary(BinaryEncoder),
}

impl RowEncoder {
    fn new(protocol: Protocol, schema: &Schema, zone: Tz) -> Result<Self> {
        Ok(match protocol {
            Protocol::Text => RowEncoder::Text(TextEncoder::new(schema, zone)?),
            Protocol::Binary => RowEncoder::Binary(BinaryEncoder::new(schema, zone)?),
        })
    }

    fn prepare(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            RowEncoder::Text(encoder) => encoder.prepare(batch),
            RowEncoder::Binary(encoder) => encoder.prepare(batch),
        }
    }

    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self {
            RowEncoder::Text(encoder) => encoder.encode(row, out),
            RowEncoder::Binary(encoder) => encoder.encode(row, out),
        }
    }
}
