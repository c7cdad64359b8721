//! The columns of each SHOW, as MySQL names them, over the tables of information_schema.

use super::column_definition::quoted;

pub(super) const INFORMATION_SCHEMA: &str = "information_schema";

/// Characters of a statement that SHOW PROCESSLIST shows without FULL.
const PROCESS_INFO_CHARACTERS: usize = 100;

/// A SELECT on one table of information_schema.
pub(super) struct Listing {
    /// Name shown, and the expression behind it.
    columns: Vec<(String, String)>,
    table: &'static str,
    conditions: Vec<String>,
    order: &'static str,
}

impl Listing {
    pub(super) fn new(table: &'static str, columns: &[(&str, &str)], order: &'static str) -> Self {
        let columns = columns.iter().map(|(shown, source)| ((*shown).to_owned(), (*source).to_owned())).collect();
        Listing { columns, table, conditions: Vec::new(), order }
    }

    pub(super) fn condition(mut self, condition: String) -> Self {
        self.conditions.push(condition);
        self
    }

    /// `column` must be this: exactly, so that information_schema opens no other table; see
    /// [`Show::respell`](super::statement::Show::respell).
    pub(super) fn named(self, column: &str, name: &str) -> Self {
        self.condition(format!("{column} = {}", quoted(name)))
    }

    pub(super) fn sql(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|(shown, source)| format!("{source} AS `{}`", shown.replace('`', "``"))).collect();
        let mut sql = format!("SELECT {} FROM {INFORMATION_SCHEMA}.{}", columns.join(", "), self.table);
        if !self.conditions.is_empty() {
            sql.push_str(" WHERE ");
            sql.push_str(&self.conditions.join(" AND "));
        }
        if !self.order.is_empty() {
            sql.push_str(" ORDER BY ");
            sql.push_str(self.order);
        }
        sql
    }
}

/// SHOW INDEX.
pub(super) const INDEX_COLUMNS: &[(&str, &str)] = &[
    ("Table", "TABLE_NAME"),
    ("Non_unique", "NON_UNIQUE"),
    ("Key_name", "INDEX_NAME"),
    ("Seq_in_index", "SEQ_IN_INDEX"),
    ("Column_name", "COLUMN_NAME"),
    ("Collation", "COLLATION"),
    ("Cardinality", "CARDINALITY"),
    ("Sub_part", "SUB_PART"),
    ("Packed", "PACKED"),
    ("Null", "NULLABLE"),
    ("Index_type", "INDEX_TYPE"),
    ("Comment", "COMMENT"),
    ("Index_comment", "INDEX_COMMENT"),
    ("Visible", "IS_VISIBLE"),
    ("Expression", "EXPRESSION"),
];

/// SHOW TABLE STATUS.
pub(super) const TABLE_STATUS_COLUMNS: &[(&str, &str)] = &[
    ("Name", "TABLE_NAME"),
    ("Engine", "ENGINE"),
    ("Version", "VERSION"),
    ("Row_format", "ROW_FORMAT"),
    ("Rows", "TABLE_ROWS"),
    ("Avg_row_length", "AVG_ROW_LENGTH"),
    ("Data_length", "DATA_LENGTH"),
    ("Max_data_length", "MAX_DATA_LENGTH"),
    ("Index_length", "INDEX_LENGTH"),
    ("Data_free", "DATA_FREE"),
    ("Auto_increment", "AUTO_INCREMENT"),
    ("Create_time", "CREATE_TIME"),
    ("Update_time", "UPDATE_TIME"),
    ("Check_time", "CHECK_TIME"),
    ("Collation", "TABLE_COLLATION"),
    ("Checksum", "CHECKSUM"),
    ("Create_options", "CREATE_OPTIONS"),
    ("Comment", "TABLE_COMMENT"),
];

