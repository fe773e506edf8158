//! Random operations on a cache against a plain list that follows the standard literally.
//!
//! The list shares no code with the library: URLs are compared as text, headers by hand. What both
//! answer must be the same after every step.

#![allow(clippy::unwrap_used, reason = "a step fails by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use waystore::{Cache, CacheQueryOptions, Clock, Request, Response, Waystore, store::memory::MemoryStore};

/// What a step does. Small alphabets, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Put { asked: Asked, vary: &'static str, body: String },
    PutTwo { one: Asked, two: Asked, vary: &'static str },
    Delete { asked: Asked, options: Options },
    Match { asked: Asked, options: Options },
    Keys { asked: Asked, options: Options },
}

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    path: &'static str,
    query: &'static str,
    fragment: &'static str,
    x: Option<&'static str>,
    y: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
struct Options {
    search: bool,
    vary: bool,
}

/// The list of the standard: oldest first.
#[derive(Debug, Default, Clone)]
struct Model(Vec<Item>);

#[derive(Debug, Clone)]
struct Item {
    asked: Asked,
    vary: &'static str,
    body: String,
}

impl Item {
    fn answers(&self, asked: &Asked, options: Options) -> bool {
        let same_query = options.search || self.asked.query == asked.query;
        let agrees = |name: &str| match name {
            "x" => self.asked.x == asked.x,
            "y" => self.asked.y == asked.y,
            _ => true,
        };
        let same_variant = options.vary || self.vary.split(',').map(str::trim).all(agrees);
        self.asked.path == asked.path && same_query && same_variant
    }
}

impl Model {
    fn put(&mut self, item: Item) {
        self.0.retain(|kept| !kept.answers(&item.asked, PLAIN));
        self.0.push(item);
    }

    fn found(&self, asked: &Asked, options: Options) -> Vec<&Item> {
        self.0.iter().filter(|item| item.answers(asked, options)).collect()
    }
}

const PLAIN: Options = Options { search: false, vary: false };

fn asked() -> impl Strategy<Value = Asked> {
    let header = || prop_oneof![Just(None), Just(Some("")), Just(Some("1")), Just(Some("2"))];
    let query = prop_oneof![Just(""), Just("?"), Just("?a=1"), Just("?a=2")];
    let parts = (prop_oneof![Just("/a"), Just("/b"), Just("/a/")], query, prop_oneof![Just(""), Just("#f")]);
    (parts, header(), header()).prop_map(|((path, query, fragment), x, y)| Asked { path, query, fragment, x, y })
}

fn step() -> impl Strategy<Value = Step> {
    let vary = || prop_oneof![Just(""), Just("x"), Just("x, y"), Just("Y"), Just("cookie")];
    let options = || (any::<bool>(), any::<bool>()).prop_map(|(search, vary)| Options { search, vary });
    prop_oneof![
        4 => (asked(), vary(), "[a-z]{0,4}").prop_map(|(asked, vary, body)| Step::Put { asked, vary: lower(vary), body }),
        1 => (asked(), asked(), vary()).prop_map(|(one, two, vary)| Step::PutTwo { one, two, vary: lower(vary) }),
        1 => (asked(), options()).prop_map(|(asked, options)| Step::Delete { asked, options }),
        2 => (asked(), options()).prop_map(|(asked, options)| Step::Match { asked, options }),
        1 => (asked(), options()).prop_map(|(asked, options)| Step::Keys { asked, options }),
    ]
}

/// The model compares names as they are; the cache must not care about their case.
fn lower(vary: &'static str) -> &'static str {
    if vary == "Y" { "y" } else { vary }
}

fn request(asked: &Asked) -> Request {
    let Asked { path, query, fragment, x, y } = asked;
    let mut request = Request::get(&format!("https://a.test{path}{query}{fragment}")).unwrap();
    for (name, value) in [("X", x), ("y", y)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request
}

fn response(vary: &str, body: &str) -> Response {
    let response = Response::new(body.to_owned());
    if vary.is_empty() { response } else { response.header("vary", vary.to_uppercase()) }
}

fn options(options: Options) -> CacheQueryOptions {
    CacheQueryOptions { ignore_search: options.search, ignore_vary: options.vary, ignore_method: false }
}

async fn text(response: Response) -> String {
    let bytes = response.body.unwrap().collect(1024).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn url(asked: &Asked) -> String {
    format!("https://a.test{}{}{}", asked.path, asked.query, asked.fragment)
}

async fn check(step: Step, cache: &Cache, model: &mut Model) {
    match step {
        Step::Put { asked, vary, body } => {
            cache.put(request(&asked), response(vary, &body)).await.unwrap();
            model.put(Item { asked, vary, body });
        }
        Step::PutTwo { one, two, vary } => {
            let item = |asked: &Asked| Item { asked: asked.clone(), vary, body: "two".into() };
            let refused = item(&one).answers(&two, PLAIN);
            let pairs = vec![(request(&one), response(vary, "two")), (request(&two), response(vary, "two"))];
            assert_eq!(cache.put_all(pairs).await.is_err(), refused);
            if !refused {
                model.put(item(&one));
                model.put(item(&two));
            }
        }
        Step::Delete { asked, options: how } => {
            let expected = !model.found(&asked, how).is_empty();
            assert_eq!(cache.delete(request(&asked), options(how)).await.unwrap(), expected);
            model.0.retain(|item| !item.answers(&asked, how));
        }
        Step::Match { asked, options: how } => {
            let mut found = Vec::new();
            for response in cache.match_all(&request(&asked), options(how)).await.unwrap() {
                found.push(text(response).await);
            }
            let expected: Vec<_> = model.found(&asked, how).iter().map(|item| item.body.clone()).collect();
            assert_eq!(found, expected);
        }
        Step::Keys { asked, options: how } => {
            let found = cache.keys(&request(&asked), options(how)).await.unwrap();
            let found: Vec<_> = found.iter().map(|key| key.url.to_string()).collect();
            assert_eq!(found, model.found(&asked, how).iter().map(|item| url(&item.asked)).collect::<Vec<_>>());
        }
    }
    let keys = cache.keys((), CacheQueryOptions::default()).await.unwrap();
    let keys: Vec<_> = keys.iter().map(|key| key.url.to_string()).collect();
    assert_eq!(keys, model.0.iter().map(|item| url(&item.asked)).collect::<Vec<_>>());
}

fn run(steps: Vec<Step>, store: &Waystore) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = store.caches("https://a.test").unwrap().open("c").await.unwrap();
        let mut model = Model::default();
        for step in steps {
            check(step, &cache, &mut model).await;
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_cache_in_memory_answers_like_the_list_of_the_standard(steps in prop::collection::vec(step(), 1..40)) {
        let clock = Arc::new(Clock::fixed(0, 1));
        run(steps, &Waystore::with_store(Arc::new(MemoryStore::new(Arc::clone(&clock))), clock));
    }
}
