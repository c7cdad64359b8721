//! MySQL's string functions where DataFusion has none or means something else. Positions count characters from 1.
//! Comparison is by bytes: the server's default collation is utf8mb4_bin.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;

use crate::functions::mysql_function::{Call, MysqlFunction, returns_integer, returns_text};

/// Arguments CONCAT and its like take at most.
const ARGUMENTS_MAX: usize = 1024;
/// Bytes of a padded or repeated text at most: MySQL's default max_allowed_packet, above which it answers NULL.
const TEXT_BYTES_MAX: usize = 64 << 20;

pub fn functions() -> Vec<MysqlFunction> {
    let text = |name, arguments, evaluate| MysqlFunction::new(name, arguments, returns_text, evaluate);
    let integer = |name, arguments, evaluate| MysqlFunction::new(name, arguments, returns_integer, evaluate);
    vec![
        text("concat", 1..=ARGUMENTS_MAX, concat as fn(&Call) -> Result<ArrayRef>),
        text("concat_ws", 2..=ARGUMENTS_MAX, concat_ws),
        text("left", 2..=2, left),
        text("right", 2..=2, right),
        text("substr", 2..=3, substring).aliases(&["substring", "mid"]),
        text("substring_index", 3..=3, substring_index).aliases(&["substr_index"]),
        text("lpad", 3..=3, |call| pad(call, true)),
        text("rpad", 3..=3, |call| pad(call, false)),
        text("repeat", 2..=2, repeat),
        text("space", 1..=1, space),
        text("replace", 3..=3, replace),
        text("reverse", 1..=1, reverse),
        text("lower", 1..=1, |call| mapped(call, str::to_lowercase)).aliases(&["lcase"]),
        text("upper", 1..=1, |call| mapped(call, str::to_uppercase)).aliases(&["ucase"]),
        text("insert", 4..=4, insert),
        text("elt", 2..=ARGUMENTS_MAX, elt),
        text("format", 2..=2, format_number),
        integer("length", 1..=1, length as fn(&Call) -> Result<ArrayRef>).aliases(&["octet_length"]),
        integer("bit_length", 1..=1, bit_length),
        integer("char_length", 1..=1, char_length).aliases(&["character_length"]),
        integer("locate", 2..=3, |call| locate(call, 0, 1)),
        integer("instr", 2..=2, |call| locate(call, 1, 0)).aliases(&["strpos", "position"]),
        integer("ascii", 1..=1, ascii),
        integer("field", 2..=ARGUMENTS_MAX, field_of),
        integer("find_in_set", 2..=2, find_in_set),
        integer("strcmp", 2..=2, compare),
    ]
}

/// NULL when any part is.
fn concat(call: &Call) -> Result<ArrayRef> {
    let parts = (0..call.args.len()).map(|at| call.texts(at)).collect::<Result<Vec<_>>>()?;
    call.make_texts(|row, text| {
        for part in &parts {
            text.push_str(part.get(row)?);
        }
        Some(())
    })
}

/// Skips parts that are NULL.
fn concat_ws(call: &Call) -> Result<ArrayRef> {
    let parts = (0..call.args.len()).map(|at| call.texts(at)).collect::<Result<Vec<_>>>()?;
    call.make_texts(|row, text| {
        let separator = parts[0].get(row)?;
        for (at, part) in parts[1..].iter().filter_map(|part| part.get(row)).enumerate() {
            if at > 0 {
                text.push_str(separator);
            }
            text.push_str(part);
        }
        Some(())
    })
}

/// The byte position of a character, the text's end when it has fewer.
fn byte_of(text: &str, character: usize) -> usize {
    if text.is_ascii() {
        return character.min(text.len());
    }
    text.char_indices().nth(character).map_or(text.len(), |(at, _)| at)
}

fn characters(text: &str) -> usize {
    text.chars().count()
}

