//! The analysis functions against naive references on seeded random events with many ties, NULLs, times before 1970
//! and microseconds: in any order of rows, split into partial states and merged in every way, driven directly and
//! through SQL. A failure names its seed.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::datasource::MemTable;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion::physical_expr::expressions::{col, lit};
use datafusion::prelude::{SessionConfig, SessionContext};
use desirepath::error::{Error, Kind};
use desirepath::functions::funnel_chain::{Chain, Mode};
use desirepath::functions::matched_rows::{MatchedRows, TieRule};
use desirepath::functions::time_window::Window;
use desirepath::functions::{aggregates, register_all, scalars};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Groups small enough for an exhaustive search.
const ROWS_PER_USER_MAX: usize = 8;

#[derive(Debug, Clone)]
struct Row {
    user: usize,
    time: Option<i64>,
    conditions: Vec<Option<bool>>,
    /// What a FILTER clause says of the row.
    counted: Option<bool>,
}

#[derive(Debug)]
struct Case {
    seed: u64,
    users: usize,
    steps: usize,
    /// In ticks of `time`.
    window: i64,
    strict: bool,
    rows: Vec<Row>,
}

/// Times are `base + k * tick` with few k, so that instants are shared by many rows.
fn case(seed: u64, tick: i64) -> Case {
    let mut random = StdRng::seed_from_u64(seed);
    let users = random.random_range(1..6);
    let steps = random.random_range(1..6);
    let base = [0, -3, -1_000_000_000_000_000, 1_700_000_000_123_456, 951_782_400_000_000][random.random_range(0..5)];
    let instants = random.random_range(1..8);
    let truth = random.random_range(0.15..0.8);
    let nulls = if random.random_bool(0.5) { 0.15 } else { 0.0 };
    let mut rows = Vec::new();
    for user in 0..users {
        for _ in 0..random.random_range(0..=ROWS_PER_USER_MAX) {
            let time = base + random.random_range(0..instants) * tick;
            let time = (!random.random_bool(nulls / 2.0)).then_some(time);
            let condition = |random: &mut StdRng| (!random.random_bool(nulls)).then(|| random.random_bool(truth));
            let conditions = (0..steps).map(|_| condition(&mut random)).collect();
            let counted = (!random.random_bool(nulls)).then(|| random.random_bool(0.9));
            rows.push(Row { user, time, conditions, counted });
        }
    }
    let window = if random.random_bool(0.1) { i64::MAX } else { random.random_range(0..=instants) * tick };
    Case { seed, users, steps, window, strict: random.random_bool(0.5), rows }
}

/// The definition itself: the largest k such that distinct rows r1..rk exist with r_i satisfying c_i, in time order.
fn funnel_level(rows: &[&Row], steps: usize, window: i64, strict: bool) -> usize {
    fn search(rows: &[&Row], used: &mut Vec<usize>, steps: usize, window: i64, strict: bool) -> usize {
        let step = used.len();
        let mut best = step;
        if step == steps {
            return best;
        }
        for (at, row) in rows.iter().enumerate() {
            let Some(time) = row.time else { continue };
            if used.contains(&at) || row.conditions[step] != Some(true) {
                continue;
            }
            if let (Some(first), Some(last)) = (used.first(), used.last()) {
                let (first, last) = (rows[*first].time.unwrap_or(0), rows[*last].time.unwrap_or(0));
                let in_order = if strict { last < time } else { last <= time };
                if !in_order || i128::from(time) - i128::from(first) > i128::from(window) {
                    continue;
                }
            }
            used.push(at);
            best = best.max(search(rows, used, steps, window, strict));
            used.pop();
        }
        best
    }
    search(rows, &mut Vec::new(), steps, window, strict)
}

/// r[1] = any row with c1; r[i] = r[1] and any row with ci.
fn retained(rows: &[&Row], steps: usize) -> Vec<i8> {
    let any = |at: usize| rows.iter().any(|row| row.conditions[at] == Some(true));
    (0..steps).map(|at| i8::from(any(0) && any(at))).collect()
}

