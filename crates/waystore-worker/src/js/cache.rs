//! `Cache`: each operation converts, calls the library, converts. The rules are the library's.
//!
//! Spec: <https://w3c.github.io/ServiceWorker/#cache-interface>

use std::{future::Future, rc::Rc};

use rquickjs::{Class, Ctx, JsLifetime, Value};
use waystore::{CacheQueryOptions, RequestFilter, RequestInfo};

use super::{
    body::Taken,
    exception::{Outcome, Thrown},
    fetch::ScriptFetch,
    idl::{Call, Convert, Dictionary, Interface, frozen, interface},
    realm::realm,
    request::{Request, new_request},
    response::{Response, new_response, response_in},
};

/// A handle on one cache.
#[derive(Debug, JsLifetime)]
pub(crate) struct Cache(pub(super) waystore::Cache);

interface!(Cache);

/// What script gives as a request. Spec: <https://fetch.spec.whatwg.org/#requestinfo>
pub(super) enum Asked<'js> {
    /// Shared with the object, not copied.
    Object(Rc<waystore::Request>, Class<'js, Request<'js>>),
    /// A URL, which the library resolves.
    Text(String),
}

impl<'js> Asked<'js> {
    pub(super) fn of(value: &Value<'js>) -> Outcome<'js, Self> {
        Ok(match Class::<Request<'js>>::from_value(value) {
            Ok(object) => Self::Object(object.borrow().native(), object.clone()),
            Err(_) => Self::Text(value.to_usv_string()?),
        })
    }

    pub(super) fn info(&self) -> RequestInfo<'_> {
        match self {
            Self::Object(request, _) => (&**request).into(),
            Self::Text(url) => url.as_str().into(),
        }
    }

    /// The request with its signal, for the network.
    fn to_fetch(&self, ctx: &Ctx<'js>) -> Outcome<'js, ToFetch> {
        Ok(match self {
            Self::Object(_, object) => ToFetch::Request(Box::new(object.borrow().to_native(ctx, false)?)),
            Self::Text(url) => ToFetch::Text(url.clone()),
        })
    }
}

/// A request on its way to the network.
enum ToFetch {
    Request(Box<waystore::Request>),
    Text(String),
}

impl From<ToFetch> for RequestInfo<'_> {
    fn from(request: ToFetch) -> Self {
        match request {
            ToFetch::Request(request) => (*request).into(),
            ToFetch::Text(url) => url.into(),
        }
    }
}

