//! Messages that rules of the configuration answer.
//!
//! Whether a message may be sent at all is decided before.

use std::sync::Arc;

use serde_json::{Value, json};
use waystore_worker::{MessagePort, PortMessage};

use super::{Asker, Ended, Jobs, Rule};

/// The rules, and who carries them out. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    rules: Arc<[Rule]>,
    jobs: Jobs,
}

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Taken {
    /// No rule is about it: it is the script's.
    Not(PortMessage),
    /// A rule is about it. The rows of its prefetch go to the message's first port, where it has one; where the
    /// prefetch was not begun, the reason went there.
    Answered,
    /// A rule is about it, and its prefetch was not begun, in words; it has no port that they could go to.
    Refused(String),
}

impl Answers {
    pub(crate) fn new(rules: Vec<Rule>, jobs: Jobs) -> Self {
        Self { rules: rules.into(), jobs }
    }

    /// Does what `message` asks for, where a rule is about it. Called inside a runtime.
    pub(crate) fn take(&self, message: PortMessage, asker: &Asker) -> Taken {
        let data = if self.rules.is_empty() { None } else { message.data.to_json() };
        let plan = data.and_then(|data| self.rules.iter().find_map(|rule| rule.of(&data)));
        let Some(plan) = plan else { return Taken::Not(message) };
        let port = message.ports.into_iter().next();
        let started = plan.and_then(|plan| self.jobs.start(plan, asker).map_err(|refused| refused.to_string()));
        match started {
            Ok(job) => {
                tokio::spawn(async move { reply(port, &answer(&*job.ended().await)) });
                Taken::Answered
            }
            Err(reason) if port.is_some() => {
                reply(port, &json!({ "error": reason }));
                Taken::Answered
            }
            Err(reason) => Taken::Refused(reason),
        }
    }
}

fn answer(ended: &Ended) -> Value {
    match ended {
        Ok((rows, _)) => json!({ "results": rows }),
        Err(failure) => json!({ "error": failure.to_string() }),
    }
}

fn reply(port: Option<MessagePort>, answer: &Value) {
    // Who does not listen any more does not want to know.
    let _ = port.map(|port| port.post(answer.clone().into()));
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use waystore::{CacheQueryOptions, Clock, Fetch, FetchError, Request, Response, Waystore};

    use super::*;
    use crate::prefetching::{JobLimits, RuleText};

    struct Net;

    #[async_trait]
    impl Fetch for Net {
        async fn fetch(&self, request: Request) -> Result<Response, FetchError> {
            Ok(Response {
                head: waystore::ResponseHead { url_list: vec![request.url.clone()], ..Response::new("x").head },
                ..Response::new("fetched")
            })
        }
    }

    fn answers(store: &Waystore) -> Answers {
        let rule = r#"{ "message": "PREFETCH", "urls": "/payload/urls", "cache": "v1" }"#.parse::<RuleText>().unwrap();
        let caches = store.caches("https://a.test").unwrap();
        let jobs =
            Jobs::new(caches, Arc::new(Net), Arc::new(Clock::system()), JobLimits { urls: 2, ..JobLimits::default() });
        Answers::new(vec![Rule::new(&rule).unwrap()], jobs)
    }

    fn page() -> Asker {
        Asker::Page { client: "one".into(), hints: Default::default() }
    }

    async fn heard(mut port: MessagePort) -> Value {
        port.receive().await.unwrap().data.to_json().unwrap()
    }

    #[tokio::test]
    async fn a_message_that_a_rule_is_about_is_carried_out_and_answered_through_its_port() {
        let store = Waystore::in_memory();
        let (here, there) = MessagePort::channel();
        let data = json!({ "type": "PREFETCH", "payload": { "urls": ["/a", "b"] } }).into();
        let taken = answers(&store).take(PortMessage { data, ports: vec![there] }, &page());
        assert!(matches!(taken, Taken::Answered), "{taken:?}");
        let heard = heard(here).await;
        let urls: Vec<_> =
            heard["results"].as_array().unwrap().iter().map(|row| (&row["url"], &row["outcome"])).collect();
        let (a, b, stored) = (json!("https://a.test/a"), json!("https://a.test/b"), json!("stored"));
        assert_eq!(urls, [(&a, &stored), (&b, &stored)]);
        let cache = store.caches("https://a.test").unwrap().open("v1").await.unwrap();
        assert_eq!(cache.keys((), CacheQueryOptions::default()).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn why_nothing_is_fetched_is_told_through_the_port_and_else_to_the_caller() {
        let store = Waystore::in_memory();
        for (urls, reason) in [(json!(["/1", "/2", "/3"]), "names 3 URLs"), (json!(7), "no list of them")] {
            let (here, there) = MessagePort::channel();
            let asks = |ports| {
                let data = json!({ "type": "PREFETCH", "payload": { "urls": urls } }).into();
                answers(&store).take(PortMessage { data, ports }, &page())
            };
            let taken = asks(vec![there]);
            assert!(matches!(taken, Taken::Answered), "{taken:?}");
            assert!(heard(here).await["error"].as_str().unwrap().contains(reason));
            let taken = asks(Vec::new());
            assert!(matches!(&taken, Taken::Refused(words) if words.contains(reason)), "{taken:?}");
        }
    }

    #[tokio::test]
    async fn other_messages_come_back_with_their_ports() {
        let store = Waystore::in_memory();
        let (_here, there) = MessagePort::channel();
        let message = PortMessage { data: json!({ "type": "OTHER" }).into(), ports: vec![there] };
        let Taken::Not(message) = answers(&store).take(message, &page()) else { panic!("it was taken") };
        assert_eq!((message.data.member("type"), message.ports.len()), (Some("OTHER".into()), 1));
    }
}