fn bitmap(retained: &[i8]) -> i64 {
    retained.iter().enumerate().map(|(at, bit)| i64::from(*bit) << at).sum()
}

impl Case {
    fn mode(&self) -> &'static str {
        if self.strict { "strict_increase" } else { "default" }
    }

    fn rows_of(&self, user: usize) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.user == user).collect()
    }

    fn schema(&self) -> SchemaRef {
        let conditions = (0..self.steps).map(|at| Field::new(format!("c{at}"), DataType::Boolean, true));
        Arc::new(Schema::new(
            std::iter::once(Field::new("ts", DataType::Int64, true)).chain(conditions).collect::<Vec<_>>(),
        ))
    }

    fn batch(&self, rows: &[&Row]) -> RecordBatch {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(rows.iter().map(|row| row.time).collect::<Int64Array>())];
        columns.extend(self.condition_columns(rows));
        RecordBatch::try_new(self.schema(), columns).expect("columns fit the schema")
    }

    fn condition_columns(&self, rows: &[&Row]) -> Vec<ArrayRef> {
        let column = |at: usize| rows.iter().map(|row| row.conditions[at]).collect::<BooleanArray>();
        (0..self.steps).map(|at| Arc::new(column(at)) as ArrayRef).collect()
    }

    /// Each function with its right answer for every user, as text.
    fn questions(&self) -> Vec<Question> {
        let schema = self.schema();
        let column = |name: &str| col(name, &schema).expect("a column of the schema");
        let conditions: Vec<_> = (0..self.steps).map(|at| column(&format!("c{at}"))).collect();
        let mut funnel = vec![lit(self.window), lit(self.mode()), column("ts")];
        funnel.extend(conditions.clone());
        let counted = |user: usize| -> Vec<&Row> {
            self.rows_of(user).into_iter().filter(|row| row.counted == Some(true)).collect()
        };
        let all = 0..self.users;
        let level = |user| funnel_level(&counted(user), self.steps, self.window, self.strict).to_string();
        let array = |user| format!("{:?}", retained(&counted(user), self.steps));
        let mask = |user| bitmap(&retained(&counted(user), self.steps)).to_string();
        vec![
            Question::new("window_funnel", funnel, &schema, all.clone().map(level).collect()),
            Question::new("retention", conditions.clone(), &schema, all.clone().map(array).collect()),
            Question::new("retention_bitmap", conditions, &schema, all.map(mask).collect()),
        ]
    }
}

struct Question {
    function: AggregateFunctionExpr,
    expected: Vec<String>,
}

impl Question {
    fn new(name: &str, args: Vec<Arc<dyn PhysicalExpr>>, schema: &SchemaRef, expected: Vec<String>) -> Question {
        let aggregate = aggregates().into_iter().find(|aggregate| aggregate.name() == name).expect("ours");
        let builder = AggregateExprBuilder::new(aggregate, args).schema(Arc::clone(schema)).alias(name);
        Question { function: builder.build().expect("right arguments"), expected }
    }

    fn accumulator(&self) -> Box<dyn GroupsAccumulator> {
        self.function.create_groups_accumulator().expect("right arguments")
    }

    fn values(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| {
            expr.evaluate(batch).and_then(|value| value.into_array(batch.num_rows())).expect("columns and literals")
        };
        self.function.expressions().iter().map(evaluate).collect()
    }

