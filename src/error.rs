//! The one error of the program: a kind (which clients can act on), a message, and the error underneath.
//!
//! Every client-visible number lives in the table in [`Kind::row`]: MySQL error number, SQLSTATE, HTTP status and
//! whether trying again can help. This file names no other room.

use std::error::Error as StdError;
use std::fmt;

use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, SchemaError};

/// What went wrong, as far as a client can act on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    AccessDenied,
    DatabaseAccessDenied,
    TableAccessDenied,
    NoDatabaseSelected,
    UnknownDatabase,
    DatabaseExists,
    CannotDropDatabase,
    NameTooLong,
    DuplicateKeyName,
    WrongColumnSpecifier,
    MultiplePrimaryKeys,
    UnknownKeyColumn,
    WrongDatabaseName,
    WrongTableName,
    TableWithoutColumns,
    TooManyColumns,
    WrongColumnName,
    TableExists,
    UnknownTable,
    NoSuchTable,
    UnknownColumn,
    AmbiguousColumn,
    DuplicateColumn,
    NotInGroupBy,
    Syntax,
    EmptyQuery,
    UnknownFunction,
    WrongArguments,
    WrongArgumentCount,
    ColumnCountMismatch,
    NoDefault,
    NullNotAllowed,
    OutOfRange,
    DataTooLong,
    IncorrectValue,
    IncorrectTemporal,
    DataTruncated,
    InvalidJson,
    InvalidValue,
    ExpressionOutOfRange,
    SubqueryRows,
    UnknownCharacterSet,
    UnknownCollation,
    UnknownVariable,
    WrongVariableValue,
    WrongVariableType,
    ReadOnlyVariable,
    ReadOnlyTransaction,
    ReadOnlyTable,
    TargetTableInFrom,
    DuplicateInsertColumn,
    UnknownTimeZone,
    UnknownThread,
    UnknownStatement,
    NoCursor,
    TooManyParameters,
    InvalidText,
    MalformedPacket,
    PacketTooLarge,
    PacketOutOfOrder,
    UnknownCommand,
    TooManyConnections,
    TooManyStatements,
    HandshakeFailed,
    AuthenticationUnsupported,
    UnknownPlugin,
    PasswordFormat,
    SecureTransportRequired,
    CannotUser,
    Interrupted,
    ConnectionKilled,
    Timeout,
    ServerShutdown,
    OutOfMemory,
    FileNotAllowed,
    FileNotFound,
    Unsupported,
    Conflict,
    Storage,
    Corrupt,
    Configuration,
    Io,
    Internal,
}

/// One row of the error table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// MySQL error number, as in `mysqld_error.h`.
    pub number: u16,
    /// The five characters of SQLSTATE.
    pub sqlstate: &'static str,
    /// HTTP status of the same failure.
    pub http: u16,
    /// Whether the same request may succeed if sent again.
    pub retry: bool,
}

