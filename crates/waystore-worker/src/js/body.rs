//! The body of a request or response, as its object holds it: native until a script asks for more.
//!
//! A `ReadableStream` is made only when `.body` is read; one that script did not touch gives its
//! native body back whole. Spec: <https://fetch.spec.whatwg.org/#body-mixin>

use std::cell::RefCell;

use bytes::Bytes;
use futures::{StreamExt, stream};
use rquickjs::{
    Class, Coerced, Ctx, Function, JsLifetime, Object, Promise, Value,
    class::{Trace, Tracer},
};
use tokio::sync::mpsc;
use waystore::{Body, BodyError, Spooler};

use super::{
    abort,
    blob::Blob,
    exception::{Outcome, Thrown},
    form_data,
    idl::Convert,
    kit::kit,
    mime::Mime,
    streams::NativeBody,
    url_search_params::URLSearchParams,
    values::{ScriptError, bytes_of, is_bytes},
};

/// What a script may read into its memory as one piece; its heap holds no more by default.
const MAX_COLLECTED_BYTES: usize = 128 * 1024 * 1024;

/// The body of a request or response.
#[derive(Debug, Default, JsLifetime)]
pub(super) struct BodySlot<'js> {
    content: RefCell<Content<'js>>,
    /// The signal whose reason an aborted body fails with.
    signal: RefCell<Option<Object<'js>>>,
}

#[derive(Debug, Default, JsLifetime)]
enum Content<'js> {
    /// A null body, which is never used up.
    #[default]
    Null,
    /// Nobody touched it, nor asked for its stream.
    Whole(Body),
    /// Read to its end, or about to be, without a stream.
    Used,
    /// A `ReadableStream` that script holds: its own, or one that was made for `.body`.
    Stream(Object<'js>),
}

/// A body that was taken out of its object.
pub(super) struct Taken<'js> {
    pub(super) body: Option<Body>,
    signal: Option<Object<'js>>,
}

/// What a `BodyInit` gives. Spec: <https://fetch.spec.whatwg.org/#concept-bodyinit-extract>
pub(super) struct Extracted<'js> {
    pub(super) slot: BodySlot<'js>,
    pub(super) content_type: Option<String>,
    pub(super) is_stream: bool,
}

impl<'js> BodySlot<'js> {
    pub(super) fn new(body: Option<Body>) -> Self {
        let content = body.map_or(Content::Null, Content::Whole);
        Self { content: RefCell::new(content), signal: RefCell::default() }
    }

    /// The same body, which fails with the reason of `signal` when it is aborted.
    pub(super) fn aborted_by(self, signal: Option<Object<'js>>) -> Self {
        Self { signal: RefCell::new(signal), ..self }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(*self.content.borrow(), Content::Null)
    }

    /// Whether it was read from or cancelled, ever.
    pub(super) fn is_disturbed(&self) -> Outcome<'js, bool> {
        match &*self.content.borrow() {
            Content::Null | Content::Whole(_) => Ok(false),
            Content::Used => Ok(true),
            Content::Stream(stream) => ask(stream, "isDisturbed"),
        }
    }

    /// Whether it is disturbed or locked.
    pub(super) fn is_unusable(&self) -> Outcome<'js, bool> {
        let stream = match &*self.content.borrow() {
            Content::Stream(stream) => stream.clone(),
            content => return Ok(matches!(content, Content::Used)),
        };
        Ok(ask(&stream, "isDisturbed")? || ask(&stream, "isLocked")?)
    }

    /// The body's stream, or `null`; the same object each time.
    pub(super) fn stream(&self, ctx: &Ctx<'js>) -> Outcome<'js, Value<'js>> {
        let stream: Object<'js> = match self.content.replace(Content::Used) {
            Content::Null => {
                self.content.replace(Content::Null);
                return Ok(Value::new_null(ctx.clone()));
            }
            Content::Stream(stream) => stream,
            Content::Used => kit(ctx)?.function("usedStream")?.call(())?,
            Content::Whole(body) => {
                let native = Class::instance(ctx.clone(), NativeBody::new(body, self.signal.borrow().clone()))?;
                kit(ctx)?.function("streamOf")?.call((native,))?
            }
        };
        self.content.replace(Content::Stream(stream.clone()));
        Ok(stream.into_value())
    }

    /// Takes the body out: it is disturbed from now on. A null body stays one.
    ///
    /// # Errors
    ///
    /// A `TypeError` where it is disturbed or locked.
    pub(super) fn take(&self, ctx: &Ctx<'js>) -> Outcome<'js, Taken<'js>> {
        if self.is_unusable()? {
            return Err(Thrown::type_error("the body was read already, or is being read"));
        }
        let signal = self.signal.borrow().clone();
        let body = match self.content.replace(Content::Used) {
            Content::Null => {
                self.content.replace(Content::Null);
                None
            }
            Content::Whole(body) => Some(body),
            Content::Used => return Err(Thrown::type_error("the body was read already")),
            Content::Stream(stream) => {
                self.content.replace(Content::Stream(stream.clone()));
                Some(body_of_stream(ctx, &stream)?)
            }
        };
        Ok(Taken { body, signal })
    }

    /// Another slot with the same bytes; both can be read, whoever reads first.
    pub(super) fn tee(&self, ctx: &Ctx<'js>, spooler: &Spooler) -> Outcome<'js, Self> {
        let taken = self.take(ctx)?;
        let Some(body) = taken.body else { return Ok(Self::default()) };
        let (one, two) = body.tee(spooler);
        self.content.replace(Content::Whole(one));
        Ok(Self::new(Some(two)).aborted_by(taken.signal))
    }
}

