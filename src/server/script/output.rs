//! A result as text for people and pipes: table, TSV, CSV, JSON lines. Appends to a buffer; writes to no file.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use chrono_tz::Tz;
use mysql_common::constants::ColumnType as WireType;

use super::Format;
use crate::error::Result;
use crate::ingest::validate::{format, text};
use crate::server::mysql::column::ColumnDefinition;
use crate::server::mysql::row::TextEncoder;

/// Rows a table's column widths are taken from; longer results are printed as several tables.
const PAGE_ROWS: usize = 1000;

/// One result being printed.
pub struct Output {
    format: Format,
    columns: Vec<ColumnDefinition>,
    encoder: TextEncoder,
    /// Rows of the table page in hand.
    page: Vec<Vec<Cell>>,
}

impl Output {
    /// A printer of a result of that schema; instants are shown in `zone`.
    ///
    /// # Errors
    /// `Unsupported` for a column that MySQL has no type for.
    pub fn new(format: Format, schema: &Schema, zone: Tz) -> Result<Self> {
        Ok(Output {
            format,
            columns: ColumnDefinition::of_schema(schema)?,
            encoder: TextEncoder::new(schema, zone)?,
            page: Vec::new(),
        })
    }

    /// Appends the line of column names, where the format has one.
    pub fn write_header(&self, out: &mut Vec<u8>) {
        let separator = match self.format {
            Format::Table | Format::Json => return,
            Format::Tsv => b'\t',
            Format::Csv => b',',
        };
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(separator);
            }
            match self.format {
                Format::Csv => csv_field(column.name.as_bytes(), out),
                _ => tsv_field(column.name.as_bytes(), out),
            }
        }
        out.push(b'\n');
    }

    /// Appends the rows of a batch; those of an unfinished table page are kept for later.
    ///
    /// # Errors
    /// When the batch does not fit the schema.
    pub fn write_batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()> {
        self.encoder.prepare(batch)?;
        let mut value = Vec::new();
        for row in 0..batch.num_rows() {
            match self.format {
                Format::Table => self.add_to_page(row, &mut value, out),
                Format::Tsv => self.write_separated(row, b'\t', &mut value, out),
                Format::Csv => self.write_separated(row, b',', &mut value, out),
                Format::Json => self.write_object(row, &mut value, out),
            }
        }
        Ok(())
    }

    /// Appends what is still kept.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if !self.page.is_empty() {
            self.write_page(out);
        }
    }

    fn write_separated(&mut self, row: usize, separator: u8, value: &mut Vec<u8>, out: &mut Vec<u8>) {
        for column in 0..self.columns.len() {
            if column > 0 {
                out.push(separator);
            }
            value.clear();
            match (self.encoder.write_value(column, row, value), self.format) {
                (true, Format::Csv) => csv_field(value, out),
                (true, _) => tsv_field(value, out),
                (false, Format::Csv) => {}
                (false, _) => out.extend_from_slice(b"NULL"),
            }
        }
        out.push(b'\n');
    }

    fn write_object(&mut self, row: usize, value: &mut Vec<u8>, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, column) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            format::json_string(column.name.as_bytes(), out);
            out.push(b':');
            value.clear();
            if self.encoder.write_value(index, row, value) {
                json_value(value, column.kind, out);
            } else {
                out.extend_from_slice(b"null");
            }
        }
        out.extend_from_slice(b"}\n");
    }

    fn add_to_page(&mut self, row: usize, value: &mut Vec<u8>, out: &mut Vec<u8>) {
        let cells = (0..self.columns.len()).map(|column| {
            value.clear();
            if self.encoder.write_value(column, row, value) { Cell::new(&shown(value)) } else { Cell::new("NULL") }
        });
        let cells = cells.collect();
        self.page.push(cells);
        if self.page.len() == PAGE_ROWS {
            self.write_page(out);
        }
    }

    fn write_page(&mut self, out: &mut Vec<u8>) {
        let names: Vec<Cell> = self.columns.iter().map(|column| Cell::new(&column.name)).collect();
        let widths: Vec<usize> = names
            .iter()
            .enumerate()
            .map(|(index, name)| self.page.iter().map(|row| row[index].width).max().unwrap_or_default().max(name.width))
            .collect();
        let right: Vec<bool> = self.columns.iter().map(|column| column.kind.is_numeric_type()).collect();
        let left = vec![false; right.len()];
        table_border(&widths, out);
        table_row(&names, &widths, &left, out);
        table_border(&widths, out);
        for row in self.page.drain(..) {
            table_row(&row, &widths, &right, out);
        }
        table_border(&widths, out);
    }
}

