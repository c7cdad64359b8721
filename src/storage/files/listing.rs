//! Finding files by pattern: a file, a folder with all below it, or a path with wildcards; each checked against the
//! allowed paths. Does not open them.
//!
//! Wildcards: `*` and `?` within a name, `[a-z]`, `[!a-z]`, `{csv,txt}`, and `**` for any number of folders.

use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use url::{Position, Url};

use crate::config::SOURCE_FILES_MAX;
use crate::error::{Error, Kind, Result};
use crate::storage::object_store::{AllowedPaths, ObjectStores};

const WILDCARDS: [char; 4] = ['*', '?', '[', '{'];
/// Patterns one pattern with braces may stand for.
const ALTERNATIVES_MAX: usize = 1000;

/// The files of one store that a pattern names.
#[derive(Debug, Clone)]
pub struct Found {
    pub store: Arc<dyn ObjectStore>,
    pub store_url: ObjectStoreUrl,
    /// In the order of their paths; empty files are left out.
    pub files: Vec<ObjectMeta>,
}

/// The files `pattern` names, of a folder only those whose names end in one of `extensions`.
///
/// # Errors
/// `FileNotAllowed` for the pattern or any file it names, `FileNotFound` when there is none.
pub async fn find(stores: &ObjectStores, allowed: &AllowedPaths, pattern: &str, extensions: &[&str]) -> Result<Found> {
    let url = parse(pattern)?;
    allowed.check(&url)?;
    let (store, path) = stores.open(&url)?;
    let mut files = list(&store, &url, &path, extensions).await?;
    let found = files.len();
    files.retain(|file| file.size > 0);
    if files.is_empty() {
        let why = if found == 0 { "not found" } else { "is empty" };
        return Err(Error::new(Kind::FileNotFound, format!("File '{pattern}' {why}")));
    }
    if files.len() > SOURCE_FILES_MAX {
        let message = format!("'{pattern}' names {} files; at most {SOURCE_FILES_MAX} are read at once", files.len());
        return Err(Error::new(Kind::WrongArguments, message));
    }
    for file in &files {
        // A link may lead out of an allowed folder, so the pattern alone says too little.
        allowed.check(&url_of(&url, &file.location)?)?;
    }
    files.sort_by(|a, b| a.location.cmp(&b.location));
    let store_url = ObjectStoreUrl::parse(&url[..Position::BeforePath])?;
    Ok(Found { store, store_url, files })
}

fn parse(pattern: &str) -> Result<Url> {
    let is_web = pattern.starts_with("http://") || pattern.starts_with("https://");
    if !pattern.contains("://") {
        return ObjectStores::parse_url(pattern);
    }
    if is_web {
        let url = ObjectStores::parse_url(pattern)?;
        return match url.query() {
            Some(_) => Err(Error::unsupported("a web address with a '?' part")),
            None => Ok(url),
        };
    }
    // In a bucket '?' and '#' are characters of a name or wildcards.
    ObjectStores::parse_url(&pattern.replace('?', "%3F").replace('#', "%23"))
}

