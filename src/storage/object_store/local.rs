//! Folders of this machine as an object store that survives a power cut.
//!
//! `object_store`'s own `LocalFileSystem` never flushes, and its put-if-absent links a name to content that may
//! still be in memory only: after a crash the newest commit of a Delta log could be an empty file. Here a put writes
//! a staged file, flushes it, gives it its name, and flushes the folder; uploads, copies and renames are flushed
//! before they return. Reading, listing and deleting are `LocalFileSystem`'s.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};

use ::object_store::local::LocalFileSystem;
use ::object_store::path::Path;
use ::object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use url::Url;

use crate::error::{Error, Kind};

/// Folders above a new file that are flushed even if they were there before: another writer may have made them a moment
/// ago and not flushed them yet. Three reach from a day's file to the folder of the table.
const FOLDERS_FLUSHED_MIN: usize = 3;
/// Tries to find an unused name for a staged file; names are random, so one is enough.
const STAGED_NAMES_TRIED_MAX: usize = 8;

/// The whole file system as one durable object store; paths are absolute.
#[derive(Debug, Default)]
pub struct LocalFolder {
    inner: LocalFileSystem,
}

/// Deletes a folder of a file URL with all it holds; a folder that is not there is no error.
///
/// # Errors
/// `Io` naming the folder.
pub async fn remove_folder(url: &Url) -> crate::error::Result<()> {
    let path = url.to_file_path().map_err(|()| Error::internal(format!("'{url}' is not a folder")))?;
    let name = path.display().to_string();
    let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(&path)).await;
    match removed.map_err(std::io::Error::from).and_then(|result| result) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::new(Kind::Io, format!("deleting folder '{name}': {error}")).with_source(error)),
    }
}

impl fmt::Display for LocalFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalFolder")
    }
}

#[async_trait]
impl ObjectStore for LocalFolder {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if matches!(opts.mode, PutMode::Update(_)) || !opts.attributes.is_empty() {
            // Refused there, with the right error.
            return self.inner.put_opts(location, payload, opts).await;
        }
        let path = self.inner.path_to_filesystem(location)?;
        let create = opts.mode == PutMode::Create;
        blocking(move || put(&path, &payload, create)).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let existing = existing_ancestor(&path);
        let upload = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(DurableUpload { upload, path, existing }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        // Not flushed: a deleted file that is back after a crash is garbage, not a fault.
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let path = self.inner.path_to_filesystem(to)?;
        let existing = existing_ancestor(&path);
        self.inner.copy_opts(from, to, options).await?;
        blocking(move || flush(&path, &existing)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let path = self.inner.path_to_filesystem(to)?;
        let existing = existing_ancestor(&path);
        self.inner.rename_opts(from, to, options).await?;
        blocking(move || flush(&path, &existing)).await
    }
}

/// An upload whose file is flushed before `complete` returns.
#[derive(Debug)]
struct DurableUpload {
    upload: Box<dyn MultipartUpload>,
    path: PathBuf,
    /// The deepest folder above `path` that was there before the upload.
    existing: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.upload.complete().await?;
        let (path, existing) = (self.path.clone(), self.existing.clone());
        blocking(move || flush(&path, &existing)).await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await?
}

fn failed(path: &FilePath, error: std::io::Error) -> StoreError {
    let path = path.display().to_string();
    match error.kind() {
        ErrorKind::NotFound => StoreError::NotFound { path, source: error.into() },
        ErrorKind::AlreadyExists => StoreError::AlreadyExists { path, source: error.into() },
        ErrorKind::PermissionDenied => StoreError::PermissionDenied { path, source: error.into() },
        _ => StoreError::Generic { store: "LocalFolder", source: format!("{path}: {error}").into() },
    }
}

/// Writes a whole file durably; with `create`, only if there is none of that name.
fn put(path: &FilePath, payload: &PutPayload, create: bool) -> Result<()> {
    let existing = existing_ancestor(path);
    let (mut file, staged) = stage(path)?;
    let named =
        payload.iter().try_for_each(|part| file.write_all(part)).and_then(|()| file.sync_all()).and_then(|()| {
            match create {
                // A link is made only if the name is free, and by one of several writers only.
                true => std::fs::hard_link(&staged, path),
                false => std::fs::rename(&staged, path),
            }
        });
    if create || named.is_err() {
        // What is left over of a staged file is never listed; failing to remove it harms nothing.
        let _ = std::fs::remove_file(&staged);
    }
    named.map_err(|error| failed(path, error))?;
    flush_folders(path, &existing)
}

/// A new file beside `path`, named as `LocalFileSystem` names its own staged files: `#` and digits, never listed.
fn stage(path: &FilePath) -> Result<(File, PathBuf)> {
    for _ in 0..STAGED_NAMES_TRIED_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{}", rand::random::<u64>()));
        let staged = PathBuf::from(name);
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(path);
                std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
            }
            Err(error) => return Err(failed(path, error)),
        }
    }
    Err(failed(path, std::io::Error::other("no free name for a staged file")))
}

/// Flushes a file that has its name already, and the folders that lead to it.
fn flush(path: &FilePath, existing: &FilePath) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|error| failed(path, error))?;
    flush_folders(path, existing)
}

/// Flushes the folders above `path` up to `existing`, the deepest one that was there before.
fn flush_folders(path: &FilePath, existing: &FilePath) -> Result<()> {
    for (level, folder) in path.ancestors().skip(1).enumerate() {
        if level >= FOLDERS_FLUSHED_MIN && !folder.starts_with(existing) {
            return Ok(());
        }
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            Ok(()) => {}
            // A folder of somebody else's, above ours: it was there before.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && existing.starts_with(folder) => {}
            Err(error) => return Err(failed(folder, error)),
        }
    }
    Ok(())
}

/// The deepest folder above `path` that exists.
fn existing_ancestor(path: &FilePath) -> PathBuf {
    path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(FilePath::new("/")).to_owned()
}
