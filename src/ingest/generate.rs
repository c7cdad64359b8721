//! Demo events: an online shop whose visitors come back, buy or give up, with a heavy tail of busy users and a few
//! bots. The same plan gives the same events on every machine.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Decimal128Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::config::BATCH_ROWS;
use crate::error::{Error, Kind, Result};
use crate::storage::types::{Column, ColumnType, EventColumns, TableSchema};

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    pub events: u64,
    pub users: u64,
    pub days: u32,
    pub seed: u64,
}

/// The first generated day: 2026-01-01 00:00 UTC in microseconds since 1970.
const START_MICROS: i64 = 1_767_225_600_000_000;
const SECOND_MICROS: i64 = 1_000_000;
const DAY_MICROS: i64 = 86_400 * SECOND_MICROS;
/// One user in this many is a crawler: hundreds of times the events of a person, and no purchase.
const BOT_EVERY: u64 = 2_000;
const BOT_WEIGHT: f64 = 300.0;
/// No person is this many times busier than the quietest.
const WEIGHT_MAX: f64 = 60.0;
/// Rows of one Parquet file of `--out FOLDER`.
const FILE_ROWS: u64 = 1_000_000;

const PLATFORMS: [(&str, f64); 4] = [("android", 0.42), ("ios", 0.28), ("web", 0.25), ("tv", 0.05)];
const COUNTRIES: [(&str, f64); 8] =
    [("US", 0.30), ("IN", 0.18), ("BR", 0.12), ("DE", 0.10), ("JP", 0.10), ("GB", 0.08), ("FR", 0.07), ("MX", 0.05)];
const CHANNELS: [(&str, f64); 4] = [("organic", 0.45), ("ads", 0.30), ("email", 0.15), ("referral", 0.10)];

/// What a visitor does next, by what he did last; the rest of the chance ends the visit.
fn next_steps(event: &str) -> &'static [(&'static str, f64)] {
    match event {
        "page_view" => &[("page_view", 0.35), ("search", 0.20), ("product_view", 0.25)],
        "search" => &[("product_view", 0.55), ("search", 0.15), ("page_view", 0.12)],
        "product_view" => &[("product_view", 0.25), ("add_to_cart", 0.16), ("page_view", 0.20), ("search", 0.12)],
        "add_to_cart" => &[("checkout", 0.42), ("product_view", 0.25), ("page_view", 0.15)],
        "checkout" => &[("pay", 0.62), ("page_view", 0.15), ("product_view", 0.08)],
        "pay" => &[("page_view", 0.35)],
        "signup" => &[("page_view", 0.85)],
        _ => &[],
    }
}

/// The table the events fit.
pub fn table() -> TableSchema {
    let column = |name: &str, column_type, nullable| Column {
        name: name.into(),
        column_type,
        nullable,
        default: None,
        comment: String::new(),
    };
    let text = |length| ColumnType::VarChar { length };
    TableSchema {
        columns: vec![
            column("event_time", ColumnType::DateTime { fraction: 6 }, false),
            column("user_id", ColumnType::BigInt { unsigned: false }, false),
            column("event_name", text(64), false),
            column("platform", text(16), true),
            column("country", ColumnType::Char { length: 2 }, true),
            column("channel", text(16), true),
            column("amount", ColumnType::Decimal { precision: 12, scale: 2 }, true),
            column("props", ColumnType::Json, true),
        ],
        event: Some(EventColumns { user: "user_id".into(), time: "event_time".into(), event: "event_name".into() }),
    }
}

/// The events of a plan, user after user, in batches.
pub struct Events {
    plan: Plan,
    schema: SchemaRef,
    weight_total: f64,
    weight_before: f64,
    events_before: u64,
    user: u64,
    rows: Builders,
}