/// SHOW FUNCTION STATUS.
pub(super) const ROUTINE_COLUMNS: &[(&str, &str)] = &[
    ("Db", "ROUTINE_SCHEMA"),
    ("Name", "ROUTINE_NAME"),
    ("Type", "ROUTINE_TYPE"),
    ("Definer", "DEFINER"),
    ("Modified", "LAST_ALTERED"),
    ("Created", "CREATED"),
    ("Security_type", "SECURITY_TYPE"),
    ("Comment", "ROUTINE_COMMENT"),
    ("character_set_client", "CHARACTER_SET_CLIENT"),
    ("collation_connection", "COLLATION_CONNECTION"),
    ("Database Collation", "DATABASE_COLLATION"),
];

/// SHOW EVENTS.
pub(super) const EVENT_COLUMNS: &[&str] = &[
    "Db",
    "Name",
    "Definer",
    "Time zone",
    "Type",
    "Execute at",
    "Interval value",
    "Interval field",
    "Starts",
    "Ends",
    "Status",
    "Originator",
    "character_set_client",
    "collation_connection",
    "Database Collation",
];

/// SHOW TRIGGERS.
pub(super) const TRIGGER_COLUMNS: &[&str] = &[
    "Trigger",
    "Event",
    "Table",
    "Statement",
    "Timing",
    "Created",
    "sql_mode",
    "Definer",
    "character_set_client",
    "collation_connection",
    "Database Collation",
];

pub(super) fn processes(is_full: bool) -> Listing {
    let info = if is_full { "INFO".to_owned() } else { format!("LEFT(INFO, {PROCESS_INFO_CHARACTERS})") };
    let columns = [
        ("Id", "ID"),
        ("User", "USER"),
        ("Host", "HOST"),
        ("db", "DB"),
        ("Command", "COMMAND"),
        ("Time", "TIME"),
        ("State", "STATE"),
        ("Info", info.as_str()),
    ];
    let quoted: Vec<(&str, String)> = columns
        .iter()
        .map(|(shown, source)| match source.contains('(') {
            true => (*shown, (*source).to_owned()),
            false => (*shown, format!("`{source}`")), // USER is a function elsewhere
        })
        .collect();
    let columns: Vec<(&str, &str)> = quoted.iter().map(|(shown, source)| (*shown, source.as_str())).collect();
    Listing::new("PROCESSLIST", &columns, "ID")
}

pub(super) fn engines() -> Listing {
    let columns = [
        ("Engine", "ENGINE"),
        ("Support", "SUPPORT"),
        ("Comment", "COMMENT"),
        ("Transactions", "TRANSACTIONS"),
        ("XA", "XA"),
        ("Savepoints", "SAVEPOINTS"),
    ];
    Listing::new("ENGINES", &columns, "ENGINE")
}

pub(super) fn character_sets() -> Listing {
    let columns = [
        ("Charset", "CHARACTER_SET_NAME"),
        ("Description", "DESCRIPTION"),
        ("Default collation", "DEFAULT_COLLATE_NAME"),
        ("Maxlen", "MAXLEN"),
    ];
    Listing::new("CHARACTER_SETS", &columns, "CHARACTER_SET_NAME")
}

pub(super) fn collations() -> Listing {
    let columns = [
        ("Collation", "COLLATION_NAME"),
        ("Charset", "CHARACTER_SET_NAME"),
        ("Id", "ID"),
        ("Default", "IS_DEFAULT"),
        ("Compiled", "IS_COMPILED"),
        ("Sortlen", "SORTLEN"),
        ("Pad_attribute", "PAD_ATTRIBUTE"),
    ];
    Listing::new("COLLATIONS", &columns, "COLLATION_NAME")
}

pub(super) fn plugins() -> Listing {
    let columns = [
        ("Name", "PLUGIN_NAME"),
        ("Status", "PLUGIN_STATUS"),
        ("Type", "PLUGIN_TYPE"),
        ("Library", "PLUGIN_LIBRARY"),
        ("License", "PLUGIN_LICENSE"),
    ];
    Listing::new("PLUGINS", &columns, "PLUGIN_NAME")
}
