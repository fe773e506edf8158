//! The disk store: crashes, power loss, damage, and what else a disk can do to it.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "tests fail by panicking")]

mod ahead;
mod bodies;
mod compaction;
mod concurrent;
mod crash;
mod damage;
mod faults;
mod kill;
mod opening;
mod support;
mod uses;