    /// Updates with these rows in batches of random sizes; the group of a row is its user minus `first_user`.
    fn update(
        &self,
        accumulator: &mut dyn GroupsAccumulator,
        case: &Case,
        rows: &[&Row],
        first_user: usize,
        groups: usize,
        random: &mut StdRng,
    ) {
        let mut rest = rows;
        loop {
            let (batch, more) = rest.split_at(random.random_range(0..=rest.len()));
            let indices: Vec<usize> = batch.iter().map(|row| row.user - first_user).collect();
            let filter: BooleanArray = batch.iter().map(|row| row.counted).collect();
            let values = self.values(&case.batch(batch));
            accumulator.update_batch(&values, &indices, Some(&filter), groups).expect("valid rows");
            rest = more;
            if rest.is_empty() {
                return;
            }
        }
    }
}

fn shown(array: &ArrayRef) -> Vec<String> {
    (0..array.len()).map(|at| array_value_to_string(array, at).expect("a value that can be shown")).collect()
}

/// All rows in one accumulator, in any order.
fn one_pass(case: &Case, question: &Question, random: &mut StdRng) {
    let mut rows: Vec<&Row> = case.rows.iter().collect();
    rows.shuffle(random);
    let mut accumulator = question.accumulator();
    question.update(&mut *accumulator, case, &rows, 0, case.users, random);
    let answer = accumulator.evaluate(EmitTo::All).expect("an answer");
    assert_eq!(shown(&answer), question.expected, "one pass, {case:?}");
}

/// Rows dealt out to several accumulators (or turned into states one by one), states merged in any order, with a
/// second level of merging between.
fn merged(case: &Case, question: &Question, random: &mut StdRng) {
    let parts = random.random_range(1..5);
    let mut dealt: Vec<Vec<&Row>> = vec![Vec::new(); parts];
    for row in &case.rows {
        dealt[random.random_range(0..parts)].push(row);
    }
    // A state for each of these groups.
    let mut states: Vec<(Vec<ArrayRef>, Vec<usize>)> = Vec::new();
    for rows in &mut dealt {
        rows.shuffle(random);
        let mut accumulator = question.accumulator();
        if random.random_bool(0.3) {
            let filter: BooleanArray = rows.iter().map(|row| row.counted).collect();
            let values = question.values(&case.batch(rows));
            let state = accumulator.convert_to_state(&values, Some(&filter)).expect("states");
            states.push((state, rows.iter().map(|row| row.user).collect()));
            continue;
        }
        question.update(&mut *accumulator, case, rows, 0, case.users, random);
        let first = random.random_range(0..=case.users);
        states.push((accumulator.state(EmitTo::First(first)).expect("states"), (0..first).collect()));
        states.push((accumulator.state(EmitTo::All).expect("states"), (first..case.users).collect()));
    }
    states.shuffle(random);
    let mut last = question.accumulator();
    let mut between = question.accumulator();
    for (state, groups) in &states {
        assert_eq!(state[0].len(), groups.len(), "a state for each group, {case:?}");
        let target = if random.random_bool(0.3) { &mut between } else { &mut last };
        target.merge_batch(state, groups, case.users).expect("a state of ours");
    }
    between.merge_batch(&empty_states(question), &[], case.users).expect("no states");
    let state = between.state(EmitTo::All).expect("states");
    last.merge_batch(&state, &(0..case.users).collect::<Vec<_>>(), case.users).expect("a state of ours");
    let answer = last.evaluate(EmitTo::All).expect("an answer");
    assert_eq!(shown(&answer), question.expected, "merged, {case:?}");
}

fn empty_states(question: &Question) -> Vec<ArrayRef> {
    question.accumulator().state(EmitTo::All).expect("states of no groups")
}

/// Rows in user order, finished users emitted while later ones still come: how a sorted table is read.
fn streamed(case: &Case, question: &Question, random: &mut StdRng) {
    let mut accumulator = question.accumulator();
    let mut answers = Vec::new();
    let mut open = 0;
    for user in 0..case.users {
        let mut rows = case.rows_of(user);
        rows.shuffle(random);
        question.update(&mut *accumulator, case, &rows, open, user + 1 - open, random);
        let emitted = random.random_range(0..=user - open);
        answers.extend(shown(&accumulator.evaluate(EmitTo::First(emitted)).expect("answers")));
        open += emitted;
    }
    answers.extend(shown(&accumulator.evaluate(EmitTo::All).expect("answers")));
    assert_eq!(answers, question.expected, "streamed, {case:?}");
}