impl Kind {
    /// The client-visible numbers of this kind.
    pub const fn row(self) -> Row {
        const fn row(number: u16, sqlstate: &'static str, http: u16) -> Row {
            Row { number, sqlstate, http, retry: false }
        }
        const fn again(number: u16, sqlstate: &'static str, http: u16) -> Row {
            Row { number, sqlstate, http, retry: true }
        }
        match self {
            Kind::AccessDenied => row(1045, "28000", 401),
            Kind::DatabaseAccessDenied => row(1044, "42000", 403),
            Kind::TableAccessDenied => row(1142, "42000", 403),
            Kind::NoDatabaseSelected => row(1046, "3D000", 400),
            Kind::UnknownDatabase => row(1049, "42000", 404),
            Kind::DatabaseExists => row(1007, "HY000", 409),
            Kind::CannotDropDatabase => row(1008, "HY000", 404),
            Kind::NameTooLong => row(1059, "42000", 400),
            Kind::DuplicateKeyName => row(1061, "42000", 409),
            Kind::WrongColumnSpecifier => row(1063, "42000", 400),
            Kind::MultiplePrimaryKeys => row(1068, "42000", 400),
            Kind::UnknownKeyColumn => row(1072, "42000", 400),
            Kind::WrongDatabaseName => row(1102, "42000", 400),
            Kind::WrongTableName => row(1103, "42000", 400),
            Kind::TableWithoutColumns => row(1113, "42000", 400),
            Kind::TooManyColumns => row(1117, "HY000", 400),
            Kind::WrongColumnName => row(1166, "42000", 400),
            Kind::TableExists => row(1050, "42S01", 409),
            Kind::UnknownTable => row(1051, "42S02", 404),
            Kind::NoSuchTable => row(1146, "42S02", 404),
            Kind::UnknownColumn => row(1054, "42S22", 400),
            Kind::AmbiguousColumn => row(1052, "23000", 400),
            Kind::DuplicateColumn => row(1060, "42S21", 409),
            Kind::NotInGroupBy => row(1055, "42000", 400),
            Kind::Syntax => row(1064, "42000", 400),
            Kind::EmptyQuery => row(1065, "42000", 400),
            Kind::UnknownFunction => row(1305, "42000", 400),
            Kind::WrongArguments => row(1210, "HY000", 400),
            Kind::WrongArgumentCount => row(1582, "42000", 400),
            Kind::ColumnCountMismatch => row(1136, "21S01", 400),
            Kind::NoDefault => row(1364, "HY000", 400),
            Kind::NullNotAllowed => row(1048, "23000", 400),
            Kind::OutOfRange => row(1264, "22003", 400),
            Kind::DataTooLong => row(1406, "22001", 400),
            Kind::IncorrectValue => row(1366, "HY000", 400),
            Kind::IncorrectTemporal => row(1292, "22007", 400),
            Kind::DataTruncated => row(1265, "01000", 400),
            Kind::InvalidJson => row(3140, "22032", 400),
            Kind::InvalidValue => row(1525, "HY000", 400),
            Kind::ExpressionOutOfRange => row(1690, "22003", 400),
            Kind::SubqueryRows => row(1242, "21000", 400),
            Kind::UnknownCharacterSet => row(1115, "42000", 400),
            Kind::UnknownCollation => row(1273, "HY000", 400),
            Kind::UnknownVariable => row(1193, "HY000", 400),
            Kind::WrongVariableValue => row(1231, "42000", 400),
            Kind::WrongVariableType => row(1232, "42000", 400),
            Kind::ReadOnlyVariable => row(1238, "HY000", 400),
            Kind::ReadOnlyTransaction => row(1792, "25006", 400),
            Kind::ReadOnlyTable => row(1036, "HY000", 400),
            Kind::TargetTableInFrom => row(1093, "HY000", 400),
            Kind::DuplicateInsertColumn => row(1110, "42000", 400),
            Kind::UnknownTimeZone => row(1298, "HY000", 400),
            Kind::UnknownThread => row(1094, "HY000", 404),
            Kind::UnknownStatement => row(1243, "HY000", 400),
            Kind::NoCursor => row(1421, "HY000", 400),
            Kind::TooManyParameters => row(1390, "HY000", 400),
            Kind::InvalidText => row(1300, "HY000", 400),
            Kind::MalformedPacket => row(1835, "HY000", 400),
            Kind::PacketTooLarge => row(1153, "08S01", 413),
            Kind::PacketOutOfOrder => row(1156, "08S01", 400),
            Kind::UnknownCommand => row(1047, "08S01", 400),
            Kind::TooManyConnections => again(1040, "08004", 503),
            Kind::TooManyStatements => row(1461, "42000", 429),
            Kind::HandshakeFailed => row(1043, "08S01", 400),
            Kind::AuthenticationUnsupported => row(1251, "08004", 400),
            Kind::UnknownPlugin => row(1524, "HY000", 400),
            Kind::PasswordFormat => row(1827, "HY000", 400),
            Kind::SecureTransportRequired => row(3159, "HY000", 403),
            Kind::CannotUser => row(1396, "HY000", 400),
            Kind::Interrupted => again(1317, "70100", 499),
            Kind::ConnectionKilled => again(1927, "70100", 499),
            Kind::Timeout => again(3024, "HY000", 504),
            Kind::ServerShutdown => again(1053, "08S01", 503),
            Kind::OutOfMemory => again(1041, "HY000", 503),
            Kind::FileNotAllowed => row(1290, "HY000", 403),
            Kind::FileNotFound => row(29, "HY000", 404),
            Kind::Unsupported => row(1235, "42000", 501),
            Kind::Conflict => again(1213, "40001", 409),
            Kind::Storage => again(1030, "HY000", 503),
            Kind::Corrupt => row(1712, "HY000", 500),
            Kind::Configuration => row(1105, "HY000", 500),
            Kind::Io => again(1026, "HY000", 500),
            Kind::Internal => row(1105, "HY000", 500),
        }
    }
}

