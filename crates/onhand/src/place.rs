//! Where backups are kept: a folder, or an S3-compatible store.
//!
//! What is there under a name is whole: a file gets its name, and an object is there, once all of it is.
//!
//! Of a store the usual variables of the environment are heeded, `AWS_ENDPOINT_URL` among them
//! (<https://docs.rs/object_store/0.13.2/object_store/aws/struct.AmazonS3Builder.html#method.from_env>).

use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::path::Path as Key;
use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt as _, RetryConfig};

/// An object goes and comes in parts of at least so many bytes.
const PART: u64 = 8 << 20;
/// More parts than that no object has: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>.
const MOST_PARTS: u64 = 10_000;
/// How long one part may take, and how long a request that fails is tried again.
const PART_TIMEOUT: Duration = Duration::from_mins(5);
const RETRY_TIMEOUT: Duration = Duration::from_mins(1);

/// A place as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder, or a file.
    Local(PathBuf),
    /// `s3://BUCKET/KEY`, where the key may be only the beginning of keys.
    Remote {
        /// The bucket.
        bucket: String,
        /// The key, without a slash at its ends.
        key: String,
    },
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text.split_once("://") {
                Some((scheme, _)) => Err(format!(
                    "nothing can be kept at {scheme}://: it must be a folder, or s3://BUCKET/PREFIX"
                )),
                None => Ok(Self::Local(PathBuf::from(text))),
            };
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("it names no bucket: it must be s3://BUCKET/PREFIX".to_owned());
        }
        let key = key.trim_matches('/');
        Key::parse(key).map_err(|error| format!("`{key}` is no key of an object: {error}"))?;
        Ok(Self::Remote { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => path.display().fmt(f),
            Self::Remote { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

impl Place {
    /// A file in it.
    pub(crate) fn of(&self, name: &str) -> Self {
        match self {
            Self::Local(folder) => Self::Local(folder.join(name)),
            Self::Remote { bucket, key } if key.is_empty() => {
                Self::Remote { bucket: bucket.clone(), key: name.to_owned() }
            }
            Self::Remote { bucket, key } => {
                Self::Remote { bucket: bucket.clone(), key: format!("{key}/{name}") }
            }
        }
    }

    /// The names of what is in it, in order.
    pub(crate) async fn names(&self) -> anyhow::Result<Vec<String>> {
        let mut names = match self {
            Self::Local(folder) => {
                let read = || -> std::io::Result<Vec<String>> {
                    let entries = std::fs::read_dir(folder)?;
                    let names = entries.map(|entry| Ok(entry?.file_name().into_string().ok()));
                    Ok(names.collect::<std::io::Result<Vec<_>>>()?.into_iter().flatten().collect())
                };
                read().with_context(|| format!("cannot read {self}"))?
            }
            Self::Remote { bucket, key } => {
                let found = store(bucket)?.list_with_delimiter(Some(&Key::from(key.as_str()))).await;
                let found = found.map_err(|error| told(self, &error))?;
                let names = found.objects.into_iter().map(|object| object.location);
                names.filter_map(|location| Some(location.filename()?.to_owned())).collect()
            }
        };
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a file.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        match self {
            Self::Local(path) => std::fs::remove_file(path).with_context(|| format!("cannot remove {self}")),
            Self::Remote { bucket, key } => {
                let removed = store(bucket)?.delete(&Key::from(key.as_str())).await;
                removed.map_err(|error| told(self, &error))
            }
        }
    }

    /// Fails where a store does not let us in, or a folder is not there: before there is work done.
    pub(crate) async fn must_be_usable(&self) -> anyhow::Result<()> {
        match self {
            Self::Local(folder) if !folder.is_dir() => {
                bail!("there is no folder {self}; make it, or name another")
            }
            Self::Local(_) => Ok(()),
            Self::Remote { .. } => self.names().await.map(drop),
        }
    }

    /// Sends a file to a store, and makes sure that it is all there.
    pub(crate) async fn upload(&self, file: &Path, progress: &mut dyn FnMut(u64)) -> anyhow::Result<()> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let Self::Remote { bucket, key } = self else { bail!("{self} is in no store") };
        let (store, key) = (store(bucket)?, Key::from(key.as_str()));
        let mut from = tokio::fs::File::open(file).await?;
        let size = from.metadata().await?.len();
        let part = usize::try_from(PART.max(size.div_ceil(MOST_PARTS)))?;
        let mut to = BufWriter::with_capacity(store.clone(), key.clone(), part).with_max_concurrency(2);
        let mut bytes = vec![0; 1 << 20];
        let mut sent = 0;
        let written = async {
            loop {
                let read = from.read(&mut bytes).await?;
                if read == 0 {
                    return to.shutdown().await;
                }
                to.write_all(&bytes[..read]).await?;
                sent += read as u64;
                progress(sent);
            }
        };
        if let Err(error) = written.await {
            // Parts of what is not whole would be kept, and paid for.
            let _ = to.abort().await;
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            return Err(inner.map_or_else(|| anyhow::anyhow!("{self}: {error}"), |inner| told(self, inner)));
        }
        let there = store.head(&key).await.map_err(|error| told(self, &error))?;
        if there.size != size {
            bail!("{self} has {} bytes there, and {size} were sent", there.size);
        }
        Ok(())
    }

    /// Fetches a file from a store.
    pub(crate) async fn download(
        &self,
        to: &mut File,
        progress: &mut dyn FnMut(u64, u64),
    ) -> anyhow::Result<()> {
        let Self::Remote { bucket, key } = self else { bail!("{self} is in no store") };
        let (store, key) = (store(bucket)?, Key::from(key.as_str()));
        let size = store.head(&key).await.map_err(|error| told(self, &error))?.size;
        let mut at = 0;
        while at < size {
            let until = size.min(at + PART);
            let bytes = store.get_range(&key, at..until).await.map_err(|error| told(self, &error))?;
            to.write_all(&bytes)?;
            at += bytes.len() as u64;
            progress(at, size);
        }
        Ok(())
    }
}

/// A bucket, as the environment says how to reach it.
fn store(bucket: &str) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let endpoint = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"];
    let endpoint = endpoint.into_iter().find_map(|name| std::env::var(name).ok());
    // Whoever names an address without TLS means it.
    let in_clear = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let options = ClientOptions::new().with_timeout(PART_TIMEOUT).with_allow_http(in_clear);
    let retries = RetryConfig { max_retries: 5, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() };
    let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_client_options(options);
    let built = builder.with_retry(retries).build();
    let built = built
        .with_context(|| format!("the store of s3://{bucket} cannot be used as the environment says"))?;
    Ok(Arc::new(built))
}

/// What a store says is wrong, and what would be right.
fn told(place: &Place, error: &Error) -> anyhow::Error {
    let advice = match error {
        Error::NotFound { .. } => "it is not there, or its bucket is not",
        _ => {
            "the store does not do it: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL and the bucket"
        }
    };
    anyhow::anyhow!("{place}: {advice} ({error})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_or_a_bucket() {
        let remote =
            |bucket: &str, key: &str| Place::Remote { bucket: bucket.to_owned(), key: key.to_owned() };
        assert_eq!("backups".parse(), Ok(Place::Local(PathBuf::from("backups"))));
        assert_eq!("s3://b".parse(), Ok(remote("b", "")));
        assert_eq!("s3://b/x/y/".parse(), Ok(remote("b", "x/y")));
        assert_eq!(remote("b", "").of("n"), remote("b", "n"));
        assert_eq!(remote("b", "x").of("n").to_string(), "s3://b/x/n");
        for wrong in ["s3://", "s3:///x", "ftp://host/x", "s3://b/x//y"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