/// The accumulator of a single group: as without GROUP BY, and as OVER asks, more than once.
fn single_groups(case: &Case, question: &Question, random: &mut StdRng) {
    for user in 0..case.users {
        let mut rows: Vec<&Row> = case.rows_of(user).into_iter().filter(|row| row.counted == Some(true)).collect();
        rows.shuffle(random);
        let mut last = question.function.create_accumulator().expect("right arguments");
        for part in rows.chunks(random.random_range(1..5)) {
            let values = question.values(&case.batch(part));
            if random.random_bool(0.5) {
                last.update_batch(&values).expect("valid rows");
            } else {
                let mut other = question.function.create_accumulator().expect("right arguments");
                other.update_batch(&values).expect("valid rows");
                let state = other.state().expect("a state");
                let state: Vec<ArrayRef> = state.iter().map(|value| value.to_array().expect("an array")).collect();
                last.merge_batch(&state).expect("a state of ours");
            }
            last.evaluate().expect("an answer in between");
        }
        for _ in 0..2 {
            let answer = last.evaluate().and_then(|value| value.to_array()).expect("an answer");
            assert_eq!(shown(&answer)[0], question.expected[user], "single group {user}, {case:?}");
        }
    }
}

#[test]
fn accumulators_equal_the_reference_however_rows_are_split() {
    for seed in 0..600 {
        let case = case(seed, 1);
        let mut random = StdRng::seed_from_u64(seed);
        for question in case.questions() {
            one_pass(&case, &question, &mut random);
            merged(&case, &question, &mut random);
            streamed(&case, &question, &mut random);
            single_groups(&case, &question, &mut random);
        }
    }
}

/// Dropping ties that cannot matter must not matter, also not to rows that come later.
#[test]
fn compaction_changes_no_level() {
    for seed in 0..600 {
        let case = case(seed, 1);
        let (mode, rule) = match case.strict {
            true => (Mode::StrictIncrease, TieRule::Unite),
            false => (Mode::Default, TieRule::KeepEnough),
        };
        let mut kept = MatchedRows::new(case.steps, rule);
        kept.grow(case.users).expect("few users");
        for (at, row) in case.rows.iter().enumerate() {
            let mask =
                (0..case.steps).filter(|step| row.conditions[*step] == Some(true)).map(|step| 1u64 << step).sum();
            if let Some(time) = row.time.filter(|_| mask != 0) {
                kept.push(row.user, time, mask);
            }
            if at % 3 == 0 {
                kept.compact();
            }
        }
        kept.compact();
        let mut chain = Chain::new(case.steps, mode, Window::Ticks(case.window));
        let mut levels = Vec::new();
        kept.drain(EmitTo::All, |rows| levels.push(chain.level(rows) as usize));
        let level = |user| funnel_level(&case.rows_of(user), case.steps, case.window, case.strict);
        let expected: Vec<usize> = (0..case.users).map(level).collect();
        assert_eq!(levels, expected, "{case:?}");
    }
}

/// A robot that does one thing a million times in one instant must not fill the memory.
#[test]
fn state_of_identical_rows_is_bounded() {
    for mode in ["default", "strict_increase"] {
        let row = Row { user: 0, time: Some(7), conditions: vec![Some(true), Some(true)], counted: Some(true) };
        let case = Case { seed: 0, users: 1, steps: 2, window: 0, strict: mode != "default", rows: vec![row; 1000] };
        let rows: Vec<&Row> = case.rows.iter().collect();
        let question = &case_without_search(&case);
        let mut accumulator = question.accumulator();
        for _ in 0..1000 {
            let values = question.values(&case.batch(&rows));
            accumulator.update_batch(&values, &[0; 1000], None, 1).expect("valid rows");
        }
        assert!(accumulator.size() < 4096, "{} bytes in mode {mode}", accumulator.size());
        assert_eq!(shown(&accumulator.evaluate(EmitTo::All).expect("an answer")), question.expected, "mode {mode}");
    }
}