impl Events {
    /// Starts a plan.
    ///
    /// # Errors
    /// `Configuration` for a plan without users or days.
    pub fn new(plan: Plan) -> Result<Events> {
        if plan.users == 0 || plan.days == 0 {
            return Err(Error::new(Kind::Configuration, "generate: --users and --days must be at least 1"));
        }
        let weight_total = (0..plan.users).map(|user| weight(&plan, user)).sum();
        Ok(Events {
            plan,
            schema: table().arrow(),
            weight_total,
            weight_before: 0.0,
            events_before: 0,
            user: 0,
            rows: Builders::default(),
        })
    }

    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Each user's number of events is his share of the total, rounded so that the sum is exact.
    fn add_user(&mut self) {
        let user = self.user;
        self.user += 1;
        self.weight_before += weight(&self.plan, user);
        let until = match self.user == self.plan.users {
            true => self.plan.events,
            false => (self.plan.events as f64 * self.weight_before / self.weight_total) as u64,
        };
        let count = until.saturating_sub(self.events_before);
        self.events_before = self.events_before.max(until);
        let mut random = user_random(&self.plan, user);
        let _: f64 = random.random(); // the draw that `weight` used
        match is_bot(user) {
            true => bot(&self.plan, user, count, &mut random, &mut self.rows),
            false => person(&self.plan, user, count, &mut random, &mut self.rows),
        }
    }
}

impl Iterator for Events {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.rows.count < BATCH_ROWS && self.user < self.plan.users {
            self.add_user();
        }
        match self.rows.count {
            0 => None,
            _ => Some(self.rows.finish(&self.schema)),
        }
    }
}

/// Writes the events as Parquet files into a folder, which must be empty or new.
///
/// # Errors
/// `Io` when the folder cannot be written, `Configuration` when it holds something.
pub fn write_folder(plan: Plan, folder: &Path, progress: &dyn Fn(u64)) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    if folder.read_dir()?.next().is_some() {
        let message = format!("folder '{}' is not empty; give a new one", folder.display());
        return Err(Error::new(Kind::Configuration, message));
    }
    let events = Events::new(plan)?;
    let schema = events.schema();
    let mut events = events.peekable();
    let mut written = 0;
    for number in 0.. {
        if events.peek().is_none() {
            break;
        }
        let path = folder.join(format!("events-{number:05}.parquet"));
        let mut file = ArrowWriter::try_new(std::fs::File::create(path)?, schema.clone(), None)?;
        let file_end = written + FILE_ROWS;
        while written < file_end
            && let Some(batch) = events.next()
        {
            let batch = batch?;
            file.write(&batch)?;
            written += batch.num_rows() as u64;
            progress(written);
        }
        file.close()?;
    }
    Ok(())
}

fn user_random(plan: &Plan, user: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    random.set_stream(user + 1);
    random
}

fn is_bot(user: u64) -> bool {
    user % BOT_EVERY == BOT_EVERY - 1
}

/// How busy a user is: Pareto with exponent 1.2, cut; bots far above.
fn weight(plan: &Plan, user: u64) -> f64 {
    if is_bot(user) {
        return BOT_WEIGHT;
    }
    let draw: f64 = user_random(plan, user).random();
    (1.0 - draw).powf(-1.0 / 1.2).min(WEIGHT_MAX)
}

fn pick<'t>(random: &mut ChaCha8Rng, choices: &[(&'t str, f64)]) -> Option<&'t str> {
    let mut draw: f64 = random.random();
    for (name, chance) in choices {
        if draw < *chance {
            return Some(name);
        }
        draw -= chance;
    }
    None
}

fn bot(plan: &Plan, user: u64, count: u64, random: &mut ChaCha8Rng, rows: &mut Builders) {
    let length = i64::from(plan.days) * DAY_MICROS;
    for number in 0..count {
        // A steady crawl over the whole time.
        let time = START_MICROS + (length as i128 * number as i128 / count.max(1) as i128) as i64;
        let page = random.random_range(0..100_000);
        rows.push(time, user, "page_view", "web", "US", "organic", None, &format!("{{\"url\":\"/p/{page}\"}}"));
    }
}

