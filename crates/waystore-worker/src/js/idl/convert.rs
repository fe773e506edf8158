//! Conversions of single values between script and native types.
//!
//! Spec: <https://webidl.spec.whatwg.org/#js-type-mapping>

use rquickjs::{Coerced, Ctx, Function, IntoJs, Object, Value, atom::PredefinedAtom, function::This, object::Filter};
use waystore::CacheName;

use crate::js::exception::{Outcome, Thrown};

/// Of one sequence. An iterator need not end.
const MOST_ITEMS: usize = 1 << 20;

/// What a value of the script is as a value of WebIDL. Each may run script, and may throw.
pub(crate) trait Convert<'js> {
    /// A [DOMString](https://webidl.spec.whatwg.org/#js-DOMString): any UTF-16 code units.
    fn to_dom_string(&self) -> Outcome<'js, DomString>;
    /// A [USVString](https://webidl.spec.whatwg.org/#js-USVString): unpaired surrogates are U+FFFD.
    fn to_usv_string(&self) -> Outcome<'js, String>;
    /// A [ByteString](https://webidl.spec.whatwg.org/#js-ByteString): a character each byte.
    fn to_byte_string(&self) -> Outcome<'js, Vec<u8>>;
    /// Truthiness.
    fn to_boolean(&self) -> Outcome<'js, bool>;
    /// A number, which may be no number.
    fn to_double(&self) -> Outcome<'js, f64>;
    /// A [dictionary](https://webidl.spec.whatwg.org/#js-dictionary), whose members are read later.
    fn to_dictionary(&self, what: &str) -> Outcome<'js, Dictionary<'js>>;
    /// The items of an iterable, or `None` where it is not iterable.
    fn to_sequence(&self) -> Outcome<'js, Option<Vec<Value<'js>>>>;
    /// The enumerable own properties of an object, names and values.
    fn to_record(&self) -> Outcome<'js, Vec<(Value<'js>, Value<'js>)>>;
}

impl<'js> Convert<'js> for Value<'js> {
    fn to_dom_string(&self) -> Outcome<'js, DomString> {
        let string: Coerced<rquickjs::String<'js>> = self.get()?;
        match string.0.to_string() {
            Ok(text) => Ok(DomString::Text(text)),
            Err(_) => units_of(self.ctx(), string.0).map(DomString::Units),
        }
    }

    fn to_usv_string(&self) -> Outcome<'js, String> {
        Ok(self.to_dom_string()?.into_usv())
    }

    fn to_byte_string(&self) -> Outcome<'js, Vec<u8>> {
        let bytes = |text: String| text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect();
        let bytes: Option<Vec<u8>> = match self.to_dom_string()? {
            DomString::Text(text) if text.is_ascii() => Some(text.into_bytes()),
            DomString::Text(text) => bytes(text),
            DomString::Units(_) => None,
        };
        bytes.ok_or_else(|| Thrown::type_error("a character of the string is above U+00FF"))
    }

    fn to_boolean(&self) -> Outcome<'js, bool> {
        Ok(self.get::<Coerced<bool>>()?.0)
    }

    fn to_double(&self) -> Outcome<'js, f64> {
        Ok(self.get::<Coerced<f64>>()?.0)
    }

    fn to_dictionary(&self, what: &str) -> Outcome<'js, Dictionary<'js>> {
        if self.is_undefined() || self.is_null() {
            return Ok(Dictionary(None));
        }
        match self.as_object() {
            Some(object) => Ok(Dictionary(Some(object.clone()))),
            None => Err(Thrown::type_error(format!("{what} must be an object"))),
        }
    }

    fn to_sequence(&self) -> Outcome<'js, Option<Vec<Value<'js>>>> {
        let Some(object) = self.as_object() else { return Ok(None) };
        let method: Value<'js> = object.get(PredefinedAtom::SymbolIterator)?;
        if method.is_undefined() || method.is_null() {
            return Ok(None);
        }
        let method = method.into_function().ok_or_else(|| Thrown::type_error("the iterator is not a function"))?;
        let iterator: Object<'js> = method.call((This(object.clone()),))?;
        let next: Function<'js> = iterator.get(PredefinedAtom::Next)?;
        let mut items = Vec::new();
        loop {
            let step: Object<'js> = next.call((This(iterator.clone()),))?;
            if step.get::<_, Coerced<bool>>(PredefinedAtom::Done)?.0 {
                return Ok(Some(items));
            }
            if items.len() >= MOST_ITEMS {
                return Err(Thrown::Range(format!("a sequence of more than {MOST_ITEMS} items")));
            }
            items.push(step.get(PredefinedAtom::Value)?);
        }
    }

    fn to_record(&self) -> Outcome<'js, Vec<(Value<'js>, Value<'js>)>> {
        let object = self.as_object().ok_or_else(|| Thrown::type_error("it must be an object"))?;
        // As keys the engine gives symbols out as text, so they are asked for apart.
        if object.own_keys::<Value<'js>>(Filter::new().symbol().enum_only()).next().is_some() {
            return Err(Thrown::type_error("a symbol is not a name"));
        }
        let keys = object.own_keys::<Value<'js>>(Filter::new().string().enum_only());
        let keys = keys.collect::<rquickjs::Result<Vec<_>>>()?;
        let pair =
            |key: Value<'js>| Ok((key.clone(), object.get(rquickjs::Atom::from_value(self.ctx().clone(), &key)?)?));
        keys.into_iter().map(pair).collect()
    }
}