impl<'js> Taken<'js> {
    /// What a failure of this body rejects with: the reason of its signal, where it was aborted.
    pub(super) fn failure(signal: Option<&Object<'js>>, thrown: Thrown<'js>) -> Thrown<'js> {
        let was_aborted = matches!(thrown, Thrown::Dom("AbortError", _));
        let reason = signal.filter(|_| was_aborted).and_then(|signal| abort::reason(signal).ok().flatten());
        reason.unwrap_or(thrown)
    }

    /// The body, and the signal for [`failure`](Self::failure).
    pub(super) fn into_parts(self) -> (Option<Body>, Option<Object<'js>>) {
        (self.body, self.signal)
    }

    /// Reads it to its end.
    async fn collect(self) -> Outcome<'js, Bytes> {
        let Some(body) = self.body else { return Ok(Bytes::new()) };
        let collected = body.collect(MAX_COLLECTED_BYTES).await;
        collected.map_err(|error| Self::failure(self.signal.as_ref(), error.into()))
    }
}

impl<'js> Trace<'js> for BodySlot<'js> {
    fn trace<'a>(&self, tracer: Tracer<'a, 'js>) {
        if let Ok(content) = self.content.try_borrow()
            && let Content::Stream(stream) = &*content
        {
            stream.trace(tracer);
        }
        if let Ok(signal) = self.signal.try_borrow() {
            signal.trace(tracer);
        }
    }
}

/// Makes a body of what script gave.
///
/// Spec: <https://fetch.spec.whatwg.org/#concept-bodyinit-extract>
pub(super) fn extract<'js>(init: &Value<'js>) -> Outcome<'js, Extracted<'js>> {
    let of_bytes = |bytes: Bytes, content_type: Option<String>| Extracted {
        slot: BodySlot::new(Some(bytes.into())),
        content_type,
        is_stream: false,
    };
    if let Some(object) = init.as_object() {
        if ask(object, "isStream")? {
            if ask(object, "isDisturbed")? || ask(object, "isLocked")? {
                return Err(Thrown::type_error("the stream was read already, or is being read"));
            }
            let slot = BodySlot { content: RefCell::new(Content::Stream(object.clone())), signal: RefCell::default() };
            return Ok(Extracted { slot, content_type: None, is_stream: true });
        }
        if is_bytes(init)? {
            return Ok(of_bytes(bytes_of(init)?, None));
        }
        if let Some(blob) = object.as_class::<Blob>() {
            let blob = blob.borrow();
            return Ok(of_bytes(blob.bytes().clone(), blob.content_type()));
        }
        if let Some(params) = object.as_class::<URLSearchParams>() {
            let kind = "application/x-www-form-urlencoded;charset=UTF-8".to_owned();
            return Ok(of_bytes(params.borrow().to_text().into(), Some(kind)));
        }
    }
    if let Some(form) = form_data::encoded(init)? {
        return Ok(of_bytes(form.bytes, Some(form.content_type)));
    }
    let text = init.get::<Coerced<rquickjs::String<'js>>>()?.0.into_value().to_usv_string()?;
    Ok(of_bytes(text.into(), Some("text/plain;charset=UTF-8".to_owned())))
}

/// The whole body as text: UTF-8, the byte order mark left out.
pub(super) async fn text<'js>(taken: Taken<'js>) -> Outcome<'js, String> {
    Ok(decoded(&taken.collect().await?))
}

/// The whole body as the JSON it holds.
pub(super) async fn json<'js>(ctx: Ctx<'js>, taken: Taken<'js>) -> Outcome<'js, Value<'js>> {
    let text = decoded(&taken.collect().await?);
    if text.contains('\0') {
        return Err(Thrown::Syntax("unexpected NUL in JSON".to_owned()));
    }
    Ok(ctx.json_parse(text)?)
}

