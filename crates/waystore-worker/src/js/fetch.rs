//! `fetch()`: a request out of script, to the host's network, and its response back.
//!
//! Knows no HTTP. Spec: <https://fetch.spec.whatwg.org/#fetch-method>

mod data_url;
mod integrity;
mod scheme;

use std::future::Future;

use futures::{StreamExt, stream};
use rquickjs::{Class, Ctx, Object};
use waystore::{AbortSignal, Body, BodyError, Fetch, FetchError, ResponseType};

pub(super) use self::scheme::ScriptFetch;

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, global_promise},
    realm::realm,
    request,
    response::{Response, new_response},
};

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    global_promise(ctx, "fetch", 1, fetch)
}

fn fetch<'js>(
    arguments: &Arguments<'js>,
) -> Outcome<'js, impl Future<Output = Outcome<'js, Class<'js, Response<'js>>>> + use<'js>> {
    let ctx = arguments.ctx().clone();
    let network = ScriptFetch::of(&*realm(&ctx)?);
    let request = request::construct(&ctx, &arguments.get(0), &arguments.get(1))?;
    if let Some(reason) = request.abort_reason()? {
        return Err(reason);
    }
    let reason_in = request.signal_object();
    let request = request.to_native(&ctx, true)?;
    Ok(async move {
        let signal = request.signal.clone();
        let fetched = unless_aborted(signal.as_ref(), network.fetch(request)).await;
        let mut response = fetched.map_err(|error| failure(error, reason_in.as_ref()))?;
        if response.kind == ResponseType::Error {
            return Err(Thrown::type_error("the network failed"));
        }
        if let Some(signal) = signal {
            response.body = response.body.map(|body| ended_by(signal, body));
        }
        new_response(&ctx, response, reason_in)
    })
}

async fn unless_aborted<T>(
    signal: Option<&AbortSignal>,
    work: impl Future<Output = Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let Some(signal) = signal else { return work.await };
    tokio::select! {
        biased;
        () = signal.wait() => Err(FetchError::Aborted),
        done = work => done,
    }
}

/// What the promise rejects with: the reason of the signal, where it was aborted.
fn failure<'js>(error: FetchError, signal: Option<&Object<'js>>) -> Thrown<'js> {
    match error {
        FetchError::Aborted => super::body::Taken::failure(signal, Thrown::aborted()),
        other => other.into(),
    }
}

/// The same body, which fails when `signal` is aborted.
fn ended_by(signal: AbortSignal, body: Body) -> Body {
    let length = body.length();
    let chunks = stream::unfold(Some((body, signal)), |state| async move {
        let (mut body, signal) = state?;
        tokio::select! {
            biased;
            () = signal.wait() => Some((Err(BodyError::Aborted), None)),
            chunk = body.next() => match chunk? {
                Ok(chunk) => Some((Ok(chunk), Some((body, signal)))),
                Err(error) => Some((Err(error), None)),
            },
        }
    });
    Body::from_stream(chunks, length)
}
