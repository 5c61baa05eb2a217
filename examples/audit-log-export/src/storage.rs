//! Where finished exports are kept: a folder, or a bucket.

use std::{fs, path::Path as FilePath, sync::Arc};

use anyhow::Context;
use ergate::JobId;
use object_store::{
    GetResult, ObjectStore, ObjectStoreExt, buffered::BufWriter, local::LocalFileSystem, path::Path,
};
use tokio::io::AsyncWriteExt;

/// A handle on the storage: cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
}

/// A file on its way. Nobody sees it before [`finish`](Self::finish), which puts it in the place of an older one.
#[derive(Debug)]
pub(crate) struct Upload {
    writer: BufWriter,
    bytes: u64,
}

impl Storage {
    /// Opens `s3://bucket/prefix`, with the credentials of the usual `AWS_…` variables, or else a folder.
    pub(crate) fn open(place: &str) -> anyhow::Result<Self> {
        match place.split_once("://") {
            None => Self::folder(FilePath::new(place)),
            Some(("s3", _)) => Self::bucket(place),
            Some((scheme, _)) => {
                anyhow::bail!("storage {place}: {scheme} is not known; name a folder or s3://bucket/prefix")
            }
        }
    }

    fn folder(folder: &FilePath) -> anyhow::Result<Self> {
        let store = fs::create_dir_all(folder)
            .map_err(anyhow::Error::from)
            .and_then(|()| Ok(LocalFileSystem::new_with_prefix(folder)?))
            .with_context(|| format!("storage in the folder {}", folder.display()))?;
        Ok(Self { store: Arc::new(store) })
    }

    #[cfg(feature = "s3")]
    fn bucket(url: &str) -> anyhow::Result<Self> {
        let (_, rest) = url.split_once("://").unwrap_or_default();
        let (_, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let bucket = object_store::aws::AmazonS3Builder::from_env()
            .with_url(url)
            .build()
            .with_context(|| format!("storage in the bucket {url}"))?;
        let store = object_store::prefix::PrefixStore::new(bucket, Path::from(prefix));
        Ok(Self { store: Arc::new(store) })
    }

    #[cfg(not(feature = "s3"))]
    fn bucket(url: &str) -> anyhow::Result<Self> {
        anyhow::bail!("storage {url}: this program was built without the feature `s3`")
    }

    #[cfg(test)]
    pub(crate) fn in_memory() -> Self {
        Self { store: Arc::new(object_store::memory::InMemory::new()) }
    }

    /// Begins the file of an export. A rerun writes to the same place.
    pub(crate) fn upload(&self, id: &JobId) -> Upload {
        Upload { writer: BufWriter::new(Arc::clone(&self.store), place(id.as_str())), bytes: 0 }
    }

    /// The file of an export; `None` if there is none.
    pub(crate) async fn download(&self, id: &str) -> anyhow::Result<Option<GetResult>> {
        match self.store.get(&place(id)).await {
            Ok(found) => Ok(Some(found)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading the file of export {id}")),
        }
    }
}

impl Upload {
    /// Adds to it; what is over 10 MiB leaves for the storage while the rest is still being made.
    pub(crate) async fn write(&mut self, bytes: Vec<u8>) -> anyhow::Result<()> {
        self.bytes += bytes.len() as u64;
        self.writer.put(bytes.into()).await.context("storing the file")
    }

    /// Puts it in its place, and says how many bytes it has.
    pub(crate) async fn finish(mut self) -> anyhow::Result<u64> {
        self.writer.shutdown().await.context("storing the file")?;
        Ok(self.bytes)
    }
}

fn place(id: &str) -> Path {
    Path::from(format!("exports/{id}.csv"))
}