/// Reads the members in the order of their names.
///
/// Spec: <https://w3c.github.io/ServiceWorker/#dictdef-cachequeryoptions>
pub(super) fn query_options<'js>(given: &Dictionary<'js>) -> Outcome<'js, CacheQueryOptions> {
    Ok(CacheQueryOptions {
        ignore_method: given.boolean("ignoreMethod")?,
        ignore_search: given.boolean("ignoreSearch")?,
        ignore_vary: given.boolean("ignoreVary")?,
    })
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    Interface::<Cache>::illegal(ctx)?
        .promise("match", 1, match_)?
        .promise("matchAll", 0, match_all)?
        .promise("add", 1, |call| add_all(call, vec![Asked::of(&call.arguments.get(0))?]))?
        .promise("addAll", 1, |call| {
            let given = call.arguments.get(0).to_sequence()?;
            let given = given.ok_or_else(|| Thrown::type_error("addAll needs a sequence of requests"))?;
            let requests = given.iter().map(Asked::of).collect::<Outcome<'_, Vec<_>>>()?;
            add_all(call, requests)
        })?
        .promise("put", 2, put)?
        .promise("delete", 1, delete)?
        .promise("keys", 0, keys)?;
    Ok(())
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-match>
fn match_<'js>(
    call: &Call<'js, Cache>,
) -> Outcome<'js, impl Future<Output = Outcome<'js, Option<Class<'js, Response<'js>>>>> + use<'js>> {
    let request = Asked::of(&call.arguments.get(0))?;
    let options = options(call, 1)?;
    let (ctx, cache) = (call.ctx().clone(), call.this.borrow().0.clone());
    Ok(async move {
        let found = cache.match_(request.info(), options).await?;
        found.map(|response| new_response(&ctx, response, None)).transpose()
    })
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-matchall>
fn match_all<'js>(call: &Call<'js, Cache>) -> Outcome<'js, impl Future<Output = Outcome<'js, Value<'js>>> + use<'js>> {
    let request = call.arguments.optional(0).map(|request| Asked::of(&request)).transpose()?;
    let options = options(call, 1)?;
    let (ctx, cache) = (call.ctx().clone(), call.this.borrow().0.clone());
    Ok(async move {
        let found = cache.match_all(filter(request.as_ref()), options).await?;
        let responses = found.into_iter().map(|response| Ok(new_response(&ctx, response, None)?.into_value()));
        Ok(frozen(&ctx, responses.collect::<Outcome<'js, _>>()?)?)
    })
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-keys>
fn keys<'js>(call: &Call<'js, Cache>) -> Outcome<'js, impl Future<Output = Outcome<'js, Value<'js>>> + use<'js>> {
    let request = call.arguments.optional(0).map(|request| Asked::of(&request)).transpose()?;
    let options = options(call, 1)?;
    let (ctx, cache) = (call.ctx().clone(), call.this.borrow().0.clone());
    Ok(async move {
        let found = cache.keys(filter(request.as_ref()), options).await?;
        let requests = found.into_iter().map(|request| Ok(new_request(&ctx, request)?));
        Ok(frozen(&ctx, requests.collect::<Outcome<'js, _>>()?)?)
    })
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-addall>
fn add_all<'js>(
    call: &Call<'js, Cache>,
    requests: Vec<Asked<'js>>,
) -> Outcome<'js, impl Future<Output = Outcome<'js, ()>> + use<'js>> {
    let network = ScriptFetch::of(&*realm(call.ctx())?);
    let to_fetch = requests.iter().map(|request| request.to_fetch(call.ctx())).collect::<Outcome<'js, Vec<_>>>()?;
    let cache = call.this.borrow().0.clone();
    Ok(async move {
        let done = cache.add_all(&network, to_fetch).await;
        // Until here: a signal that follows others lives no longer than the request that follows it.
        drop(requests);
        Ok(done?)
    })
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-put>
fn put<'js>(call: &Call<'js, Cache>) -> Outcome<'js, impl Future<Output = Outcome<'js, ()>> + use<'js>> {
    let request = Asked::of(&call.arguments.get(0))?;
    let response = response_in(&call.arguments.get(1))?;
    let cache = call.this.borrow().0.clone();
    // Checked before the body is taken: a refused response can still be read.
    cache.check_put(request.info(), &response.borrow().head())?;
    let (response, signal) = response.borrow().to_store(call.ctx())?;
    Ok(async move {
        let done = cache.put(request.info(), response).await;
        done.map_err(|error| Taken::failure(signal.as_ref(), error.into()))
    })
}

/// Spec: <https://w3c.github.io/ServiceWorker/#cache-delete>
fn delete<'js>(call: &Call<'js, Cache>) -> Outcome<'js, impl Future<Output = Outcome<'js, bool>> + use<'js>> {
    let request = Asked::of(&call.arguments.get(0))?;
    let options = options(call, 1)?;
    let cache = call.this.borrow().0.clone();
    Ok(async move { Ok(cache.delete(request.info(), options).await?) })
}

fn options<'js>(call: &Call<'js, Cache>, index: usize) -> Outcome<'js, CacheQueryOptions> {
    query_options(&call.arguments.get(index).to_dictionary("options")?)
}

fn filter<'a>(request: Option<&'a Asked<'_>>) -> RequestFilter<'a> {
    match request {
        Some(request) => request.info().into(),
        None => ().into(),
    }
}