async fn list(store: &Arc<dyn ObjectStore>, url: &Url, path: &Path, extensions: &[&str]) -> Result<Vec<ObjectMeta>> {
    if !url.path().ends_with('/') {
        match store.head(path).await {
            Ok(file) => return Ok(vec![file]),
            Err(::object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if matches!(url.scheme(), "http" | "https") {
        return match path.as_ref().contains(WILDCARDS) {
            true => Err(Error::unsupported("wildcards in a web address")),
            false => Ok(Vec::new()),
        };
    }
    let pattern: Vec<&str> = path.as_ref().split('/').collect();
    let fixed = pattern.iter().take_while(|name| !name.contains(WILDCARDS)).count();
    let is_folder = fixed == pattern.len();
    let prefix = Path::from_iter(path.parts().take(fixed));
    let alternatives = if is_folder { Vec::new() } else { alternatives(path.as_ref())? };
    let wanted = |file: &ObjectMeta| {
        let names: Vec<&str> = file.location.as_ref().split('/').collect();
        match is_folder {
            true => has_extension(&names, fixed, extensions),
            false => alternatives.iter().any(|pattern| path_matches(&pattern.split('/').collect::<Vec<_>>(), &names)),
        }
    };
    let listed = store.list(Some(&prefix)).try_filter(|file| std::future::ready(wanted(file)));
    listed.try_collect().await.map_err(Error::from)
}

/// Whether a file below a folder is data: not hidden, and with an extension of its format, compressed or not.
fn has_extension(names: &[&str], folder: usize, extensions: &[&str]) -> bool {
    if names.iter().skip(folder).any(|name| name.starts_with(['.', '_'])) {
        return false;
    }
    let name = names.last().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
    let name = [".gz", ".zst", ".bz2", ".xz"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    extensions.iter().any(|extension| name.strip_suffix(extension).is_some_and(|stem| stem.ends_with('.')))
}

/// `base` with another path; what the path holds is taken as it is.
fn url_of(base: &Url, path: &Path) -> Result<Url> {
    if base.scheme() == "file" {
        let bad = |()| Error::internal(format!("'{path}' is not a path"));
        return Url::from_file_path(format!("/{path}")).map_err(bad);
    }
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.set_path(&path.as_ref().replace('%', "%25"));
    Ok(url)
}

/// The patterns without braces that `pattern` stands for: `a.{csv,txt}` for `a.csv` and `a.txt`.
fn alternatives(pattern: &str) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(next) = open.pop() {
        let braces = next.find('{').and_then(|start| Some((start, start + next[start..].find('}')?)));
        match braces {
            None => done.push(next),
            Some((start, end)) => open.extend(
                next[start + 1..end].split(',').map(|choice| format!("{}{choice}{}", &next[..start], &next[end + 1..])),
            ),
        }
        if done.len() + open.len() > ALTERNATIVES_MAX {
            let message = format!("'{pattern}' stands for more than {ALTERNATIVES_MAX} patterns");
            return Err(Error::new(Kind::WrongArguments, message));
        }
    }
    Ok(done)
}

/// Matches names one by one; `**` takes any number of them. `reachable[n]`: the pattern so far takes the first n names.
fn path_matches(pattern: &[&str], names: &[&str]) -> bool {
    let mut reachable = vec![false; names.len() + 1];
    reachable[0] = true;
    for part in pattern {
        let mut next = vec![false; names.len() + 1];
        for taken in 0..=names.len() {
            next[taken] = match *part {
                "**" => reachable[taken] || (taken > 0 && next[taken - 1]),
                _ => taken > 0 && reachable[taken - 1] && name_matches(part, names[taken - 1]),
            };
        }
        reachable = next;
    }
    reachable[names.len()]
}

/// One name against a pattern with `*`, `?` and `[…]`. A leading dot has to be written out, as in a shell.
fn name_matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when a match fails: behind the last star, which takes one character more.
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        if let Some(length) = matches_one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
            continue;
        }
        match retry {
            Some((after_star, taken)) => {
                retry = Some((after_star, taken + 1));
                (p, n) = (after_star, taken + 1);
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// How many characters of the pattern the first part is, if it matches `c`.
fn matches_one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => {
            let negated = matches!(pattern.get(1), Some('!' | '^'));
            let first = if negated { 2 } else { 1 };
            // A bracket right behind the opening one is a member of the set.
            let Some(length) = pattern.iter().skip(first + 1).position(|&c| c == ']') else {
                return (c == '[').then_some(1);
            };
            let end = first + 1 + length;
            (in_set(&pattern[first..end], c) != negated).then_some(end + 1)
        }
        &other => (other == c).then_some(1),
    }
}

fn in_set(mut set: &[char], c: char) -> bool {
    loop {
        set = match set {
            [low, '-', high, rest @ ..] => {
                if (*low..=*high).contains(&c) {
                    return true;
                }
                rest
            }
            [one, rest @ ..] => {
                if *one == c {
                    return true;
                }
                rest
            }
            [] => return false,
        }
    }
}
