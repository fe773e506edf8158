//! Other storage engines behind Waystore's `Cache` API, so that one program can measure all of them doing
//! the same work: [LMDB](Lmdb), [SQLite](Sqlite) and [plain files](Files).
//!
//! Each is used as somebody who knows it well would: prepared statements, one transaction a commit, no copy
//! that can be avoided. What they leave out makes them faster, never slower: how often an entry was used is
//! not counted. `tests/suite.rs` runs the library's conformance suite on them and lists the cases that this
//! rules out. Nothing of this is meant for use.
//!
//! ```text
//! EngineStore (store.rs) ─► Engine (engine.rs) ◄─ lmdb.rs, sqlite.rs, files.rs
//!       │ names, handles: catalog.rs, usage: books.rs     one entry as one value: value.rs
//!       └ bodies over 64 KiB: bodies.rs
//! ```

mod bodies;
mod books;
mod catalog;
mod engine;
mod files;
mod lmdb;
mod sqlite;
mod store;
mod value;

pub use heed::{WithTls, WithoutTls};

pub use self::{
    engine::{Engine, ListWrite, NewRow, Row, Unchanged, Write},
    files::Files,
    lmdb::{Lmdb, Readers},
    sqlite::Sqlite,
    store::EngineStore,
    value::{UrlKey, Value},
};

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The operating system.
    Relaxed,
    /// The disk.
    Strict,
}
