//! What operations throw or reject with, and how the library's errors become it.
//!
//! Knows error types, not interfaces. Spec: <https://webidl.spec.whatwg.org/#idl-exceptions>

use rquickjs::{Coerced, Ctx, Error as EngineError, Exception, Function, Object, Value, atom::PredefinedAtom};
use waystore::{BodyError, Error, FetchError};

use super::{
    kit::kit,
    realm::{Realm, realm},
    values::{ScriptError, script_error},
};
use crate::event::{ConsoleLevel, ConsoleLine};

/// The engine cuts the messages it is given at this many bytes.
const ENGINE_MESSAGE_BYTES: usize = 255;

/// The result of a native operation.
pub(crate) type Outcome<'js, T> = Result<T, Thrown<'js>>;

/// What an operation throws, before it is a value of the engine.
#[derive(Debug)]
pub(crate) enum Thrown<'js> {
    /// Thrown by the engine or by script that was called; an exception is pending.
    Engine(EngineError),
    /// A value of the script, such as the reason of an abort.
    Value(Value<'js>),
    /// A `TypeError`.
    Type(String),
    /// A `RangeError`.
    Range(String),
    /// A `SyntaxError`.
    Syntax(String),
    /// A `DOMException` of this name.
    Dom(&'static str, String),
    /// A `QuotaExceededError`.
    Quota {
        /// Bytes, where known.
        requested: Option<u64>,
        /// Bytes, where known.
        quota: Option<u64>,
        /// In words.
        message: String,
    },
    /// What a script's stream failed with.
    Script(ScriptError),
}

impl<'js> Thrown<'js> {
    pub(crate) fn type_error(message: impl Into<String>) -> Self {
        Self::Type(message.into())
    }

    /// An `AbortError` with the message everybody uses.
    pub(crate) fn aborted() -> Self {
        Self::Dom("AbortError", "the operation was aborted".to_owned())
    }

    /// Throws it into the engine.
    pub(crate) fn throw(self, ctx: &Ctx<'js>) -> EngineError {
        match self {
            Self::Engine(error) => error,
            other => {
                let value = other.into_value(ctx);
                ctx.throw(value)
            }
        }
    }

    /// The value that is thrown.
    pub(crate) fn into_value(self, ctx: &Ctx<'js>) -> Value<'js> {
        match self {
            Self::Value(value) => value,
            Self::Script(error) => error.thrown(ctx).unwrap_or_else(|_| ctx.catch()),
            Self::Engine(EngineError::Exception) => ctx.catch(),
            Self::Engine(other) => made(ctx, Exception::throw_type, &other.to_string()),
            Self::Type(message) => made(ctx, Exception::throw_type, &message),
            Self::Range(message) => made(ctx, Exception::throw_range, &message),
            Self::Syntax(message) => made(ctx, Exception::throw_syntax, &message),
            Self::Dom(name, message) => dom_exception(ctx, name, &message),
            Self::Quota { requested, quota, message } => {
                let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
                let make = |make: Function<'js>| make.call((message.as_str(), bytes(requested), bytes(quota)));
                kit(ctx).and_then(|kit| kit.function("quotaExceeded")).and_then(make).unwrap_or_else(|_| ctx.catch())
            }
        }
    }
}

/// The error that `throw` makes, with its whole message.
fn made<'js>(ctx: &Ctx<'js>, throw: fn(&Ctx<'js>, &str) -> EngineError, message: &str) -> Value<'js> {
    let _pending = throw(ctx, message);
    let value = ctx.catch();
    if message.len() > ENGINE_MESSAGE_BYTES
        && let Some(error) = value.as_object()
    {
        let whole = error.set(PredefinedAtom::Message, message);
        debug_assert!(whole.is_ok(), "an error's message is writable");
    }
    value
}

fn dom_exception<'js>(ctx: &Ctx<'js>, name: &str, message: &str) -> Value<'js> {
    let make = |make: Function<'js>| make.call((message, name));
    let made = kit(ctx).and_then(|kit| kit.function("domException")).and_then(make);
    made.unwrap_or_else(|_| ctx.catch())
}

impl From<EngineError> for Thrown<'_> {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

impl From<Error> for Thrown<'_> {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Type { .. } | Error::Fetch { .. } => Self::Type(message),
            Error::Duplicate { .. } => Self::Dom("InvalidStateError", message),
            Error::Aborted => Self::aborted(),
            Error::QuotaExceeded { requested, quota } => Self::Quota { requested, quota, message },
            Error::Security { .. } => Self::Dom("SecurityError", message),
            Error::Body(body) => body.into(),
            _ => Self::Dom("UnknownError", message),
        }
    }
}

impl From<BodyError> for Thrown<'_> {
    fn from(error: BodyError) -> Self {
        if let Some(error) = script_error(&error) {
            return Self::Script(error);
        }
        match error {
            BodyError::Aborted => Self::aborted(),
            BodyError::Damaged(_) => Self::Dom("UnknownError", error.to_string()),
            _ => Self::Type(error.to_string()),
        }
    }
}

impl From<FetchError> for Thrown<'_> {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Aborted => Self::aborted(),
            other => Self::Type(other.to_string()),
        }
    }
}

/// What was thrown, in words: its message and, for errors, the stack.
pub(crate) fn describe<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) -> String {
    let words = match thrown.as_object() {
        Some(object) if is_error(object) => describe_error(object),
        _ => kit(ctx).and_then(|kit| kit.function("inspect")?.call::<_, String>((thrown.clone(),))),
    };
    words.unwrap_or_else(|_| {
        ctx.catch();
        format!("a value of type {}", thrown.type_name())
    })
}

fn is_error(object: &Object<'_>) -> bool {
    object.is_error()
        || object.contains_key("stack").unwrap_or(false) && object.contains_key("message").unwrap_or(false)
}

fn describe_error(error: &Object<'_>) -> rquickjs::Result<String> {
    let text = |key: &str| error.get::<_, Option<Coerced<String>>>(key).map(|text| text.map_or(String::new(), |t| t.0));
    let (name, message, stack) = (text("name")?, text("message")?, text("stack")?);
    let mut words = if message.is_empty() { name } else { format!("{name}: {message}") };
    let frames = stack.trim_end();
    if !frames.is_empty() {
        words.push('\n');
        words.push_str(frames);
    }
    Ok(words)
}

/// Reports what a callback threw and nobody caught: on the console, and to the realm.
///
/// Spec: <https://html.spec.whatwg.org/#report-an-exception>
pub(crate) fn report<'js>(ctx: &Ctx<'js>, thrown: &Value<'js>) {
    // A global that has `error` events is asked first.
    let ask = |handle: Function<'js>| handle.call::<_, bool>((thrown.clone(),));
    if kit(ctx).and_then(|kit| kit.function("handleError")).and_then(ask).unwrap_or(false) {
        return;
    }
    let words = describe(ctx, thrown);
    match realm(ctx) {
        Ok(realm) => report_words(&realm, &words),
        Err(_) => drop(ctx.catch()),
    }
}

fn report_words(realm: &Realm, words: &str) {
    (realm.console)(ConsoleLine::new(ConsoleLevel::Error, format!("Uncaught {words}")));
    (realm.uncaught)(words);
}