/// The program's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure: its kind, a message that names the thing, and the error underneath if there is one.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `kind`; the message names the thing and says what to do.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into(), source: None }
    }

    /// The same with the error that caused it.
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// MySQL's text for a feature that is not there (1235).
    pub fn unsupported(what: impl fmt::Display) -> Self {
        Error::new(Kind::Unsupported, format!("This version of Desirepath doesn't yet support '{what}'"))
    }

    /// A broken invariant of ours, reported instead of a panic.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, message)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    /// MySQL error number, SQLSTATE, HTTP status, retry hint.
    pub fn row(&self) -> Row {
        self.kind.row()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref().map(|e| &**e as &(dyn StdError + 'static))
    }
}

/// So that our errors travel through DataFusion's streams and come out with their kind.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        DataFusionError::External(Box::new(error))
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            DataFusionError::External(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(other) => Error::new(Kind::Internal, other.to_string()).with_source(other),
            },
            DataFusionError::Context(context, inner) => {
                let mut error = Error::from(*inner);
                if error.kind == Kind::Internal {
                    error.message = format!("{context}: {}", error.message);
                }
                error
            }
            DataFusionError::Diagnostic(_, inner) => Error::from(*inner),
            DataFusionError::Collection(errors) => match errors.into_iter().next() {
                Some(first) => Error::from(first),
                None => Error::internal("planning failed without a reason"),
            },
            DataFusionError::Shared(inner) => from_shared(&inner),
            DataFusionError::ArrowError(inner, _) => Error::from(*inner),
            DataFusionError::SchemaError(inner, _) => from_schema(*inner),
            DataFusionError::SQL(inner, _) => Error::new(Kind::Syntax, inner.to_string()),
            DataFusionError::Plan(message) => from_plan(message),
            DataFusionError::NotImplemented(message) => Error::unsupported(message),
            DataFusionError::ResourcesExhausted(message) => Error::new(
                Kind::OutOfMemory,
                format!("Out of memory: {message}; narrow the query or raise memory_limit_bytes"),
            ),
            DataFusionError::ObjectStore(inner) => Error::from(*inner),
            DataFusionError::Execution(message) => from_execution(message),
            other => Error::new(Kind::Internal, other.strip_backtrace()).with_source(other),
        }
    }
}

/// An error behind an `Arc` cannot be moved out; what matters (ours, its kind) is copied.
fn from_shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => Error::new(ours.kind, ours.message.clone()),
            None => Error::internal(inner.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_shared(inner),
        DataFusionError::Shared(inner) => from_shared(inner),
        DataFusionError::Plan(message) => from_plan(message.clone()),
        DataFusionError::Execution(message) => from_execution(message.clone()),
        DataFusionError::ResourcesExhausted(message) => Error::new(Kind::OutOfMemory, message.clone()),
        other => Error::internal(other.strip_backtrace()),
    }
}

fn from_schema(error: SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, .. } => {
            Error::new(Kind::UnknownColumn, format!("Unknown column '{}' in 'field list'", field.flat_name()))
        }
        SchemaError::AmbiguousReference { field } => {
            Error::new(Kind::AmbiguousColumn, format!("Column '{}' in field list is ambiguous", field.flat_name()))
        }
        SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{name}'"))
        }
        SchemaError::DuplicateQualifiedField { name, .. } => {
            Error::new(Kind::DuplicateColumn, format!("Duplicate column name '{name}'"))
        }
    }
}

/// DataFusion's planner has only one variant for many failures; MySQL has a number for each. Its wording is stable
/// within the pinned version (tests/scripts/errors.slt holds each), and an unknown wording stays a plain 1105.
fn from_plan(message: String) -> Error {
    let kind = if message.starts_with("Invalid function") {
        let name = message.split('\'').nth(1).unwrap_or_default();
        return Error::new(Kind::UnknownFunction, format!("FUNCTION {name} does not exist"));
    } else if message.contains("must be in GROUP BY")
        || message.contains("must appear in the GROUP BY")
        || message.contains("could not be resolved from available columns")
    {
        Kind::NotInGroupBy
    } else if message.contains("Error during planning: ") || message.contains("No function matches") {
        Kind::WrongArguments
    } else {
        Kind::Internal
    };
    Error::new(kind, message)
}

fn from_execution(message: String) -> Error {
    let kind = if message.contains("Scalar subquery") { Kind::SubqueryRows } else { Kind::Internal };
    Error::new(kind, message)
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        match error {
            ArrowError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(ours) => *ours,
                Err(inner) => match inner.downcast::<DataFusionError>() {
                    Ok(error) => Error::from(*error),
                    Err(other) => Error::internal(other.to_string()).with_source(other),
                },
            },
            ArrowError::ArithmeticOverflow(message) => {
                Error::new(Kind::ExpressionOutOfRange, format!("value is out of range: {message}"))
            }
            ArrowError::CsvError(message) | ArrowError::JsonError(message) | ArrowError::ParseError(message) => {
                Error::new(Kind::IncorrectValue, message)
            }
            other => Error::internal(other.to_string()).with_source(other),
        }
    }
}

impl From<object_store::Error> for Error {
    fn from(error: object_store::Error) -> Self {
        let kind = match &error {
            object_store::Error::NotFound { .. } => Kind::FileNotFound,
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => Kind::Conflict,
            _ => Kind::Storage,
        };
        Error::new(kind, format!("object store: {error}")).with_source(error)
    }
}

impl From<datafusion::parquet::errors::ParquetError> for Error {
    fn from(error: datafusion::parquet::errors::ParquetError) -> Self {
        Error::new(Kind::Storage, format!("Parquet: {error}")).with_source(error)
    }
}

impl From<deltalake_core::DeltaTableError> for Error {
    fn from(error: deltalake_core::DeltaTableError) -> Self {
        Error::new(Kind::Storage, format!("Delta log: {error}")).with_source(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::new(Kind::Io, error.to_string()).with_source(error)
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Error::new(Kind::Corrupt, format!("JSON: {error}")).with_source(error)
    }
}