fn count(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn left(call: &Call) -> Result<ArrayRef> {
    let (texts, counts) = (call.texts(0)?, call.integers(1)?);
    call.make_texts(|row, text| {
        let (from, most) = (texts.get(row)?, count(counts.get(row)?));
        text.push_str(&from[..byte_of(from, most)]);
        Some(())
    })
}

fn right(call: &Call) -> Result<ArrayRef> {
    let (texts, counts) = (call.texts(0)?, call.integers(1)?);
    call.make_texts(|row, text| {
        let (from, most) = (texts.get(row)?, count(counts.get(row)?));
        text.push_str(&from[byte_of(from, characters(from).saturating_sub(most))..]);
        Some(())
    })
}

/// SUBSTRING(text, position[, length]): a negative position counts from the end, position 0 gives nothing.
fn substring(call: &Call) -> Result<ArrayRef> {
    let (texts, positions) = (call.texts(0)?, call.integers(1)?);
    let lengths = if call.args.len() > 2 { Some(call.integers(2)?) } else { None };
    call.make_texts(|row, text| {
        let (from, position) = (texts.get(row)?, positions.get(row)?);
        let length = match &lengths {
            Some(lengths) => count(lengths.get(row)?),
            None => usize::MAX,
        };
        let start = match position {
            0 => return Some(()),
            1.. => count(position - 1),
            _ => match characters(from).checked_sub(count(position.saturating_neg())) {
                Some(start) => start,
                None => return Some(()),
            },
        };
        let rest = &from[byte_of(from, start)..];
        text.push_str(&rest[..byte_of(rest, length)]);
        Some(())
    })
}

/// What stands before the count-th delimiter, or after the count-th from the end when the count is negative.
fn substring_index(call: &Call) -> Result<ArrayRef> {
    let (texts, delimiters, counts) = (call.texts(0)?, call.texts(1)?, call.integers(2)?);
    call.make_texts(|row, text| {
        let (from, delimiter, nth) = (texts.get(row)?, delimiters.get(row)?, counts.get(row)?);
        if delimiter.is_empty() || nth == 0 {
            return Some(());
        }
        let skip = count(nth.saturating_abs()) - 1;
        let part = match nth > 0 {
            true => from.match_indices(delimiter).nth(skip).map_or(from, |(at, _)| &from[..at]),
            false => from.rmatch_indices(delimiter).nth(skip).map_or(from, |(at, _)| &from[at + delimiter.len()..]),
        };
        text.push_str(part);
        Some(())
    })
}

/// LPAD and RPAD: cut when the text is longer; NULL for a negative length, '' when there is nothing to pad with.
fn pad(call: &Call, before: bool) -> Result<ArrayRef> {
    let (texts, lengths, pads) = (call.texts(0)?, call.integers(1)?, call.texts(2)?);
    call.make_texts(|row, text| {
        let (from, pad) = (texts.get(row)?, pads.get(row)?);
        let length = usize::try_from(lengths.get(row)?).ok().filter(|length| *length <= TEXT_BYTES_MAX)?;
        let missing = length.saturating_sub(characters(from));
        if missing == 0 {
            text.push_str(&from[..byte_of(from, length)]);
        } else if !pad.is_empty() {
            let padding = pad.chars().cycle().take(missing);
            if before {
                text.extend(padding);
                text.push_str(from);
            } else {
                text.push_str(from);
                text.extend(padding);
            }
        }
        Some(())
    })
}

fn repeat(call: &Call) -> Result<ArrayRef> {
    let (texts, counts) = (call.texts(0)?, call.integers(1)?);
    call.make_texts(|row, text| {
        let (from, times) = (texts.get(row)?, count(counts.get(row)?));
        from.len().checked_mul(times).filter(|bytes| *bytes <= TEXT_BYTES_MAX)?;
        text.extend(std::iter::repeat_n(from, times));
        Some(())
    })
}

fn space(call: &Call) -> Result<ArrayRef> {
    let counts = call.integers(0)?;
    call.make_texts(|row, text| {
        let spaces = Some(count(counts.get(row)?)).filter(|bytes| *bytes <= TEXT_BYTES_MAX)?;
        text.extend(std::iter::repeat_n(' ', spaces));
        Some(())
    })
}

fn replace(call: &Call) -> Result<ArrayRef> {
    let (texts, from, to) = (call.texts(0)?, call.texts(1)?, call.texts(2)?);
    call.make_texts(|row, text| {
        let (within, from, to) = (texts.get(row)?, from.get(row)?, to.get(row)?);
        match from.is_empty() {
            true => text.push_str(within),
            false => text.push_str(&within.replace(from, to)),
        }
        Some(())
    })
}

fn reverse(call: &Call) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    call.make_texts(|row, text| {
        text.extend(texts.get(row)?.chars().rev());
        Some(())
    })
}

