//! The house's habits as tests: arrows between rooms, size of files and functions, no forgotten words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A room may name only rooms on a lower line; rooms on one line do not see each other (ARCHITECTURE.md).
const LINES: &[(&str, u8)] = &[
    ("main", 9),
    ("server", 8),
    ("session", 7),
    ("engine", 6),
    ("planner", 5),
    ("executor", 5),
    ("ingest", 5),
    ("catalog", 4),
    ("dialect", 4),
    ("storage", 3),
    ("functions", 3),
    ("config", 2),
    ("error", 1),
];
const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 120;

/// Files and functions that are longer, each with its reason.
const LONGER: &[(&str, &str)] = &[];

fn sources(folder: &str) -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file");
                found.insert(path, text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(Path::new(folder), &mut found);
    found
}

fn room(path: &Path) -> String {
    let first = path.strip_prefix("src").expect("a source file").components().next().expect("a name");
    first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn line_of(room: &str) -> Option<u8> {
    LINES.iter().find(|(name, _)| *name == room).map(|(_, line)| *line)
}

/// The rooms a source names: `crate::room` anywhere, also inside `use crate::{room, …}`.
fn rooms_named(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for part in text.split("crate::").skip(1) {
        let names: Vec<&str> = match part.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default().split(',').collect(),
            None => vec![part],
        };
        for name in names {
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            let name = name.trim().split(end).next().unwrap_or_default();
            if line_of(name).is_some() {
                named.push(name.to_owned());
            }
        }
    }
    named
}

#[test]
fn arrows_between_rooms_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let from = room(&path);
        if from == "lib" {
            continue;
        }
        let line = line_of(&from).unwrap_or_else(|| panic!("{} is in no room", path.display()));
        for to in rooms_named(&text) {
            if to != from && line_of(&to) >= Some(line) {
                wrong.push(format!("{} names {to}: {from} (line {line}) may only name lower lines", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_functions_room_names_no_room_but_config_and_error() {
    for (path, text) in sources("src/functions") {
        let named = rooms_named(&text);
        let wrong: Vec<_> =
            named.iter().filter(|room| !matches!(room.as_str(), "functions" | "config" | "error")).collect();
        assert!(wrong.is_empty(), "{} names {wrong:?}", path.display());
    }
}

#[test]
fn files_say_what_they_are_for_and_fit() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src").into_iter().chain(sources("tests")) {
        let name = path.display().to_string();
        if !text.starts_with("//!") {
            wrong.push(format!("{name}: opens without a //! line"));
        }
        let lines = text.lines().count();
        if name.starts_with("src") && lines > FILE_LINES_MAX && !LONGER.iter().any(|(file, _)| *file == name) {
            wrong.push(format!("{name}: {lines} lines, the most is {FILE_LINES_MAX}"));
        }
        for (number, line) in text.lines().enumerate() {
            if line.chars().count() > LINE_COLUMNS_MAX {
                wrong.push(format!("{name}:{}: wider than {LINE_COLUMNS_MAX} columns", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn functions_fit_a_screen() {
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let start = line.trim_start();
            let begins = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(super) fn ", "pub(super) async fn "]
                .iter()
                .any(|word| start.starts_with(word));
            if begins && !line.trim_end().ends_with(';') && open.is_none() {
                open = Some((number, indent, start.chars().take(60).collect()));
            }
            if let Some((from, at, name)) = &open
                && indent == *at
                && start == "}"
            {
                let lines = number - from + 1;
                let file = path.display().to_string();
                let excused = LONGER.iter().any(|(place, _)| *place == format!("{file}: {name}"));
                if lines > FUNCTION_LINES_MAX && !excused {
                    wrong.push(format!("{file}:{}: {lines} lines: {name}", from + 1));
                }
                open = None;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_half_done() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", ".unwrap()"];
    let mut wrong = Vec::new();
    for (path, text) in sources("src") {
        for (number, line) in text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                wrong.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The README's table of settings is the list in config.rs.
#[test]
fn the_readme_lists_every_setting() {
    let readme = std::fs::read_to_string("README.md").expect("the README");
    let missing: Vec<_> = desirepath::config::SETTINGS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !readme.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "README.md lacks the settings {missing:?}");
}