/// The funnel of a case too large for the reference; its answer is known.
fn case_without_search(case: &Case) -> Question {
    let schema = case.schema();
    let column = |name: &str| col(name, &schema).expect("a column of the schema");
    let args = vec![lit(case.window), lit(case.mode()), column("ts"), column("c0"), column("c1")];
    Question::new("window_funnel", args, &schema, vec![if case.strict { "1" } else { "2" }.to_owned()])
}

/// A session with several partitions and tiny batches; `skip_partial` makes every row its own partial state.
fn session(skip_partial: bool) -> SessionContext {
    let mut config = SessionConfig::new().with_target_partitions(3).with_batch_size(5);
    if skip_partial {
        config.options_mut().execution.skip_partial_aggregation_probe_rows_threshold = 0;
        config.options_mut().execution.skip_partial_aggregation_probe_ratio_threshold = 0.0;
    }
    let mut context = SessionContext::new_with_config(config);
    register_all(&mut context).expect("the registry takes functions");
    context
}

/// The rows as table `t(user_id, ts, counted, c0, ...)` in three partitions of small batches; the last user is NULL.
fn table(case: &Case, user_type: &DataType, random: &mut StdRng) -> MemTable {
    let mut fields = vec![
        Field::new("user_id", user_type.clone(), true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("counted", DataType::Boolean, true),
    ];
    fields.extend((0..case.steps).map(|at| Field::new(format!("c{at}"), DataType::Boolean, true)));
    let schema = Arc::new(Schema::new(fields));
    let mut rows: Vec<&Row> = case.rows.iter().collect();
    rows.shuffle(random);
    let mut partitions = vec![Vec::new(); 3];
    for rows in rows.chunks(4) {
        let user = |row: &&Row| user_name(case, row.user);
        let users: ArrayRef = match user_type {
            DataType::Int64 => Arc::new(
                rows.iter()
                    .map(|row| user(row).map(|name| name.parse::<i64>().expect("a number")))
                    .collect::<Int64Array>(),
            ),
            _ => Arc::new(rows.iter().map(user).collect::<StringArray>()),
        };
        let times: TimestampMicrosecondArray = rows.iter().map(|row| row.time).collect();
        let counted: BooleanArray = rows.iter().map(|row| row.counted).collect();
        let mut columns: Vec<ArrayRef> = vec![users, Arc::new(times), Arc::new(counted)];
        columns.extend(case.condition_columns(rows));
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("columns fit the schema");
        partitions[random.random_range(0..3)].push(batch);
    }
    MemTable::try_new(schema, partitions).expect("batches of the schema")
}

fn user_name(case: &Case, user: usize) -> Option<String> {
    (user + 1 < case.users).then(|| (user as i64 * 1_000_003 - 5).to_string())
}

/// `SELECT user_id, <expression> FROM t GROUP BY user_id` as text.
async fn by_user(context: &SessionContext, expression: &str) -> BTreeMap<Option<String>, String> {
    let text = format!("SELECT CAST(user_id AS VARCHAR) AS u, {expression} AS answer FROM t GROUP BY user_id");
    let batches = context.sql(&text).await.expect(&text).collect().await.expect(&text);
    let mut answers = BTreeMap::new();
    for batch in batches {
        let users = shown(batch.column(0));
        for (at, answer) in shown(batch.column(1)).into_iter().enumerate() {
            let user = batch.column(0).is_valid(at).then(|| users[at].clone());
            assert!(answers.insert(user, answer).is_none(), "a user twice from {text}");
        }
    }
    answers
}

#[tokio::test]
async fn sql_equals_the_reference_for_number_and_text_users() {
    for seed in 0..24 {
        // Half seconds for windows in seconds, half days for DATE.
        let case = case(seed, [500_000, 43_200_000_000][seed as usize % 2]);
        let mut random = StdRng::seed_from_u64(seed);
        for user_type in [DataType::Int64, DataType::Utf8] {
            let context = session(seed % 3 == 0);
            let provider = Arc::new(table(&case, &user_type, &mut random));
            context.register_table("t", provider).expect("a new name");
            sql_funnels(&case, &context, &mut random).await;
            sql_retentions(&case, &context).await;
        }
    }
}

/// The answer for each user that has rows.
fn expected<T: ToString>(case: &Case, answer: impl Fn(&[&Row]) -> T) -> BTreeMap<Option<String>, String> {
    let with_rows = (0..case.users).filter(|user| !case.rows_of(*user).is_empty());
    with_rows.map(|user| (user_name(case, user), answer(&case.rows_of(user)).to_string())).collect()
}

async fn sql_funnels(case: &Case, context: &SessionContext, random: &mut StdRng) {
    let seconds: i64 = random.random_range(0..5) * 43_200;
    let seconds = if case.seed.is_multiple_of(2) { seconds / 43_200 } else { seconds };
    let conditions: Vec<String> = (0..case.steps).map(|at| format!("c{at}")).collect();
    let (list, mode) = (conditions.join(", "), case.mode());
    let numbers: Vec<String> = conditions.iter().map(|name| format!("CAST({name} AS INT) * 7")).collect();
    let numbers = numbers.join(", ");
    let mut forms = vec![
        format!("window_funnel({seconds}, '{mode}', ts, {list})"),
        format!("WINDOWFUNNEL(INTERVAL '{seconds} seconds', '{mode},strict_once', ts, {list})"),
        format!("window_funnel({seconds}, ts, {}, [{list}])", if case.strict { 4 } else { 0 }),
        format!("window_funnel({seconds}, '{mode}', CAST(ts AS VARCHAR), {numbers})"),
        format!("window_funnel({seconds} * 1000000, '{mode}', CAST(ts AS BIGINT), {list})"),
    ];
    if !case.strict {
        forms.push(format!("window_funnel(2 * {seconds} / 2, ts, {list})"));
        forms.push(format!("window_funnel({seconds}, ts, [{list}])"));
    }
    let level = |rows: &[&Row]| funnel_level(rows, case.steps, seconds * 1_000_000, case.strict);
    for form in forms {
        assert_eq!(by_user(context, &form).await, expected(case, level), "{form}, {case:?}");
    }
    let form = format!("window_funnel({seconds}, '{mode}', ts, {list}) FILTER (WHERE counted)");
    let counted = |rows: &[&Row]| {
        let rows: Vec<&Row> = rows.iter().copied().filter(|row| row.counted == Some(true)).collect();
        level(&rows)
    };
    assert_eq!(by_user(context, &form).await, expected(case, counted), "{form}, {case:?}");
    let days = seconds / 86_400;
    let form = format!("window_funnel({days}, '{mode}', CAST(ts AS DATE), {list})");
    let by_day = |rows: &[&Row]| {
        let day = |time: i64| time.div_euclid(86_400_000_000);
        let rows: Vec<Row> = rows.iter().map(|row| Row { time: row.time.map(day), ..(*row).clone() }).collect();
        funnel_level(&rows.iter().collect::<Vec<_>>(), case.steps, days, case.strict)
    };
    assert_eq!(by_user(context, &form).await, expected(case, by_day), "{form}, {case:?}");
}

async fn sql_retentions(case: &Case, context: &SessionContext) {
    let conditions: Vec<String> = (0..case.steps).map(|at| format!("c{at}")).collect();
    let list = conditions.join(", ");
    let array = |rows: &[&Row]| format!("{:?}", retained(rows, case.steps));
    for form in [format!("retention({list})"), format!("retention([{list}])")] {
        assert_eq!(by_user(context, &form).await, expected(case, array), "{form}, {case:?}");
    }
    let mask = |rows: &[&Row]| bitmap(&retained(rows, case.steps));
    let form = format!("retention_bitmap({list})");
    assert_eq!(by_user(context, &form).await, expected(case, mask), "{form}, {case:?}");
    let text = format!("SELECT sum_array(r) FROM (SELECT retention({list}) AS r FROM t GROUP BY user_id)");
    let mut sums = vec![0i64; case.steps];
    for user in 0..case.users {
        for (sum, bit) in sums.iter_mut().zip(retained(&case.rows_of(user), case.steps)) {
            *sum += i64::from(bit);
        }
    }
    let answer = one_value(context, &text).await;
    let none = case.rows.is_empty();
    assert_eq!(answer, if none { String::new() } else { format!("{sums:?}") }, "{text}, {case:?}");
}

/// The only value of an answer, as text.
async fn one_value(context: &SessionContext, text: &str) -> String {
    let batches = context.sql(text).await.expect(text).collect().await.expect(text);
    let values: Vec<String> = batches.iter().flat_map(|batch| shown(batch.column(0))).collect();
    assert_eq!(values.len(), 1, "{text}");
    values.into_iter().next().unwrap_or_default()
}

#[tokio::test]
async fn known_answers() {
    let context = session(false);
    let events = |rows: &str| format!("(VALUES {rows}) AS e(t, name)");
    let funnel = |rows: &str, window: &str, mode: &str| {
        let (a, b, c) = ("name = 'a'", "name = 'b'", "name = 'c'");
        format!("SELECT window_funnel({window}, '{mode}', CAST(t AS TIMESTAMP), {a}, {b}, {c}) FROM {}", events(rows))
    };
    for (rows, window, mode, level) in [
        // Equal times help the pattern in whatever order they come.
        ("('2024-01-01', 'a'), ('2024-01-01', 'b')", "0", "default", "2"),
        ("('2024-01-01', 'b'), ('2024-01-01', 'a')", "0", "default", "2"),
        ("('2024-01-01', 'b'), ('2024-01-01', 'a')", "0", "strict_increase", "1"),
        // The later start has no later b.
        (
            "('2024-01-01 00:00:01', 'a'), ('2024-01-01 00:00:02', 'a'), ('2024-01-01 00:00:02', 'b')",
            "10",
            "strict_increase",
            "2",
        ),
        // Windows are inclusive, to the microsecond.
        ("('2024-01-01', 'a'), ('2024-01-02', 'b')", "86400", "default", "2"),
        ("('2024-01-01', 'a'), ('2024-01-02 00:00:00.000001', 'b')", "86400", "default", "1"),
        ("('1969-12-31 23:59:59.5', 'a'), ('1970-01-01 00:00:00.5', 'b')", "1", "default", "2"),
        // A month is a calendar month.
        ("('2024-01-31', 'a'), ('2024-02-29', 'b')", "INTERVAL '1 month'", "default", "2"),
        ("('2024-01-31', 'a'), ('2024-02-29 00:00:01', 'b')", "INTERVAL '1 month'", "default", "1"),
        ("('2024-01-01', 'x'), ('2024-01-02', 'b')", "86400", "default", "0"),
    ] {
        let text = funnel(rows, window, mode);
        assert_eq!(one_value(&context, &text).await, level, "{text}");
    }
    let nothing = "FROM (VALUES (1, true)) AS e(t, c) WHERE false";
    assert_eq!(one_value(&context, &format!("SELECT window_funnel(1, 'default', t, c, c) {nothing}")).await, "0");
    assert_eq!(one_value(&context, &format!("SELECT retention(c, c) {nothing}")).await, "[0, 0]");
    assert_eq!(one_value(&context, &format!("SELECT retention_bitmap(c, c) {nothing}")).await, "0");
    // One row fills one step; with two such rows both steps are filled.
    let same = "window_funnel(1, 'default', t, c, c)";
    assert_eq!(one_value(&context, &format!("SELECT {same} FROM (VALUES (1, true)) AS e(t, c)")).await, "1");
    assert_eq!(one_value(&context, &format!("SELECT {same} FROM (VALUES (1, true), (1, true)) AS e(t, c)")).await, "2");
}

#[tokio::test]
async fn bad_arguments_are_errors_before_anything_runs() {
    let context = session(false);
    let many = vec!["c"; 65].join(", ");
    let many_steps = format!("window_funnel(1, 'default', t, {many})");
    let many_listed = format!("window_funnel(1, t, 0, [{many}])");
    let many_periods = format!("retention({many})");
    for (call, kind, named) in [
        ("window_funnel(-1, 'default', t, c)", Kind::WrongArguments, "window"),
        ("window_funnel(NULL, 'default', t, c)", Kind::WrongArguments, "window"),
        ("window_funnel(t, 'default', t, c)", Kind::WrongArguments, "window"),
        ("window_funnel(1.5, 'default', t, c)", Kind::WrongArguments, "window"),
        ("window_funnel(INTERVAL '1 day', 'default', t, c)", Kind::WrongArguments, "window"),
        ("window_funnel(INTERVAL '-1 day', 'default', DATE '2024-01-01', c)", Kind::WrongArguments, "window"),
        ("window_funnel(1, 'fastest', t, c)", Kind::WrongArguments, "mode"),
        ("window_funnel(1, NULL, t, c)", Kind::WrongArguments, "mode"),
        ("window_funnel(1, t, 9, [c])", Kind::WrongArguments, "mode"),
        ("window_funnel(1, 'fixed', t, c)", Kind::Unsupported, "fixed"),
        ("window_funnel(1, t, 3, [c])", Kind::Unsupported, "mode"),
        ("window_funnel(1, 'strict_increase,strict_order', t, c)", Kind::Unsupported, "strict_order"),
        ("window_funnel(1, 'default', t)", Kind::WrongArguments, "condition"),
        ("window_funnel(1, t)", Kind::WrongArguments, "condition"),
        ("window_funnel(1, 'default', c, c)", Kind::WrongArguments, "time"),
        ("window_funnel(1, 'default', t, 'yes')", Kind::WrongArguments, "condition 1"),
        ("window_funnel(1, t, 0, [])", Kind::WrongArguments, "condition"),
        ("retention('yes')", Kind::WrongArguments, "condition 1"),
        ("retention([])", Kind::WrongArguments, "condition"),
        ("sum_array(t)", Kind::WrongArguments, "array"),
        (many_steps.as_str(), Kind::WrongArguments, "65"),
        (many_listed.as_str(), Kind::WrongArguments, "65"),
        (many_periods.as_str(), Kind::WrongArguments, "65"),
    ] {
        let text = format!("SELECT {call} FROM (VALUES (1, true)) AS e(t, c)");
        let result = match context.sql(&text).await {
            Ok(frame) => frame.create_physical_plan().await.map(|_| ()),
            Err(error) => Err(error),
        };
        let error = Error::from(result.expect_err(&text));
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(error.message().contains(named), "{text}: {error}");
    }
}

#[test]
fn no_name_is_registered_twice() {
    let mut names = BTreeMap::new();
    let aggregates = aggregates().into_iter().map(|f| (f.name().to_owned(), f.aliases().to_vec()));
    let scalars = scalars().into_iter().map(|f| (f.name().to_owned(), f.aliases().to_vec()));
    for (name, aliases) in aggregates.chain(scalars) {
        for each in aliases.into_iter().chain([name.clone()]) {
            assert!(names.insert(each.clone(), name.clone()).is_none(), "{each} is registered twice");
        }
    }
    assert!(!names.is_empty());
}
