//! Who owns data, and which of the owner's things it is: storage key, bucket, bottle.
//!
//! Spec: <https://storage.spec.whatwg.org/#model>

use std::{fmt, sync::Arc};

use url::{Origin, Url};

use crate::{Error, Result};

/// Who owns storage: an origin, and the partition it is embedded in where there is one.
///
/// ```
/// use waystore::StorageKey;
///
/// let key = StorageKey::new("https://shop.example")?;
/// assert_eq!(key, StorageKey::new("HTTPS://shop.example:443/any/path")?);
/// assert_ne!(key, StorageKey::new("http://shop.example")?);
/// assert!(StorageKey::new("data:text/plain,x").is_err());
/// # Ok::<(), waystore::Error>(())
/// ```
///
/// Spec: <https://storage.spec.whatwg.org/#storage-key>
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageKey {
    origin: Arc<str>,
    partition: Option<Arc<str>>,
}

impl StorageKey {
    /// The key of the origin of `url`.
    ///
    /// # Errors
    ///
    /// [`Error::Security`]: `url` does not parse, or its origin is opaque.
    pub fn new(url: &str) -> Result<Self> {
        let opaque = || Error::Security { origin: url.to_owned() };
        Self::of(&Url::parse(url).map_err(|_| opaque())?)
    }

    /// The key of the origin of `url`.
    ///
    /// # Errors
    ///
    /// [`Error::Security`]: the origin is opaque.
    pub fn of(url: &Url) -> Result<Self> {
        match url.origin() {
            Origin::Opaque(_) => Err(Error::Security { origin: url.to_string() }),
            origin @ Origin::Tuple(..) => Ok(Self { origin: origin.ascii_serialization().into(), partition: None }),
        }
    }

    /// The same origin under a partition, which shares nothing with any other.
    #[must_use]
    pub fn partitioned(self, partition: &str) -> Self {
        Self { partition: Some(partition.into()), ..self }
    }

    /// The serialised origin, such as `https://shop.example`.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The partition, where there is one.
    pub fn partition(&self) -> Option<&str> {
        self.partition.as_deref()
    }

    /// The key made of parts that were stored; the origin is taken as it is.
    pub fn from_stored(origin: &str, partition: Option<&str>) -> Self {
        Self { origin: origin.into(), partition: partition.map(Into::into) }
    }
}

impl fmt::Display for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.partition {
            Some(partition) => write!(f, "{} in {partition}", self.origin),
            None => f.write_str(&self.origin),
        }
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageKey({self})")
    }
}

/// Which API's part of a bucket. Spec: <https://storage.spec.whatwg.org/#storage-bottle>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Bottle {
    /// What `CacheStorage` shows.
    Caches,
    /// Registrations of service workers: their states and scripts. Always written strictly.
    ServiceWorkerRegistrations,
}

impl Bottle {
    /// The standard's identifier.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caches => "caches",
            Self::ServiceWorkerRegistrations => "serviceWorkerRegistrations",
        }
    }
}

/// The bucket that everything is in that was not asked to be in another.
pub(crate) const DEFAULT_BUCKET: &str = "default";

/// The place names live in: one bottle of one bucket of one storage key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The owner.
    pub key: StorageKey,
    /// The bucket's name.
    pub bucket: Arc<str>,
    /// The API.
    pub bottle: Bottle,
}

impl Place {
    /// A bottle of the default bucket of `key`.
    pub fn new(key: StorageKey, bottle: Bottle) -> Self {
        Self { key, bucket: DEFAULT_BUCKET.into(), bottle }
    }
}
