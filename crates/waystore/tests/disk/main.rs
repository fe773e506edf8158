//! The disk store: crashes, power loss, damage, and what else a disk can do to it.

#![allow(clippy::unwrap_used, clippy::panic, unreachable_pub, reason = "tests fail by panicking")]

mod ahead;
mod bodies;
mod check;
mod check_bits;
mod compaction;
mod concurrent;
mod crash;
mod damage;
mod faults;
mod kill;
mod load;
mod opening;
mod repair;
mod rounds;
mod scripts;
mod support;
mod uses;
