//! Command line → mode. Each mode is one call into the library; nothing is decided here.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use desirepath::config::{self, LogFormat, STACK_BYTES, Settings};
use desirepath::engine::Engine;
use desirepath::error::{Error, Result};
use desirepath::ingest::generate;
use desirepath::server::{self, script};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the modes that talk to a person log: only what needs attention.
const QUIET: &str = "warn";

#[derive(Parser)]
#[command(name = "desirepath", version, about = "A SQL server for event data that speaks MySQL")]
struct CommandLine {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Serve MySQL and HTTP clients
    Serve {
        #[command(flatten)]
        settings: Flags,
        /// Make a database `demo` with two million generated events, if there is none
        #[arg(long)]
        demo: bool,
    },
    /// Run SQL or scripts in this process, without a server
    Sql {
        #[command(flatten)]
        settings: Flags,
        /// Database to start in
        #[arg(short = 'D', long)]
        database: Option<String>,
        /// SQL to run, before any files
        #[arg(short = 'e', long = "execute")]
        execute: Vec<String>,
        /// Script files; `-` is standard input
        files: Vec<String>,
        /// How results are printed: a table on a terminal, else tsv
        #[arg(long)]
        format: Option<script::Format>,
        /// Go on after an error
        #[arg(long)]
        force: bool,
    },
    /// Make demo events: the same seed gives the same events
    Generate {
        #[command(flatten)]
        settings: Flags,
        #[arg(long, default_value_t = 2_000_000)]
        events: u64,
        /// Default: one for every 15 events
        #[arg(long)]
        users: Option<u64>,
        #[arg(long, default_value_t = 30)]
        days: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// A folder for Parquet files, or `database.table` of the data folder
        #[arg(long)]
        out: String,
    },
    /// Print every setting with its value and where the value came from
    Config {
        #[command(flatten)]
        settings: Flags,
    },
    /// Ballista scheduler (not in this version)
    Scheduler,
    /// Ballista executor (not in this version)
    Executor,
}

/// Flags that every mode takes; every other setting is set in the file or the environment.
#[derive(Args)]
struct Flags {
    /// Settings file [default: desirepath.toml, if there is one]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Folder or URL of the data
    #[arg(long)]
    data: Option<String>,
    /// Address of the MySQL protocol
    #[arg(long)]
    mysql: Option<String>,
    /// Address of HTTP
    #[arg(long)]
    http: Option<String>,
    /// Folder or URL that SQL may read files from; may be given several times
    #[arg(long)]
    allow_path: Vec<String>,
    /// text or json
    #[arg(long)]
    log_format: Option<LogFormat>,
}

impl Flags {
    fn load(self) -> Result<config::Loaded> {
        let mut flags: Vec<(&'static str, toml::Value)> = Vec::new();
        let texts = [("data", self.data), ("mysql", self.mysql), ("http", self.http)];
        flags.extend(texts.into_iter().filter_map(|(name, value)| Some((name, value?.into()))));
        if !self.allow_path.is_empty() {
            flags.push(("allow_path", self.allow_path.into()));
        }
        if let Some(format) = self.log_format {
            let text = if format == LogFormat::Json { "json" } else { "text" };
            flags.push(("log_format", text.into()));
        }
        config::load(self.config.as_deref(), std::env::vars(), flags)
    }
}

fn main() -> ExitCode {
    // Two providers are compiled in (object_store's and deltalake's); clients of HTTPS stores need one to be the
    // default.
    if tokio_rustls::rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("desirepath: another TLS provider is installed already");
        return ExitCode::FAILURE;
    }
    match run(CommandLine::parse().mode) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("desirepath: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one mode; false when it ran and something in it failed.
fn run(mode: Mode) -> Result<bool> {
    match mode {
        Mode::Serve { settings, demo } => {
            let settings = settings.load()?.settings;
            log_to_standard_error(&settings, &settings.log_level)?;
            runtime(&settings)?.block_on(server::start::serve(settings, demo)).map(|()| true)
        }
        Mode::Sql { settings, database, execute, files, format, force } => {
            let settings = settings.load()?.settings;
            log_to_standard_error(&settings, QUIET)?;
            let statements = execute.into_iter().map(script::Input::Statement);
            let files = files.into_iter().map(|file| match file.as_str() {
                "-" => script::Input::StandardInput,
                path => script::Input::File(path.into()),
            });
            let mut inputs: Vec<_> = statements.chain(files).collect();
            if inputs.is_empty() {
                inputs.push(script::Input::StandardInput);
            }
            let terminal = std::io::stdout().is_terminal();
            let options = script::ScriptOptions { database, inputs, format, force, terminal };
            runtime(&settings)?.block_on(async {
                let engine = Engine::open(settings).await?;
                script::run(engine, options, &mut std::io::stdout(), &mut std::io::stderr()).await
            })
        }
        Mode::Generate { settings, events, users, days, seed, out } => {
            let settings = settings.load()?.settings;
            log_to_standard_error(&settings, QUIET)?;
            let plan = generate::Plan { events, users: users.unwrap_or((events / 15).max(1)), days, seed };
            runtime(&settings)?.block_on(server::start::generate(settings, plan, &out)).map(|()| true)
        }
        Mode::Config { settings } => {
            let loaded = settings.load()?;
            for (name, value) in loaded.settings.toml() {
                let source = loaded.sources.get(name).map_or("default", String::as_str);
                println!("{name} = {value}  # {source}");
            }
            Ok(true)
        }
        Mode::Scheduler | Mode::Executor => Err(Error::unsupported("cluster roles")),
    }
}

fn runtime(settings: &Settings) -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(settings.threads.max(2)).thread_stack_size(STACK_BYTES).enable_all().build()?)
}

fn log_to_standard_error(settings: &Settings, level: &str) -> Result<()> {
    let wrong = |error: &dyn std::fmt::Display| {
        Error::new(desirepath::error::Kind::Configuration, format!("log_level '{}': {error}", level))
    };
    // Other crates tell more than an operator wants at the level that suits ours; a filter says what it means itself.
    let plain = level.chars().all(char::is_alphabetic);
    let directives = if plain { format!("warn,desirepath={level}") } else { level.to_owned() };
    let filter = directives.parse::<tracing_subscriber::EnvFilter>().map_err(|error| wrong(&error))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    let set = match settings.log_format {
        LogFormat::Json => log.json().try_init(),
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    set.map_err(|error| wrong(&error))
}