fn mapped(call: &Call, map: fn(&str) -> String) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    call.make_texts(|row, text| {
        text.push_str(&map(texts.get(row)?));
        Some(())
    })
}

/// INSERT(text, position, length, new): the text itself when the position is not in it.
fn insert(call: &Call) -> Result<ArrayRef> {
    let (texts, positions, lengths, news) = (call.texts(0)?, call.integers(1)?, call.integers(2)?, call.texts(3)?);
    call.make_texts(|row, text| {
        let (from, new) = (texts.get(row)?, news.get(row)?);
        let (position, length) = (positions.get(row)?, lengths.get(row)?);
        if position < 1 || count(position) > characters(from) {
            text.push_str(from);
            return Some(());
        }
        let (before, rest) = from.split_at(byte_of(from, count(position - 1)));
        // A negative length takes the rest, like one that is too long.
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        text.extend([before, new, &rest[byte_of(rest, length)..]]);
        Some(())
    })
}

/// ELT(n, first, second, …): the n-th of the others.
fn elt(call: &Call) -> Result<ArrayRef> {
    let numbers = call.integers(0)?;
    let texts = (1..call.args.len()).map(|at| call.texts(at)).collect::<Result<Vec<_>>>()?;
    call.make_texts(|row, text| {
        let at = usize::try_from(numbers.get(row)?).ok()?.checked_sub(1)?;
        text.push_str(texts.get(at)?.get(row)?);
        Some(())
    })
}

/// FORMAT(number, digits): rounded, with commas between thousands.
fn format_number(call: &Call) -> Result<ArrayRef> {
    const DIGITS_MAX: i64 = 30;
    let digits = call.integers(1)?;
    let exact = crate::functions::mysql_math::exact(call.fields[0].data_type()).is_some();
    let texts = call.texts(0)?;
    let doubles = call.doubles(0)?;
    call.make_texts(|row, text| {
        let digits = digits.get(row)?.clamp(0, DIGITS_MAX) as usize;
        let number = match exact {
            true => round_decimal_text(texts.get(row)?, digits),
            false => format!("{:.digits$}", doubles.get(row)?),
        };
        let (sign, number) = number.strip_prefix('-').map_or(("", number.as_str()), |number| ("-", number));
        let (whole, fraction) = number.split_at(number.find('.').unwrap_or(number.len()));
        text.push_str(sign);
        for (at, digit) in whole.char_indices() {
            if at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        text.push_str(fraction);
        Some(())
    })
}

/// A decimal number's text rounded half away from zero to that many digits.
fn round_decimal_text(text: &str, digits: usize) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |text| ("-", text));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut kept: Vec<u8> = whole.bytes().chain(fraction.bytes().chain(std::iter::repeat(b'0')).take(digits)).collect();
    let mut carry = fraction.as_bytes().get(digits).is_some_and(|digit| *digit >= b'5');
    for digit in kept.iter_mut().rev() {
        if !carry {
            break;
        }
        carry = *digit == b'9';
        *digit = if carry { b'0' } else { *digit + 1 };
    }
    if carry {
        kept.insert(0, b'1');
    }
    let point = kept.len() - digits;
    let zero = kept.iter().all(|digit| *digit == b'0');
    let mut rounded = if zero { String::new() } else { sign.to_owned() };
    for (at, digit) in kept.into_iter().enumerate() {
        if at == point {
            rounded.push('.');
        }
        rounded.push(char::from(digit));
    }
    rounded
}

