//! `URLPattern`. Parsing is that of the `urlpattern` crate; expressions are those of `regex`, which
//! match in linear time and know no look-around and no references back.
//!
//! Spec: <https://urlpattern.spec.whatwg.org/>

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use rquickjs::{Array, Ctx, JsLifetime, Object, Value};
use url::Url;
use urlpattern::{
    UrlPattern, UrlPatternInit, UrlPatternOptions,
    component::Component,
    parser::RegexSyntax,
    quirks::{self, StringOrInit},
    regexp::RegExp,
};

use super::{
    exception::{Outcome, Thrown},
    idl::{Arguments, Call, Convert, Interface, interface},
};

/// What one expression may take when it is compiled.
const MAX_EXPRESSION_BYTES: usize = 1024 * 1024;

/// A pattern of URLs.
#[derive(Debug, JsLifetime)]
struct URLPattern(Parsed);

type Parsed = UrlPattern<Expression>;

interface!(URLPattern);

/// An expression that heeds its flags.
#[derive(Debug)]
struct Expression(Regex);

impl RegExp for Expression {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, flags: &str, _force_eval: bool) -> Result<Self, ()> {
        let mut builder = RegexBuilder::new(pattern);
        builder.case_insensitive(flags.contains('i')).size_limit(MAX_EXPRESSION_BYTES);
        builder.build().map(Self).map_err(drop)
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let captures = self.0.captures(text)?;
        Some(captures.iter().skip(1).map(|group| group.map(|group| group.as_str())).collect())
    }

    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let interface = Interface::<URLPattern>::constructible(ctx, 0, make)?;
    for (name, component) in COMPONENTS {
        interface.attribute(name, move |call| Ok(component(&call.this.borrow().0).pattern_string.clone()))?;
    }
    interface
        .attribute("hasRegExpGroups", |call| Ok(call.this.borrow().0.has_regexp_groups()))?
        .operation("test", 0, |call| Ok(matched(call)?.is_some()))?
        .operation("exec", 0, exec)?;
    Ok(())
}

type OneOf = fn(&Parsed) -> &Component<Expression>;

const COMPONENTS: [(&str, OneOf); 8] = [
    ("protocol", |pattern| &pattern.protocol),
    ("username", |pattern| &pattern.username),
    ("password", |pattern| &pattern.password),
    ("hostname", |pattern| &pattern.hostname),
    ("port", |pattern| &pattern.port),
    ("pathname", |pattern| &pattern.pathname),
    ("search", |pattern| &pattern.search),
    ("hash", |pattern| &pattern.hash),
];

/// `new URLPattern(input, base, options)`, or without the base.
fn make<'js>(arguments: &Arguments<'js>) -> Outcome<'js, URLPattern> {
    let second = arguments.optional(1);
    let (base, options) = match second {
        Some(options) if options.is_object() || options.is_null() => (None, options),
        Some(base) => (Some(base.to_usv_string()?), arguments.get(2)),
        None => (None, arguments.get(2)),
    };
    let input = input(arguments)?;
    let ignore_case = options.to_dictionary("a URLPattern's options")?.boolean("ignoreCase")?;
    let init = match input {
        StringOrInit::String(pattern) => {
            let base = base.map(|base| Url::parse(&base)).transpose().map_err(refused)?;
            UrlPatternInit::parse_constructor_string::<Expression>(&pattern, base).map_err(refused)?
        }
        StringOrInit::Init(_) => quirks::process_construct_pattern_input(input, base.as_deref()).map_err(refused)?,
    };
    let options = UrlPatternOptions { ignore_case, ..UrlPatternOptions::default() };
    UrlPattern::parse(init, options).map(URLPattern).map_err(refused)
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where a function that takes an error is asked for")]
fn refused<'js>(error: impl std::fmt::Display) -> Thrown<'js> {
    Thrown::type_error(format!("it is not a pattern of URLs: {error}"))
}

/// A URL or pattern as text, or in parts.
fn input<'js>(arguments: &Arguments<'js>) -> Outcome<'js, StringOrInit<'static>> {
    let given = arguments.get(0);
    if !(given.is_undefined() || given.is_null() || given.is_object()) {
        return Ok(StringOrInit::String(Cow::Owned(given.to_usv_string()?)));
    }
    let given = given.to_dictionary("a URL in parts")?;
    let part = |name| given.member(name)?.map(|part| part.to_usv_string()).transpose();
    let base_url = part("baseURL")?;
    let (hash, hostname, password, pathname) = (part("hash")?, part("hostname")?, part("password")?, part("pathname")?);
    let (port, protocol, search, username) = (part("port")?, part("protocol")?, part("search")?, part("username")?);
    let init =
        quirks::UrlPatternInit { protocol, username, password, hostname, port, pathname, search, hash, base_url };
    Ok(StringOrInit::Init(init))
}

/// One part of a URL that matches: the part, and the groups in the order of the pattern.
struct Matched {
    input: String,
    groups: Vec<(String, Option<String>)>,
}

/// The parts of the URL that a call is given, if the pattern matches each.
///
/// Always by the expressions: the crate's shortcuts for simple patterns do not ignore case.
fn matched<'js>(call: &Call<'js, URLPattern>) -> Outcome<'js, Option<Vec<Matched>>> {
    let base = call.arguments.optional(1).map(|base| base.to_usv_string()).transpose()?;
    let input = quirks::process_match_input(input(&call.arguments)?, base.as_deref()).map_err(refused)?;
    let Some(url) = input.and_then(|(input, _)| quirks::parse_match_input(input)) else { return Ok(None) };
    let parts = [url.protocol, url.username, url.password, url.hostname, url.port, url.pathname, url.search, url.hash];
    let this = call.this.borrow();
    let matched = COMPONENTS.iter().zip(parts).map(|((_, component), part)| match_part(component(&this.0), part));
    Ok(matched.collect())
}

fn match_part(component: &Component<Expression>, input: String) -> Option<Matched> {
    let groups = component.regexp.as_ref().ok()?.matches(&input)?;
    let groups = groups.into_iter().map(|group| group.map(str::to_owned));
    let groups = component.group_name_list.iter().cloned().zip(groups).collect();
    Some(Matched { input, groups })
}

/// Spec: <https://urlpattern.spec.whatwg.org/#dom-urlpattern-exec>
fn exec<'js>(call: &Call<'js, URLPattern>) -> Outcome<'js, Value<'js>> {
    let ctx = call.ctx();
    let Some(parts) = matched(call)? else { return Ok(Value::new_null(ctx.clone())) };
    let inputs = Array::new(ctx.clone())?;
    inputs.set(0, call.arguments.get(0))?;
    if let Some(base) = call.arguments.optional(1) {
        inputs.set(1, base)?;
    }
    let result = Object::new(ctx.clone())?;
    result.set("inputs", inputs)?;
    for ((name, _), part) in COMPONENTS.iter().zip(parts) {
        let groups = Object::new(ctx.clone())?;
        for (name, text) in part.groups {
            groups.set(name, text)?;
        }
        let object = Object::new(ctx.clone())?;
        object.set("input", part.input)?;
        object.set("groups", groups)?;
        result.set(*name, object)?;
    }
    Ok(result.into_value())
}
