//! `InstallEvent.addRoutes`: rules out of script, as WebIDL reads them.
//!
//! Reads no more than a worker may have. What the rules mean, and whether they may be, is decided
//! where they are kept. Spec: <https://w3c.github.io/ServiceWorker/#dom-installevent-addroutes>

use std::{rc::Rc, sync::Arc};

use rquickjs::{Ctx, Object, Value, function::Constructor};
use waystore::Destination;

use super::Bridge;
use crate::{
    js::{
        Outcome, Thrown,
        idl::{Convert, Dictionary, native_operation},
        kit,
    },
    routes::{Condition, MOST_CONDITIONS, MOST_LEVELS, Parts, Pattern, Rule, Source, mode, running},
};

pub(super) fn install(ctx: &Ctx<'_>, bridge: &Rc<Bridge>) -> rquickjs::Result<()> {
    let link = Arc::clone(&bridge.link);
    let add = native_operation(ctx, "addRoutes", 1, move |arguments| {
        let rules = Reader::default().rules(&arguments.get(0))?;
        link.add_routes(rules).map_err(|words| Thrown::Type(format!("addRoutes: {words}")))
    })?;
    kit(ctx)?.give("addRoutes", add)
}

/// Reads rules, and counts the conditions in them.
#[derive(Debug, Default)]
struct Reader {
    conditions: usize,
}

impl Reader {
    fn rules<'js>(&mut self, value: &Value<'js>) -> Outcome<'js, Vec<Rule>> {
        match value.to_sequence()? {
            Some(rules) => rules.iter().map(|rule| self.rule(rule)).collect(),
            None => Ok(vec![self.rule(value)?]),
        }
    }

    fn rule<'js>(&mut self, value: &Value<'js>) -> Outcome<'js, Rule> {
        let rule = value.to_dictionary("a route")?;
        let missing = |name| Thrown::Type(format!("addRoutes: a route has no `{name}`"));
        let condition = rule.member("condition")?.ok_or_else(|| missing("condition"))?;
        let condition = self.condition(&condition, 1)?;
        let source = rule.member("source")?.ok_or_else(|| missing("source"))?;
        Ok(Rule { condition, source: source_of(&source)? })
    }

    fn condition<'js>(&mut self, value: &Value<'js>, level: usize) -> Outcome<'js, Condition> {
        self.conditions += 1;
        if level > MOST_LEVELS || self.conditions >= MOST_CONDITIONS {
            let words = format!("addRoutes: there are {MOST_CONDITIONS} conditions, or more than {MOST_LEVELS} levels");
            return Err(Thrown::Type(words));
        }
        let given = value.to_dictionary("a condition")?;
        let not = given.member("not")?.map(|inner| self.condition(&inner, level + 1)).transpose()?;
        let or = given.member("or")?.map(|list| self.conditions(&list, level + 1)).transpose()?;
        let known = |given: &str| Destination::from_word(given);
        let destination = given.word("requestDestination", known)?;
        let method = given.member("requestMethod")?.map(|method| method.to_byte_string()).transpose()?;
        Ok(Condition {
            not: not.map(Box::new),
            or,
            request_destination: destination.map(|destination| destination.as_str().to_owned()),
            // What is not ASCII is no method, however it is read.
            request_method: method.map(|method| method.into_iter().map(char::from).collect()),
            request_mode: given.word("requestMode", mode)?.map(|mode| mode.as_str().to_owned()),
            running_status: given.word("runningStatus", |word| running(word).map(|_| word.to_owned()))?,
            url_pattern: given.member("urlPattern")?.map(|pattern| pattern_of(&pattern)).transpose()?,
        })
    }

    fn conditions<'js>(&mut self, list: &Value<'js>, level: usize) -> Outcome<'js, Vec<Condition>> {
        let list = list.to_sequence()?.ok_or_else(|| Thrown::type_error("addRoutes: `or` is not a list"))?;
        list.iter().map(|inner| self.condition(inner, level)).collect()
    }
}

fn source_of<'js>(value: &Value<'js>) -> Outcome<'js, Source> {
    if value.is_object() || value.is_null() || value.is_undefined() {
        let name = value.to_dictionary("a source")?.member("cacheName")?;
        let name = name.ok_or_else(|| Thrown::type_error("addRoutes: a source that is an object has a `cacheName`"))?;
        return Ok(Source::CacheName(name.to_dom_string()?.into()));
    }
    let word = value.to_usv_string()?;
    Source::from_word(&word).ok_or_else(|| Thrown::Type(format!("addRoutes: `{word}` is not a source")))
}

fn pattern_of<'js>(value: &Value<'js>) -> Outcome<'js, Pattern> {
    let Some(object) = value.as_object() else { return Ok(Pattern::Text(value.to_usv_string()?)) };
    let parts = parts_of(&value.to_dictionary("a URL pattern")?)?;
    Ok(if is_url_pattern(object) { Pattern::Whole(parts) } else { Pattern::Parts(parts) })
}

/// Whether it is a `URLPattern`, where there is this interface.
fn is_url_pattern(object: &Object<'_>) -> bool {
    let interface = object.ctx().globals().get::<_, Constructor<'_>>("URLPattern");
    interface.is_ok_and(|interface| object.is_instance_of(&interface))
}

fn parts_of<'js>(given: &Dictionary<'js>) -> Outcome<'js, Parts> {
    let part = |name: &str| given.member(name)?.map(|part| part.to_usv_string()).transpose();
    Ok(Parts {
        base_url: part("baseURL")?,
        hash: part("hash")?,
        hostname: part("hostname")?,
        password: part("password")?,
        pathname: part("pathname")?,
        port: part("port")?,
        protocol: part("protocol")?,
        search: part("search")?,
        username: part("username")?,
    })
}