/// One value of a table, perhaps of several lines (EXPLAIN), and the columns of the screen it takes.
struct Cell {
    lines: Vec<String>,
    width: usize,
}

impl Cell {
    fn new(text: &str) -> Self {
        let lines: Vec<String> = text.split('\n').map(visible).collect();
        let width = lines.iter().map(|line| screen_width(line)).max().unwrap_or_default();
        Cell { lines, width }
    }
}

fn table_border(widths: &[usize], out: &mut Vec<u8>) {
    for width in widths {
        out.push(b'+');
        out.resize(out.len() + width + 2, b'-');
    }
    out.extend_from_slice(b"+\n");
}

fn table_row(cells: &[Cell], widths: &[usize], right: &[bool], out: &mut Vec<u8>) {
    let height = cells.iter().map(|cell| cell.lines.len()).max().unwrap_or_default();
    for line in 0..height {
        for ((cell, width), right) in cells.iter().zip(widths).zip(right) {
            let text = cell.lines.get(line).map_or("", String::as_str);
            let padding = width - screen_width(text);
            out.extend_from_slice(b"| ");
            if *right {
                out.resize(out.len() + padding, b' ');
                out.extend_from_slice(text.as_bytes());
                out.push(b' ');
            } else {
                out.extend_from_slice(text.as_bytes());
                out.resize(out.len() + padding + 1, b' ');
            }
        }
        out.extend_from_slice(b"|\n");
    }
}

/// Bytes that are not text as a MySQL hexadecimal literal.
fn shown(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02X}")),
    }
}

/// The line with its control characters escaped: an event's text must not be able to command the terminal.
fn visible(line: &str) -> String {
    if line.chars().any(char::is_control) {
        line.chars()
            .map(|each| if each.is_control() { each.escape_default().to_string() } else { each.to_string() })
            .collect()
    } else {
        line.to_owned()
    }
}

/// Columns of a terminal the text takes: two for East Asian wide characters and pictures, none for combining marks.
fn screen_width(text: &str) -> usize {
    text.chars()
        .map(|each| match u32::from(each) {
            0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
            0x1100..=0x115f
            | 0x2e80..=0x303e
            | 0x3041..=0xa4cf
            | 0xac00..=0xd7a3
            | 0xf900..=0xfaff
            | 0xfe30..=0xfe6f
            | 0xff00..=0xff60
            | 0xffe0..=0xffe6
            | 0x1f300..=0x1f64f
            | 0x1f900..=0x1f9ff
            | 0x20000..=0x3fffd => 2,
            _ => 1,
        })
        .sum()
}

/// The mysql client's batch form: the characters that would break the line are escaped.
fn tsv_field(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        match byte {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0 => out.extend_from_slice(b"\\0"),
            _ => out.push(byte),
        }
    }
}

/// RFC 4180; an empty string is quoted to tell it from NULL.
fn csv_field(value: &[u8], out: &mut Vec<u8>) {
    let is_plain = !value.is_empty() && !value.iter().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r'));
    if is_plain {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    for &byte in value {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// Numbers and JSON bare, all else as a string.
fn json_value(value: &[u8], kind: WireType, out: &mut Vec<u8>) {
    if kind.is_numeric_type() {
        // NaN and infinities are no JSON.
        let is_finite = value.last().is_some_and(u8::is_ascii_digit);
        return out.extend_from_slice(if is_finite { value } else { b"null" });
    }
    match std::str::from_utf8(value) {
        // Line ends in JSON are white space between its parts; one object must stay on one line.
        Ok(json) if kind == WireType::MYSQL_TYPE_JSON && text::check_json(json).is_ok() => {
            out.extend(value.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
        }
        Ok(_) => format::json_string(value, out),
        Err(_) => format::json_string(shown(value).as_bytes(), out),
    }
}
