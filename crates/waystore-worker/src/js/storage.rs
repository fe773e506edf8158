//! `navigator.storage` and `navigator.storageBuckets`: what the origin uses, and its named buckets.
//!
//! Spec: <https://storage.spec.whatwg.org/#storagemanager>, <https://wicg.github.io/storage-buckets/>

use rquickjs::{
    Class, Ctx, JsLifetime, Object, Value,
    class::{Trace, Tracer},
};
use waystore::{BucketOptions, Error, Estimate, is_bucket_name};

use super::{
    cache_storage::CacheStorage,
    exception::{Outcome, Thrown},
    idl::{Call, Convert, DomString, Interface, interface},
    kit::kit,
    realm::realm,
};

/// The origin's storage as a whole.
#[derive(Debug, JsLifetime)]
struct StorageManager(waystore::CacheStorage);

interface!(StorageManager);

/// The origin's named buckets.
#[derive(Debug, JsLifetime)]
struct StorageBucketManager(waystore::CacheStorage);

interface!(StorageBucketManager);

/// One of them.
#[derive(JsLifetime)]
struct StorageBucket<'js> {
    bucket: waystore::StorageBucket,
    caches: Class<'js, CacheStorage>,
}

interface!(StorageBucket<'js>);

impl<'js> Trace<'js> for StorageBucket<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        self.caches.trace(tracer);
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let realm = realm(ctx)?;
    // Only windows ask for persistence, and so only what stands for one.
    let may_ask = realm.persistence.is_some();
    let manager = Interface::<StorageManager>::illegal(ctx)?;
    manager.promise("persisted", 0, |call| {
        let caches = call.this.borrow().0.clone();
        // Whatever keeps that from being known: it is not known to be kept.
        Ok(async move { Ok(caches.is_persistent().await.unwrap_or(false)) })
    })?;
    if may_ask {
        manager.promise("persist", 0, |call| {
            let (caches, granted) = (call.this.borrow().0.clone(), is_granted(call.ctx())?);
            Ok(async move {
                if granted && !caches.is_persistent().await? {
                    caches.set_persistent(true).await?;
                }
                Ok(caches.is_persistent().await?)
            })
        })?;
    }
    manager.promise("estimate", 0, |call| {
        let (ctx, caches) = (call.ctx().clone(), call.this.borrow().0.clone());
        Ok(async move {
            let known = caches.estimate().await.map_err(|error| Thrown::Type(error.to_string()))?;
            estimate(&ctx, known)
        })
    })?;
    install_manager(ctx)?;
    install_bucket(ctx, may_ask)?;
    let kit = kit(ctx)?;
    let storage = Class::instance(ctx.clone(), StorageManager(realm.caches.clone()))?;
    let buckets = Class::instance(ctx.clone(), StorageBucketManager(realm.caches.clone()))?;
    kit.set("storage", storage.into_value())?;
    kit.set("storageBuckets", buckets.into_value())
}

fn install_manager(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Interface::<StorageBucketManager>::illegal(ctx)?
        .promise("open", 1, |call| {
            let (ctx, caches) = (call.ctx().clone(), call.this.borrow().0.clone());
            let name = call.arguments.get(0).to_dom_string()?;
            let mut options = options(call)?;
            options.persisted &= is_granted(&ctx)?;
            Ok(async move {
                let name = bucket_name(name).ok_or_else(|| Thrown::type_error("that is not the name of a bucket"))?;
                let bucket = caches.buckets().open(&name, options).await?;
                let caches = Class::instance(ctx.clone(), CacheStorage(bucket.caches()))?;
                Ok(Class::instance(ctx, StorageBucket { bucket, caches })?)
            })
        })?
        .promise("keys", 0, |call| {
            let caches = call.this.borrow().0.clone();
            Ok(async move { Ok(caches.buckets().keys().await?) })
        })?
        .promise("delete", 1, |call| {
            let caches = call.this.borrow().0.clone();
            let name = call.arguments.get(0).to_dom_string()?;
            Ok(async move {
                let invalid = || Thrown::Dom("InvalidCharacterError", "that is not the name of a bucket".to_owned());
                let name = bucket_name(name).ok_or_else(invalid)?;
                caches.buckets().delete(&name).await?;
                Ok(())
            })
        })?;
    Ok(())
}