/// The whole body as the form it holds; `kind` tells its type once it was read.
pub(super) async fn form<'js>(
    ctx: Ctx<'js>,
    taken: Taken<'js>,
    kind: impl FnOnce() -> Option<Mime>,
) -> Outcome<'js, Value<'js>> {
    let bytes = taken.collect().await?;
    form_data::decoded(&ctx, &bytes, kind().as_ref())
}

/// The whole body as it is.
pub(super) async fn bytes<'js>(taken: Taken<'js>) -> Outcome<'js, Vec<u8>> {
    Ok(taken.collect().await?.into())
}

fn decoded(bytes: &[u8]) -> String {
    encoding_rs::UTF_8.decode_with_bom_removal(bytes).0.into_owned()
}

/// A question the prelude answers about a stream.
fn ask<'js>(stream: &Object<'js>, question: &str) -> Outcome<'js, bool> {
    Ok(kit(stream.ctx())?.function(question)?.call((stream.clone(),))?)
}

/// The native body behind a stream: the one it was made for, or one that is read from script.
fn body_of_stream<'js>(ctx: &Ctx<'js>, stream: &Object<'js>) -> Outcome<'js, Body> {
    let native: Value<'js> = kit(ctx)?.function("takeNative")?.call((stream.clone(),))?;
    if let Ok(native) = Class::<NativeBody<'js>>::from_value(&native) {
        return Ok(native.borrow().take().unwrap_or_default());
    }
    let drain: Object<'js> = kit(ctx)?.function("drain")?.call((stream.clone(),))?;
    let (read, cancel): (Function<'js>, Function<'js>) = (drain.get("read")?, drain.get("cancel")?);
    // One chunk is on its way at a time: the stream is pulled as fast as the body is read.
    let (sender, receiver) = mpsc::channel(1);
    let ctx_later = ctx.clone();
    ctx.spawn(async move {
        if pump(&read, &sender).await == Pumped::Unwanted && cancel.call::<_, ()>(()).is_err() {
            ctx_later.catch();
        }
    });
    let chunks =
        stream::unfold(receiver, |mut receiver: mpsc::Receiver<Result<Option<Bytes>, BodyError>>| async move {
            let stopped = || Err(BodyError::failed("the worker was stopped"));
            match receiver.recv().await.unwrap_or_else(stopped) {
                Ok(Some(chunk)) => Some((Ok(chunk), receiver)),
                Ok(None) => None,
                Err(error) => {
                    receiver.close();
                    Some((Err(error), receiver))
                }
            }
        });
    Ok(Body::from_stream(FusedOnError(Some(chunks.boxed())), None))
}

#[derive(PartialEq)]
enum Pumped {
    /// To the stream's end, or its error.
    All,
    /// Whoever read the body let it go.
    Unwanted,
}

/// Moves chunks from script to `sender`, one at a time, until there are none or nobody wants them.
async fn pump<'js>(read: &Function<'js>, sender: &mpsc::Sender<Result<Option<Bytes>, BodyError>>) -> Pumped {
    loop {
        let Ok(permit) = sender.reserve().await else { return Pumped::Unwanted };
        let chunk = tokio::select! {
            biased;
            () = sender.closed() => return Pumped::Unwanted,
            chunk = next_chunk(read) => chunk,
        };
        let more = matches!(chunk, Ok(Some(_)));
        permit.send(chunk.map_err(|thrown| failed(read.ctx(), thrown)));
        if !more {
            return Pumped::All;
        }
    }
}

async fn next_chunk<'js>(read: &Function<'js>) -> Outcome<'js, Option<Bytes>> {
    let promise: Promise<'js> = read.call(())?;
    let chunk: Value<'js> = promise.into_future().await?;
    if chunk.is_null() { Ok(None) } else { Ok(Some(bytes_of(&chunk)?)) }
}

/// The error of a body that fails with what script threw.
fn failed<'js>(ctx: &Ctx<'js>, thrown: Thrown<'js>) -> BodyError {
    match ScriptError::keep(&thrown.into_value(ctx)) {
        Ok(kept) => BodyError::failed(kept),
        Err(_) => {
            ctx.catch();
            BodyError::failed("the script's stream failed")
        }
    }
}

/// A stream that ends with its first error.
struct FusedOnError(Option<stream::BoxStream<'static, Result<Bytes, BodyError>>>);

impl futures::Stream for FusedOnError {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let Some(inner) = &mut self.0 else { return std::task::Poll::Ready(None) };
        let item = std::task::ready!(inner.poll_next_unpin(cx));
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        std::task::Poll::Ready(item)
    }
}