/// Visits on days that thin out after the first, each a walk through the shop.
fn person(plan: &Plan, user: u64, count: u64, random: &mut ChaCha8Rng, rows: &mut Builders) {
    let platform = pick(random, &PLATFORMS).unwrap_or("web");
    let country = pick(random, &COUNTRIES).unwrap_or("US");
    let channel = pick(random, &CHANNELS).unwrap_or("organic");
    let days = i64::from(plan.days);
    let first_day = (random.random::<f64>().powi(2) * days as f64) as i64;
    let mut left = count;
    let mut fresh = true;
    while left > 0 {
        let gone = random.random::<f64>().powi(3) * (days - first_day) as f64;
        let day = if fresh { first_day } else { first_day + gone as i64 };
        let second = (random.random::<f64>() + random.random::<f64>()) / 2.0 * 86_399.0;
        let mut time = START_MICROS + day.min(days - 1) * DAY_MICROS + second as i64 * SECOND_MICROS;
        let day_end = START_MICROS + (day.min(days - 1) + 1) * DAY_MICROS;
        let mut event = if fresh { "signup" } else { "page_view" };
        fresh = false;
        while left > 0 && time < day_end {
            let product = random.random_range(0..5_000);
            let (amount, props) = match event {
                "search" => (None, format!("{{\"query\":\"word{}\"}}", product % 200)),
                "pay" => (Some(random.random_range(499..30_000)), format!("{{\"order\":{}}}", random.random::<u32>())),
                "page_view" | "signup" => (None, format!("{{\"url\":\"/{}\"}}", product % 50)),
                _ => (None, format!("{{\"product\":{product}}}")),
            };
            rows.push(time, user, event, platform, country, channel, amount, &props);
            left -= 1;
            time += random.random_range(1_000_000..180_000_000);
            match pick(random, next_steps(event)) {
                Some(next) => event = next,
                None => break,
            }
        }
    }
}

struct Builders {
    count: usize,
    time: TimestampMicrosecondBuilder,
    user: Int64Builder,
    event: StringBuilder,
    platform: StringBuilder,
    country: StringBuilder,
    channel: StringBuilder,
    amount: Decimal128Builder,
    props: StringBuilder,
}

impl Default for Builders {
    fn default() -> Self {
        let amount = Decimal128Builder::new().with_data_type(arrow::datatypes::DataType::Decimal128(12, 2));
        Builders {
            count: 0,
            time: Default::default(),
            user: Default::default(),
            event: Default::default(),
            platform: Default::default(),
            country: Default::default(),
            channel: Default::default(),
            amount,
            props: Default::default(),
        }
    }
}

impl Builders {
    #[expect(clippy::too_many_arguments, reason = "one argument a column")]
    fn push(
        &mut self,
        time: i64,
        user: u64,
        event: &str,
        platform: &str,
        country: &str,
        channel: &str,
        amount_cents: Option<i128>,
        props: &str,
    ) {
        self.count += 1;
        self.time.append_value(time);
        self.user.append_value(user as i64 + 1);
        self.event.append_value(event);
        self.platform.append_value(platform);
        self.country.append_value(country);
        self.channel.append_value(channel);
        self.amount.append_option(amount_cents);
        self.props.append_value(props);
    }

    fn finish(&mut self, schema: &SchemaRef) -> Result<RecordBatch> {
        self.count = 0;
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.user.finish()),
            Arc::new(self.event.finish()),
            Arc::new(self.platform.finish()),
            Arc::new(self.country.finish()),
            Arc::new(self.channel.finish()),
            Arc::new(self.amount.finish()),
            Arc::new(self.props.finish()),
        ];
        RecordBatch::try_new(schema.clone(), arrays).map_err(Error::from)
    }
}