fn install_bucket(ctx: &Ctx<'_>, may_ask: bool) -> rquickjs::Result<()> {
    let interface = Interface::<StorageBucket<'_>>::illegal(ctx)?;
    interface.attribute("name", |call| Ok(call.this.borrow().bucket.name().to_owned()))?;
    if may_ask {
        interface.promise("persist", 0, |call| {
            let (bucket, granted) = (bucket(call), is_granted(call.ctx())?);
            Ok(async move {
                if granted {
                    bucket.persist().await.map_err(removed)?;
                }
                bucket.persisted().await.map_err(removed)
            })
        })?;
    }
    interface
        .promise("persisted", 0, |call| {
            let bucket = bucket(call);
            Ok(async move { bucket.persisted().await.map_err(removed) })
        })?
        .promise("estimate", 0, |call| {
            let (ctx, bucket) = (call.ctx().clone(), bucket(call));
            Ok(async move { estimate(&ctx, bucket.estimate().await.map_err(removed)?) })
        })?
        .promise("setExpires", 1, |call| {
            let (bucket, expires) = (bucket(call), time(&call.arguments.get(0))?);
            Ok(async move { bucket.set_expires_ms(expires).await.map_err(removed) })
        })?
        .promise("expires", 0, |call| {
            let (ctx, bucket) = (call.ctx().clone(), bucket(call));
            Ok(async move {
                let expires = bucket.expires_ms().await.map_err(removed)?;
                let value = expires.map(|expires| Value::new_float(ctx.clone(), expires as f64));
                Ok(value.unwrap_or_else(|| Value::new_null(ctx)))
            })
        })?
        .attribute("caches", |call| Ok(call.this.borrow().caches.clone()))?;
    Ok(())
}

fn bucket<'js>(call: &Call<'js, StorageBucket<'js>>) -> waystore::StorageBucket {
    call.this.borrow().bucket.clone()
}

/// What a bucket's own operations reject with.
fn removed<'js>(error: Error) -> Thrown<'js> {
    match error {
        Error::BucketRemoved { .. } => Thrown::Dom("InvalidStateError", error.to_string()),
        other => other.into(),
    }
}

fn bucket_name(name: DomString) -> Option<String> {
    Some(name.into_usv()).filter(|name| is_bucket_name(name))
}

/// Whether persistence is granted to who asks; `persisted: true` of a worker's bucket counts as asking.
fn is_granted(ctx: &Ctx<'_>) -> rquickjs::Result<bool> {
    Ok(realm(ctx)?.persistence.unwrap_or_default())
}

fn options<'js>(call: &Call<'js, StorageBucketManager>) -> Outcome<'js, BucketOptions> {
    let given = call.arguments.get(1).to_dictionary("options")?;
    let expires_ms = given.member("expires")?.filter(|value| !value.is_null());
    let expires_ms = expires_ms.map(|value| time(&value)).transpose()?;
    let persisted = given.boolean("persisted")?;
    let quota_bytes = given.member("quota")?.filter(|value| !value.is_null());
    let quota_bytes = quota_bytes.map(|value| whole(&value, "quota")).transpose()?;
    Ok(BucketOptions { persisted, quota_bytes, expires_ms })
}

/// Milliseconds since 1970.
fn time<'js>(value: &Value<'js>) -> Outcome<'js, u64> {
    let time = value.to_double()?;
    if time.is_finite() { Ok(time.max(0.0) as u64) } else { Err(Thrown::type_error("a time is a finite number")) }
}

/// Spec: <https://webidl.spec.whatwg.org/#EnforceRange>
fn whole<'js>(value: &Value<'js>, what: &str) -> Outcome<'js, u64> {
    const MOST: f64 = 9_007_199_254_740_991.0;
    let number = value.to_double()?.trunc();
    if (0.0..=MOST).contains(&number) {
        Ok(number as u64)
    } else {
        Err(Thrown::Type(format!("`{what}` is out of range")))
    }
}

fn estimate<'js>(ctx: &Ctx<'js>, known: Estimate) -> Outcome<'js, Object<'js>> {
    let estimate = Object::new(ctx.clone())?;
    estimate.set("quota", known.quota_bytes as f64)?;
    estimate.set("usage", known.usage_bytes as f64)?;
    Ok(estimate)
}
