//! Scripts of operations that crash, each a list of what a store does and how it is set up.

use super::support::Op;

/// A script.
#[derive(Clone, Copy)]
pub struct Script {
    pub name: &'static str,
    pub ops: &'static [Op],
    pub segment_bytes: u32,
    /// How many of the operations are done before anything can go wrong: then the store is closed and opened
    /// again, so that there is a checkpoint.
    pub before: usize,
}

pub const SCRIPTS: [Script; 4] = [
    Script { name: "everything", ops: EVERYTHING, segment_bytes: 128 * 1024, before: 0 },
    Script { name: "overwriting", ops: OVERWRITING, segment_bytes: 8 * 1024, before: 6 },
    Script { name: "renaming", ops: RENAMING, segment_bytes: 8 * 1024, before: 7 },
    Script { name: "emptying", ops: EMPTYING, segment_bytes: 16 * 1024, before: 0 },
];

/// Everything a store does: names, small and large bodies, a batch, a body shared by two entries,
/// replacing, deleting, deleting a cache, renaming one over another, full segments, syncs.
const EVERYTHING: &[Op] = &[
    Op::Open("v1"),
    Op::Put("v1", &[("/a", 10)]),
    Op::Put("v1", &[("/big", 70_000)]),
    Op::Open("v2"),
    Op::Put("v2", &[("/1", 1), ("/2", 40_000), ("/3", 70_000), ("/4", 300_000), ("/5", 0)]),
    Op::Tick,
    Op::Put("v1", &[("/a", 50_000)]),
    Op::Put("v2", &[("/4", 66_000)]),
    Op::Delete("v2", "/2"),
    Op::Tick,
    Op::Put("v1", &[("/a", 60_000), ("/b", 60_001)]),
    Op::Drop("v2"),
    Op::Open("v2"),
    Op::Put("v2", &[("/1", 300_000)]),
    Op::Delete("v1", "/big"),
    Op::Tick,
    Op::Tick,
    Op::Put("v2", &[("/1", 2)]),
    Op::Open("next"),
    Op::Put("next", &[("/n", 20), ("/m", 70_001)]),
    Op::Rename("next", "v1"),
    Op::Rename("v2", "v3"),
    Op::Put("v1", &[("/n", 30)]),
    Op::Tick,
];

/// Overwriting and deleting until segments are rewritten and freed, several times: entries that stay
/// among others that go, names that stay and that go, removals of what was moved before, a body in a file.
const OVERWRITING: &[Op] = &[
    Op::Open("stays"),
    Op::Put("stays", &[("/first", 900)]),
    Op::Put("stays", &[("/big", 66_000)]),
    Op::Open("goes"),
    Op::Put("goes", &[("/1", 1500), ("/2", 1501)]),
    Op::Put("stays", &[("/a", 2000), ("/b", 2001)]),
    Op::Put("stays", &[("/a", 2002), ("/b", 2003)]),
    Op::Put("stays", &[("/a", 2004), ("/b", 2005)]),
    Op::Tick,
    Op::Put("stays", &[("/a", 2006), ("/c", 700)]),
    Op::Drop("goes"),
    Op::Put("stays", &[("/a", 2008), ("/b", 2009)]),
    Op::Tick,
    Op::Delete("stays", "/first"),
    Op::Open("goes"),
    Op::Put("stays", &[("/a", 2010), ("/b", 2011)]),
    Op::Put("goes", &[("/1", 1502), ("/big", 66_000)]),
    Op::Put("stays", &[("/a", 2012), ("/b", 2013)]),
    Op::Tick,
    Op::Delete("stays", "/c"),
    Op::Put("stays", &[("/a", 2014), ("/b", 2015)]),
    Op::Delete("stays", "/big"),
    Op::Put("stays", &[("/a", 2016), ("/b", 2017)]),
    Op::Tick,
    Op::Put("stays", &[("/a", 2018), ("/b", 2019)]),
    Op::Tick,
];

/// Names that go from list to list while segments are rewritten and freed: another name, the name of another
/// list, a name that was free again, and lists that go after they had several.
const RENAMING: &[Op] = &[
    Op::Open("a"),
    Op::Put("a", &[("/a", 900)]),
    Op::Open("b"),
    Op::Put("b", &[("/b", 901)]),
    Op::Open("stays"),
    Op::Put("stays", &[("/x", 3000), ("/y", 3001)]),
    Op::Tick,
    Op::Rename("a", "c"),
    Op::Put("stays", &[("/x", 3002), ("/y", 3003)]),
    Op::Open("a"),
    Op::Put("a", &[("/new", 700)]),
    Op::Tick,
    Op::Put("stays", &[("/x", 3004), ("/y", 3005)]),
    Op::Rename("b", "a"),
    Op::Tick,
    Op::Put("stays", &[("/x", 3006), ("/y", 3007)]),
    Op::Put("stays", &[("/x", 3008), ("/y", 3009)]),
    Op::Drop("c"),
    Op::Tick,
    Op::Put("stays", &[("/x", 3010), ("/y", 3011)]),
    Op::Put("stays", &[("/x", 3012), ("/y", 3013)]),
    Op::Open("c"),
    Op::Rename("a", "b"),
    Op::Tick,
    Op::Rename("stays", "b"),
    Op::Put("b", &[("/x", 3014), ("/y", 3015)]),
    Op::Put("b", &[("/x", 3016), ("/y", 3017)]),
    Op::Tick,
    Op::Put("b", &[("/x", 3018), ("/y", 3019)]),
    Op::Rename("b", "stays"),
    Op::Put("stays", &[("/x", 3020), ("/y", 3021)]),
    Op::Tick,
];

/// Batches over several caches, all that an origin has going at once, and closing and opening in between.
const EMPTYING: &[Op] = &[
    Op::Open("a"),
    Op::Open("b"),
    Op::PutInto(&[("a", &[("/1", 100), ("/2", 5000)]), ("b", &[("/1", 101), ("/big", 90_000)])]),
    Op::Tick,
    Op::PutInto(&[("b", &[("/2", 4000), ("/1", 102)]), ("a", &[("/2", 5001), ("/big", 90_000)])]),
    Op::Reopen,
    Op::Delete("a", "/1"),
    Op::PutInto(&[("a", &[("/3", 6000)]), ("b", &[("/3", 6001)])]),
    Op::DropAll,
    Op::Tick,
    Op::Open("b"),
    Op::Put("b", &[("/1", 103), ("/big", 90_000)]),
    Op::Reopen,
    Op::Reopen,
    Op::Open("c"),
    Op::PutInto(&[("b", &[("/1", 104), ("/4", 70_000)]), ("c", &[("/1", 7000), ("/0", 0)])]),
    Op::DropAll,
    Op::Reopen,
    Op::Open("a"),
    Op::Put("a", &[("/1", 7001)]),
    Op::Tick,
];
