//! Which files people may name in SQL: folders and URL prefixes from `allow_path`. Nothing is allowed by default.

use std::path::PathBuf;

use ::object_store::path::Path;
use url::{Position, Url};

use super::{ObjectStores, resolve};
use crate::error::{Error, Kind, Result};

/// The folders and URL prefixes that `read_parquet`, `read_csv`, `read_json` and `LOCATION` may reach.
#[derive(Debug, Clone, Default)]
pub struct AllowedPaths {
    allowed: Vec<Place>,
    refused: Vec<Place>,
}

/// A folder or object prefix; everything below it belongs to it.
#[derive(Debug, Clone)]
enum Place {
    /// Followed through links at each check: a folder may be mounted or linked later.
    Folder(PathBuf),
    /// Scheme and authority, and the path's parts.
    Prefix { store: String, path: Path },
}

impl AllowedPaths {
    /// Reads `allow_path`: each entry a folder, a file, or a URL such as `s3://bucket/raw`.
    ///
    /// # Errors
    /// `Configuration` naming an entry that is neither.
    pub fn new(entries: &[String]) -> Result<AllowedPaths> {
        let mut allowed = Vec::with_capacity(entries.len());
        for entry in entries {
            let url = ObjectStores::parse_url(entry)
                .map_err(|error| Error::new(Kind::Configuration, format!("allow_path: {error}")))?;
            allowed.push(Place::of(&url)?);
        }
        Ok(AllowedPaths { allowed, refused: Vec::new() })
    }

    /// Refuses what is below `url` even where an entry allows it (the catalog holds password hashes).
    ///
    /// # Errors
    /// `Configuration` when `url` is not a place.
    pub fn except(mut self, url: &Url) -> Result<AllowedPaths> {
        self.refused.push(Place::of(url)?);
        Ok(self)
    }

    /// Passes if `url` lies in an allowed place; '..' and links cannot lead out of one. For a pattern check the pattern
    /// (its part before the first wildcard is what counts) and then each file it found.
    ///
    /// # Errors
    /// `FileNotAllowed` naming the path and the setting.
    pub fn check(&self, url: &Url) -> Result<()> {
        let place = Place::of(url)?;
        let inside = |place: &Place, outer: &Place| outer.contains(place).unwrap_or(false);
        let allowed = self.allowed.iter().any(|outer| inside(&place, outer));
        if allowed && !self.refused.iter().any(|outer| inside(&place, outer)) {
            return Ok(());
        }
        let name = place.name(url);
        let advice = if allowed {
            "it is the server's own".to_owned()
        } else {
            "start the server with --allow-path and a folder or URL that holds it".to_owned()
        };
        Err(Error::new(Kind::FileNotAllowed, format!("reading '{name}' is not allowed; {advice}")))
    }
}

impl Place {
    fn of(url: &Url) -> Result<Place> {
        let bad = |why: &str| Error::new(Kind::Configuration, format!("location '{url}': {why}"));
        if url.scheme() == "file" {
            return Ok(Place::Folder(url.to_file_path().map_err(|()| bad("is not a path"))?));
        }
        let path = Path::from_url_path(url.path()).map_err(|error| bad(&error.to_string()))?;
        // Azure's container stands where others have the user; a password never decides where a request goes.
        let container = match url.username() {
            "" => String::new(),
            container => format!("{container}@"),
        };
        let scheme = match url.scheme() {
            "s3a" => "s3",
            "azure" | "abfs" | "abfss" | "adl" => "az",
            scheme => scheme,
        };
        let store = format!("{scheme}://{container}{}", &url[Position::BeforeHost..Position::AfterPort]);
        Ok(Place::Prefix { store, path })
    }

    /// Whether `inner` lies in this place, links followed on both sides.
    fn contains(&self, inner: &Place) -> std::io::Result<bool> {
        Ok(match (self, inner) {
            (Place::Folder(outer), Place::Folder(inner)) => resolve(inner)?.starts_with(resolve(outer)?),
            (Place::Prefix { store, path }, Place::Prefix { store: inner_store, path: inner_path }) => {
                store == inner_store && inner_path.prefix_matches(path)
            }
            _ => false,
        })
    }

    /// As a person would write it; without passwords.
    fn name(&self, url: &Url) -> String {
        match self {
            Place::Folder(path) => path.display().to_string(),
            Place::Prefix { store, .. } => format!("{store}{}", url.path()),
        }
    }
}