/// A string of UTF-16 code units; text where every surrogate has its pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DomString {
    /// Well formed.
    Text(String),
    /// With unpaired surrogates.
    Units(Vec<u16>),
}

impl DomString {
    /// The text, with U+FFFD for unpaired surrogates.
    pub(crate) fn into_usv(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Units(units) => String::from_utf16_lossy(&units),
        }
    }
}

impl From<DomString> for CacheName {
    fn from(name: DomString) -> Self {
        match name {
            DomString::Text(text) => text.into(),
            DomString::Units(units) => Self::from_utf16(&units),
        }
    }
}

impl From<&CacheName> for DomString {
    fn from(name: &CacheName) -> Self {
        let units = name.to_utf16();
        String::from_utf16(&units).map_or(Self::Units(units), Self::Text)
    }
}

impl<'js> IntoJs<'js> for DomString {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        match self {
            Self::Text(text) => text.into_js(ctx),
            Self::Units(units) => {
                let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                ctx.json_parse(format!("\"{escaped}\""))
            }
        }
    }
}

/// The code units of a string that is not well formed. JSON writes unpaired surrogates as escapes,
/// so its text is well formed and can leave the engine.
fn units_of<'js>(ctx: &Ctx<'js>, string: rquickjs::String<'js>) -> Outcome<'js, Vec<u16>> {
    let json = ctx.json_stringify(string)?.ok_or_else(|| Thrown::type_error("the string has no text"))?;
    let json = json.to_string()?;
    let mut units = Vec::with_capacity(json.len());
    let inside = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default();
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            units.extend(character.encode_utf16(&mut [0; 2]).iter());
            continue;
        }
        units.push(match characters.next() {
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                u16::from_str_radix(&digits, 16).unwrap_or(0xFFFD)
            }
            Some('b') => 8,
            Some('t') => 9,
            Some('n') => 10,
            Some('f') => 12,
            Some('r') => 13,
            Some(other) => u16::try_from(u32::from(other)).unwrap_or(0xFFFD),
            None => 0x5C,
        });
    }
    Ok(units)
}

/// Bytes that script sees as a string of as many characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ByteString(pub(crate) Vec<u8>);

impl<'js> IntoJs<'js> for ByteString {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        match std::str::from_utf8(&self.0) {
            Ok(text) if text.is_ascii() => text.into_js(ctx),
            _ => self.0.iter().copied().map(char::from).collect::<String>().into_js(ctx),
        }
    }
}

/// A value, or `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Nullable<T>(pub(crate) Option<T>);

impl<'js, T: IntoJs<'js>> IntoJs<'js> for Nullable<T> {
    fn into_js(self, ctx: &Ctx<'js>) -> rquickjs::Result<Value<'js>> {
        self.0.map_or_else(|| Ok(Value::new_null(ctx.clone())), |value| value.into_js(ctx))
    }
}

/// A dictionary as it was given; reading a member may run script.
#[derive(Debug, Clone)]
pub(crate) struct Dictionary<'js>(Option<Object<'js>>);

impl<'js> Dictionary<'js> {
    /// The member, unless it is missing or `undefined`.
    pub(crate) fn member(&self, name: &str) -> Outcome<'js, Option<Value<'js>>> {
        let Some(object) = &self.0 else { return Ok(None) };
        let value: Value<'js> = object.get(name)?;
        Ok(Some(value).filter(|value| !value.is_undefined()))
    }

    /// A member that is true or false, and false where it is missing.
    pub(crate) fn boolean(&self, name: &str) -> Outcome<'js, bool> {
        self.member(name)?.map_or(Ok(false), |value| value.to_boolean())
    }

    /// A member that is one of some words.
    pub(crate) fn word<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>) -> Outcome<'js, Option<T>> {
        let Some(value) = self.member(name)? else { return Ok(None) };
        let word = value.to_dom_string()?.into_usv();
        match parse(&word) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(Thrown::type_error(format!("`{word}` is not a value of `{name}`"))),
        }
    }
}
