//! The beginning of a file, uncompressed, to learn its columns from.

use std::sync::Arc;

use ::object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use datafusion::common::DataFusionError;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};

use crate::error::{Error, Result};

/// The first bytes of a file.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub bytes: Vec<u8>,
    /// The file ends where the sample ends.
    pub whole: bool,
}

/// At most `bytes_max` bytes from the beginning of `file`, or one chunk of the decompressor more.
///
/// # Errors
/// `Storage` when the file cannot be read or is not what its extension says.
pub async fn sample(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    compression: FileCompressionType,
    bytes_max: usize,
) -> Result<Sample> {
    let mut chunks = open(store, file, compression).await?;
    let mut bytes = Vec::new();
    while bytes.len() < bytes_max {
        match chunks.try_next().await.map_err(|error| unreadable(file, error))? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok(Sample { bytes, whole: true }),
        }
    }
    Ok(Sample { bytes, whole: false })
}

/// The content of `file`, uncompressed, in chunks.
///
/// # Errors
/// `Storage` or `FileNotFound` when it cannot be opened.
pub async fn open(
    store: &Arc<dyn ObjectStore>,
    file: &ObjectMeta,
    compression: FileCompressionType,
) -> Result<BoxStream<'static, datafusion::common::Result<bytes::Bytes>>> {
    let content = store.get(&file.location).await?.into_stream().map_err(DataFusionError::from).boxed();
    compression.convert_stream(content).map_err(Error::from)
}

/// How a file is compressed, by its extension.
pub fn compression_of(file: &ObjectMeta) -> FileCompressionType {
    match file.location.extension().map(str::to_ascii_lowercase).as_deref() {
        Some("gz" | "gzip") => FileCompressionType::GZIP,
        Some("zst" | "zstd") => FileCompressionType::ZSTD,
        Some("bz2") => FileCompressionType::BZIP2,
        Some("xz") => FileCompressionType::XZ,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}

fn unreadable(file: &ObjectMeta, error: DataFusionError) -> Error {
    let error = Error::from(error);
    Error::new(error.kind(), format!("file '{}': {error}", file.location)).with_source(error)
}
