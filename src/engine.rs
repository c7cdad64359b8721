//! The engine opens the parts once, owns them, and hands them to sessions: settings, object stores, catalog,
//! DataFusion's runtime (memory pool, spill disk, caches) and the base session state with every function registered.
//! No globals: a test may open two engines in one process.

pub mod processes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

use crate::catalog::Catalog;
use crate::catalog::credentials::Sha2Cache;
use crate::config::{BATCH_ROWS, SHA2_CACHE_ENTRIES_MAX, STACK_BYTES, Settings};
use crate::error::{Error, Result};
use crate::functions;
use crate::storage::object_store::{AllowedPaths, ObjectStores};
use processes::Processes;
use tokio::runtime::{Handle, Runtime};

/// How many memory consumers an out-of-memory error names.
const CONSUMERS_NAMED: usize = 3;

/// One opened Desirepath: everything sessions share.
pub struct Engine {
    settings: Settings,
    stores: Arc<ObjectStores>,
    allowed: AllowedPaths,
    catalog: Catalog,
    state: SessionState,
    processes: Processes,
    queries: QueryRuntime,
    sha2_cache: Sha2Cache,
    started: Instant,
    next_connection_id: AtomicU32,
    questions: AtomicU64,
}

impl Engine {
    /// Opens the data folder or bucket of `settings`, creating it when it is new.
    ///
    /// # Errors
    /// `Configuration` for a setting that cannot work, `Storage` when the store cannot be reached, `Corrupt` when what
    /// is there is not a Desirepath catalog.
    pub async fn open(settings: Settings) -> Result<Arc<Engine>> {
        let stores = Arc::new(ObjectStores::new(&settings)?);
        let root = ObjectStores::parse_location(&settings.data)?;
        let catalog = Catalog::open(stores.clone(), root.clone()).await?;
        // The data folder holds password hashes and the server's key: no SQL reads its files, whatever is allowed.
        let allowed = AllowedPaths::new(&settings.allow_path)?.except(&root)?;
        let runtime = runtime(&settings, stores.clone())?;
        let state = session_state(&settings, runtime)?;
        let queries = QueryRuntime::start(settings.threads)?;
        Ok(Arc::new(Engine {
            settings,
            stores,
            allowed,
            catalog,
            state,
            processes: Processes::default(),
            queries,
            sha2_cache: Sha2Cache::new(SHA2_CACHE_ENTRIES_MAX),
            started: Instant::now(),
            next_connection_id: AtomicU32::new(1),
            questions: AtomicU64::new(0),
        }))
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn stores(&self) -> &Arc<ObjectStores> {
        &self.stores
    }

    /// What `read_parquet` and `LOCATION` may read.
    pub fn allowed(&self) -> &AllowedPaths {
        &self.allowed
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The state every statement's own state is cloned from.
    pub fn state(&self) -> &SessionState {
        &self.state
    }

    /// Where queries compute, apart from the connections.
    pub fn runtime(&self) -> &Handle {
        &self.queries.handle
    }

    pub fn processes(&self) -> &Processes {
        &self.processes
    }

    pub fn sha2_cache(&self) -> &Sha2Cache {
        &self.sha2_cache
    }

    /// A connection id no other live connection of this engine has; never 0.
    pub fn next_connection_id(&self) -> u32 {
        loop {
            let id = self.next_connection_id.fetch_add(1, Ordering::Relaxed);
            if id != 0 && !self.processes.contains(id) {
                return id;
            }
        }
    }

    pub fn uptime_seconds(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    /// Statements since the start.
    pub fn questions(&self) -> u64 {
        self.questions.load(Ordering::Relaxed)
    }

    /// Counts one statement.
    pub fn count_question(&self) {
        self.questions.fetch_add(1, Ordering::Relaxed);
    }

    /// Memory reserved by running queries, in bytes.
    pub fn memory_reserved_bytes(&self) -> usize {
        self.state.runtime_env().memory_pool.reserved()
    }
}

/// Threads of their own for queries: a saturated runtime looks at its sockets and timers only now and then, and then no
/// KILL, ping or new connection gets through.
struct QueryRuntime {
    handle: Handle,
    /// None only while it is being dropped.
    runtime: Option<Runtime>,
}

impl QueryRuntime {
    fn start(threads: usize) -> Result<QueryRuntime> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime =
            builder.worker_threads(threads).thread_name("query").thread_stack_size(STACK_BYTES).enable_all().build()?;
        Ok(QueryRuntime { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for QueryRuntime {
    fn drop(&mut self) {
        // A runtime must not be waited for inside another one: what still runs is dropped where it stands.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn runtime(settings: &Settings, stores: Arc<ObjectStores>) -> Result<Arc<RuntimeEnv>> {
    let pool = TrackConsumersPool::new(
        FairSpillPool::new(settings.memory_limit_bytes),
        CONSUMERS_NAMED.try_into().expect("a constant above zero"),
    );
    let mode = match settings.spill_dir.as_str() {
        "" => DiskManagerMode::OsTmpDirectory,
        folder => DiskManagerMode::Directories(vec![folder.into()]),
    };
    let disk = DiskManagerBuilder::default().with_mode(mode).with_max_temp_directory_size(settings.spill_limit_bytes);
    RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(pool))
        .with_disk_manager_builder(disk)
        .with_object_store_registry(stores)
        .with_metadata_cache_limit(settings.footer_cache_bytes)
        .build_arc()
        .map_err(Error::from)
}

fn session_state(settings: &Settings, runtime: Arc<RuntimeEnv>) -> Result<SessionState> {
    let mut config = SessionConfig::new().with_target_partitions(settings.threads).with_batch_size(BATCH_ROWS);
    let options = config.options_mut();
    // Names keep their case; the planner matches them without case, as MySQL does for columns.
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.parse_float_as_decimal = true;
    options.sql_parser.map_string_types_to_utf8view = false;
    // MySQL: NULLs first ascending, last descending.
    options.sql_parser.default_null_ordering = "nulls_min".into();
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    options.execution.parquet.enable_page_index = true;
    options.execution.parquet.bloom_filter_on_read = true;
    // Statistics come from the Delta log; files are not opened to plan.
    options.execution.collect_statistics = false;
    // Answers to a client are not repartitioned for their own sake.
    options.optimizer.prefer_existing_sort = true;
    let mut state =
        SessionStateBuilder::new().with_config(config).with_runtime_env(runtime).with_default_features().build();
    datafusion_functions_json::register_all(&mut state)?;
    functions::register_all(&mut state)?;
    Ok(state)
}