/// The bytes of text or binary values.
fn byte_lengths(call: &Call) -> Result<Vec<Option<i64>>> {
    let array = call.array(0)?;
    if matches!(array.data_type(), DataType::Binary | DataType::LargeBinary | DataType::BinaryView) {
        let binary = cast(&array, &DataType::LargeBinary)?;
        return Ok(binary.as_binary::<i64>().iter().map(|bytes| bytes.map(|bytes| bytes.len() as i64)).collect());
    }
    let texts = call.texts(0)?;
    Ok((0..call.rows).map(|row| texts.get(row).map(|text| text.len() as i64)).collect())
}

/// LENGTH counts bytes.
fn length(call: &Call) -> Result<ArrayRef> {
    let lengths = byte_lengths(call)?;
    call.make_integers(|row| lengths[row])
}

fn bit_length(call: &Call) -> Result<ArrayRef> {
    let lengths = byte_lengths(call)?;
    call.make_integers(|row| lengths[row].map(|bytes| bytes * 8))
}

fn char_length(call: &Call) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    call.make_integers(|row| texts.get(row).map(|text| characters(text) as i64))
}

/// LOCATE(part, text[, position]) and INSTR(text, part): the position of the first occurrence, 0 when there is none.
fn locate(call: &Call, part: usize, within: usize) -> Result<ArrayRef> {
    let (parts, texts) = (call.texts(part)?, call.texts(within)?);
    let positions = if call.args.len() > 2 { Some(call.integers(2)?) } else { None };
    call.make_integers(|row| {
        let (part, text) = (parts.get(row)?, texts.get(row)?);
        let position = match &positions {
            Some(positions) => positions.get(row)?,
            None => 1,
        };
        if position < 1 || count(position - 1) > characters(text) {
            return Some(0);
        }
        let start = byte_of(text, count(position - 1));
        let found = text[start..].find(part).map(|at| characters(&text[..start + at]) + 1);
        Some(found.unwrap_or(0) as i64)
    })
}

fn ascii(call: &Call) -> Result<ArrayRef> {
    let texts = call.texts(0)?;
    call.make_integers(|row| texts.get(row).map(|text| text.bytes().next().map_or(0, i64::from)))
}

/// FIELD(value, first, second, …): the place of the value among the others; numbers compare as numbers.
fn field_of(call: &Call) -> Result<ArrayRef> {
    let text = call.fields.iter().all(|field| field.data_type().is_string() || *field.data_type() == DataType::Null);
    if text {
        let texts = (0..call.args.len()).map(|at| call.texts(at)).collect::<Result<Vec<_>>>()?;
        return call.make_integers(|row| {
            let place = texts[0].get(row).and_then(|value| texts[1..].iter().position(|t| t.get(row) == Some(value)));
            Some(place.map_or(0, |place| place as i64 + 1))
        });
    }
    let numbers = (0..call.args.len()).map(|at| call.doubles(at)).collect::<Result<Vec<_>>>()?;
    call.make_integers(|row| {
        let place = numbers[0].get(row).and_then(|value| numbers[1..].iter().position(|n| n.get(row) == Some(value)));
        Some(place.map_or(0, |place| place as i64 + 1))
    })
}

/// FIND_IN_SET(text, 'a,b,c').
fn find_in_set(call: &Call) -> Result<ArrayRef> {
    let (texts, sets) = (call.texts(0)?, call.texts(1)?);
    call.make_integers(|row| {
        let (text, set) = (texts.get(row)?, sets.get(row)?);
        let place = set.split(',').position(|member| member == text).filter(|_| !set.is_empty());
        Some(place.map_or(0, |place| place as i64 + 1))
    })
}

fn compare(call: &Call) -> Result<ArrayRef> {
    let (left, right) = (call.texts(0)?, call.texts(1)?);
    call.make_integers(|row| Some(left.get(row)?.cmp(right.get(row)?) as i64))
}
