//! What a run does, drawn at random. Small alphabets, so that steps meet.

use proptest::prelude::*;

use super::list::{Answer, Asked, Options, Step, Who};

/// Handles on caches that a run has at most.
pub const HANDLES: usize = 3;

/// One step of a run. Handles are named by their numbers.
#[derive(Debug, Clone)]
pub enum Action {
    Open {
        name: &'static str,
        handle: usize,
    },
    Has(&'static str),
    Drop(&'static str),
    Rename(&'static str, &'static str),
    Batch(usize, Vec<Step>),
    Several(Vec<(usize, Vec<Step>)>),
    Match(usize, Asked, Options),
    MatchAll(usize, Option<Asked>, Options),
    Keys(usize, Option<Asked>, Options),
    MatchAny(Option<&'static str>, Asked, Options),
    /// What the background does.
    Tick,
    /// Closed and opened again.
    Restart,
    /// Killed, where that can be.
    Kill,
    /// Power is lost, where that can be and everything acknowledged is safe.
    LosePower(u64),
    /// One change to the disk fails, so many changes from now, where that can be.
    Fail(u64, u64),
}

pub fn actions(longest: usize) -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(action(), 1..longest)
}

fn action() -> impl Strategy<Value = Action> {
    let name = || prop_oneof![3 => Just("v1"), 2 => Just("v2"), 1 => Just("")];
    let handle = || 0..HANDLES;
    let steps = || prop_oneof![4 => prop::collection::vec(step(), 1..2), 1 => prop::collection::vec(step(), 2..5)];
    let filter = || prop_oneof![1 => Just(None), 3 => asked().prop_map(Some)];
    prop_oneof![
        4 => (name(), handle()).prop_map(|(name, handle)| Action::Open { name, handle }),
        1 => name().prop_map(Action::Has),
        1 => name().prop_map(Action::Drop),
        1 => (name(), name()).prop_map(|(from, to)| Action::Rename(from, to)),
        14 => (handle(), steps()).prop_map(|(handle, steps)| Action::Batch(handle, steps)),
        2 => prop::collection::vec((handle(), prop::collection::vec(step(), 1..3)), 1..4).prop_map(Action::Several),
        3 => (handle(), asked(), options()).prop_map(|(handle, asked, how)| Action::Match(handle, asked, how)),
        3 => (handle(), filter(), options()).prop_map(|(handle, asked, how)| Action::MatchAll(handle, asked, how)),
        2 => (handle(), filter(), options()).prop_map(|(handle, asked, how)| Action::Keys(handle, asked, how)),
        2 => (prop::option::of(name()), asked(), options())
            .prop_map(|(name, asked, how)| Action::MatchAny(name, asked, how)),
        2 => Just(Action::Tick),
        1 => Just(Action::Restart),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(Action::LosePower),
        3 => (0..12_u64, any::<u64>()).prop_map(|(changes, seed)| Action::Fail(changes, seed)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (asked(), answer()).prop_map(|(asked, answer)| Step::Put(asked, answer)),
        1 => (asked(), options()).prop_map(|(asked, how)| Step::Delete(Asked { method: "GET", ..asked }, how)),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let lines = || {
        prop_oneof![
            4 => Just(&[][..]),
            1 => Just(&[""][..]),
            2 => Just(&["1"][..]),
            2 => Just(&["2"][..]),
            1 => Just(&["1", "2"][..]),
            1 => Just(&["1, 2"][..]),
        ]
    };
    let path = prop_oneof![Just("/a"), Just("/b"), Just("/a/")];
    let query = prop_oneof![2 => Just(""), 1 => Just("?"), 1 => Just("?a=1"), 1 => Just("?a=2")];
    let fragment = prop_oneof![3 => Just(""), 1 => Just("#f")];
    let method = prop_oneof![12 => Just("GET"), 1 => Just("HEAD"), 1 => Just("POST")];
    let who = prop_oneof![
        6 => Just(Who::Anybody),
        2 => (1..3_u8).prop_map(Who::Visitor),
        1 => (1..3_u8).prop_map(Who::Event),
    ];
    (path, query, fragment, lines(), lines(), method, who)
        .prop_map(|(path, query, fragment, x, y, method, who)| Asked { path, query, fragment, x, y, method, who })
}

fn answer() -> impl Strategy<Value = Answer> {
    let vary = prop_oneof![
        6 => Just(""), 4 => Just("x"), 2 => Just("x, y"), 1 => Just("Y"), 1 => Just(",x,,"), 1 => Just("cookie"), 1 => Just("x, *"),
    ];
    let length = prop_oneof![8 => 0..200_usize, 3 => 200..6_000_usize, 1 => 66_000..70_000_usize];
    let body = prop::option::weighted(0.9, (any::<u32>(), length));
    (vary, prop::bool::weighted(0.1), prop::bool::weighted(0.3), body)
        .prop_map(|(vary, opaque, personal, body)| Answer { vary, opaque, personal, body })
}

fn options() -> impl Strategy<Value = Options> {
    let one = || prop::bool::weighted(0.3);
    (one(), one(), one()).prop_map(|(search, method, vary)| Options { search, method, vary })
}
