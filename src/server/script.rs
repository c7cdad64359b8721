//! `desirepath sql`: scripts run in this process, as one session of root, without a server. Prints results and errors;
//! what a statement means is the session's business.

mod output; // rows → table, TSV, CSV, JSON

use std::convert::Infallible;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::io::{AsyncRead, AsyncReadExt};

use self::output::Output;
use crate::dialect::script::{self, ScriptStatement};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::session::{Answer, Client, Done, Rows, Session};

/// Bytes of the longest script; it is read whole before it is split.
const SCRIPT_BYTES_MAX: u64 = 1 << 30;

/// A statement that runs longer shows that it is alive.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
const PROGRESS_TICK: Duration = Duration::from_millis(200);

/// Where statements come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-e SQL`
    Statement(String),
    File(PathBuf),
    /// `-`
    StandardInput,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Borders and counts, as the mysql client on a terminal
    Table,
    /// Tab-separated with a header, as the mysql client in a pipe
    Tsv,
    /// RFC 4180 with a header; NULL is an empty field, an empty string `""`
    Csv,
    /// One object a line
    Json,
}

/// What `desirepath sql` was asked to do.
#[derive(Debug, Clone)]
pub struct ScriptOptions {
    /// `-D`: the database to start in.
    pub database: Option<String>,
    pub inputs: Vec<Input>,
    /// None: a table on a terminal, else TSV.
    pub format: Option<Format>,
    /// Go on after an error.
    pub force: bool,
    /// Whether `out` is a terminal.
    pub terminal: bool,
}

/// Runs every input in order as one session of root; true when no statement failed. Results go to `out`, each failure
/// to `errors` as `file:line: ERROR 1054 (42S22): …` with the statement's first line. The first failure ends the run
/// unless `force` is set; a reader of `out` that has seen enough (`| head`) ends it too, and is no failure.
///
/// # Errors
/// A database or a script that is not there, a script that is too long or not UTF-8, output that cannot be written.
pub async fn run(
    engine: Arc<Engine>,
    options: ScriptOptions,
    out: &mut (dyn Write + Send),
    errors: &mut (dyn Write + Send),
) -> Result<bool> {
    let client = Client::internal(engine.next_connection_id());
    let mut session = Session::new(engine, client);
    if let Some(database) = &options.database {
        session.use_database(database).await?;
    }
    let default = if options.terminal { Format::Table } else { Format::Tsv };
    let format = options.format.unwrap_or(default);
    let mut succeeded = true;
    for input in &options.inputs {
        let script = read(input).await?;
        let splitting = script::ScriptOptions { delimiter_command: true, ..script::ScriptOptions::default() };
        for statement in script::split(&script, splitting) {
            match run_statement(&mut session, statement.text, format, out).await {
                Ok(()) => {}
                Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(succeeded),
                Err(Failure::Output(error)) => return Err(Error::from(error)),
                Err(Failure::Statement(error)) => {
                    succeeded = false;
                    report(input, &statement, &error, errors)?;
                    if !options.force {
                        return Ok(false);
                    }
                }
            }
        }
    }
    Ok(succeeded)
}

/// Why a statement's answer was not printed whole.
enum Failure {
    Statement(Error),
    Output(io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Statement(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

/// Runs a statement; one that takes long shows on a terminal that it is alive, with the rows it has written.
async fn watched(session: &mut Session, text: &str) -> Result<Answer> {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    let written = bar.clone();
    session.set_progress(Arc::new(move |rows| written.set_message(format!("{rows} rows written"))));
    let show_late = async {
        tokio::time::sleep(PROGRESS_AFTER).await;
        if std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(PROGRESS_TICK);
        }
        std::future::pending::<Infallible>().await
    };
    let answer = tokio::select! {
        answer = session.execute(text) => answer,
        never = show_late => match never {},
    };
    bar.finish_and_clear();
    answer
}

async fn run_statement(
    session: &mut Session,
    text: &str,
    format: Format,
    out: &mut (dyn Write + Send),
) -> std::result::Result<(), Failure> {
    let started = Instant::now();
    let (summary, info) = match watched(session, text).await? {
        Answer::Rows(rows) => match print_rows(session, rows, format, out).await? {
            0 => ("Empty set".to_owned(), String::new()),
            count => (format!("{} in set", counted(count, "row")), String::new()),
        },
        Answer::Done(Done { affected_rows, info, .. }) => {
            (format!("Query OK, {} affected", counted(affected_rows, "row")), info)
        }
    };
    if format == Format::Table {
        let warnings = match session.status().warnings {
            0 => String::new(),
            count => format!(", {}", counted(u64::from(count), "warning")),
        };
        writeln!(out, "{summary}{warnings} ({:.2} sec)", started.elapsed().as_secs_f64())?;
        if !info.is_empty() {
            writeln!(out, "{info}")?;
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}

/// Prints a result as its batches come; gives the number of its rows.
async fn print_rows(
    session: &Session,
    mut rows: Rows,
    format: Format,
    out: &mut (dyn Write + Send),
) -> std::result::Result<u64, Failure> {
    let mut output = Output::new(format, &rows.schema, session.time_zone())?;
    let mut text = Vec::new();
    output.write_header(&mut text);
    let mut count = 0;
    while let Some(batch) = rows.stream.next().await {
        let batch = batch.map_err(Error::from)?;
        count += batch.num_rows() as u64;
        output.write_batch(&batch, &mut text)?;
        out.write_all(&text)?;
        text.clear();
    }
    output.finish(&mut text);
    out.write_all(&text)?;
    Ok(count)
}

fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn report(
    input: &Input,
    statement: &ScriptStatement<'_>,
    error: &Error,
    errors: &mut (dyn Write + Send),
) -> Result<()> {
    let name = match input {
        Input::Statement(_) => "-e".to_owned(),
        Input::File(path) => path.display().to_string(),
        Input::StandardInput => "-".to_owned(),
    };
    let row = error.row();
    writeln!(errors, "{name}:{}: ERROR {} ({}): {error}", statement.line, row.number, row.sqlstate)?;
    writeln!(errors, "    {}", statement.text.lines().next().unwrap_or_default())?;
    Ok(())
}

async fn read(input: &Input) -> Result<String> {
    match input {
        Input::Statement(text) => Ok(text.clone()),
        Input::StandardInput => read_limited(tokio::io::stdin(), "-").await,
        Input::File(path) => {
            let file = tokio::fs::File::open(path).await.map_err(|error| unreadable(path, error))?;
            read_limited(file, &path.display().to_string()).await
        }
    }
}

async fn read_limited(source: impl AsyncRead + Unpin, name: &str) -> Result<String> {
    let mut bytes = Vec::new();
    source
        .take(SCRIPT_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .await
        .map_err(|error| unreadable(name.as_ref(), error))?;
    if bytes.len() as u64 > SCRIPT_BYTES_MAX {
        let message = format!("script '{name}' is larger than {SCRIPT_BYTES_MAX} bytes; split it");
        return Err(Error::new(Kind::Io, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let bytes = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
        Error::new(Kind::Io, format!("script '{name}' is not UTF-8 at line {line}"))
    })
}

fn unreadable(path: &Path, error: io::Error) -> Error {
    let kind = if error.kind() == io::ErrorKind::NotFound { Kind::FileNotFound } else { Kind::Io };
    Error::new(kind, format!("cannot read script '{}': {error}", path.display())).with_source(error)
}
