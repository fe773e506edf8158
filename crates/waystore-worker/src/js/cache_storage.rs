//! `CacheStorage` and the global's `caches`. Spec: <https://w3c.github.io/ServiceWorker/#cachestorage-interface>

use std::future::Future;

use rquickjs::{Class, Ctx, JsLifetime};
use waystore::{CacheName, MultiCacheQueryOptions};

use super::{
    cache::{Asked, Cache, query_options},
    exception::Outcome,
    idl::{Call, Convert, DomString, Interface, interface},
    kit::kit,
    realm::realm,
    response::{Response, new_response},
};

/// The named caches of the script's origin.
#[derive(Debug, JsLifetime)]
pub(crate) struct CacheStorage(pub(super) waystore::CacheStorage);

interface!(CacheStorage);

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Interface::<CacheStorage>::illegal(ctx)?
        .promise("match", 1, match_)?
        .promise("has", 1, |call| {
            let (caches, name) = (storage(call), name(call)?);
            Ok(async move { Ok(caches.has(name).await?) })
        })?
        .promise("open", 1, |call| {
            let (ctx, caches, name) = (call.ctx().clone(), storage(call), name(call)?);
            Ok(async move { Ok(Class::instance(ctx, Cache(caches.open(name).await?))?) })
        })?
        .promise("delete", 1, |call| {
            let (caches, name) = (storage(call), name(call)?);
            Ok(async move { Ok(caches.delete(name).await?) })
        })?
        .promise("keys", 0, |call| {
            let caches = storage(call);
            Ok(async move { Ok(caches.keys().await?.iter().map(DomString::from).collect::<Vec<_>>()) })
        })?;
    let caches = Class::instance(ctx.clone(), CacheStorage(realm(ctx)?.caches.clone()))?;
    kit(ctx)?.function("globalAttribute")?.call(("caches", caches))
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-storage-match>
fn match_<'js>(
    call: &Call<'js, CacheStorage>,
) -> Outcome<'js, impl Future<Output = Outcome<'js, Option<Class<'js, Response<'js>>>>> + use<'js>> {
    let request = Asked::of(&call.arguments.get(0))?;
    let given = call.arguments.get(1).to_dictionary("options")?;
    let query = query_options(&given)?;
    let cache_name = given.member("cacheName")?.map(|name| name.to_dom_string()).transpose()?.map(CacheName::from);
    let (ctx, caches) = (call.ctx().clone(), storage(call));
    Ok(async move {
        let found = caches.match_(request.info(), MultiCacheQueryOptions { query, cache_name }).await?;
        found.map(|response| new_response(&ctx, response, None)).transpose()
    })
}

fn storage(call: &Call<'_, CacheStorage>) -> waystore::CacheStorage {
    call.this.borrow().0.clone()
}

fn name<'js>(call: &Call<'js, CacheStorage>) -> Outcome<'js, CacheName> {
    Ok(call.arguments.get(0).to_dom_string()?.into())
}
