//! What users may rely on, tried from outside: the real binary on real database files.
//!
//! One file a promise. `common` makes databases and runs the program.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "promises/answers.rs"]
mod answers;
#[path = "promises/any_sqlite.rs"]
mod any_sqlite;
#[path = "promises/backfill.rs"]
mod backfill;
#[path = "promises/beside_an_application.rs"]
mod beside_an_application;
#[path = "promises/cluster.rs"]
mod cluster;
#[path = "promises/common.rs"]
mod common;
#[path = "promises/demo.rs"]
mod demo;
#[path = "promises/device.rs"]
mod device;
#[path = "promises/documents.rs"]
mod documents;
#[path = "promises/edges.rs"]
mod edges;
#[path = "promises/editions.rs"]
mod editions;
#[path = "promises/export.rs"]
mod export;
#[path = "promises/faults.rs"]
mod faults;
#[path = "promises/fleet.rs"]
mod fleet;
#[path = "promises/forget.rs"]
mod forget;
#[path = "promises/gate.rs"]
mod gate;
#[path = "promises/import.rs"]
mod import;
#[path = "promises/init.rs"]
mod init;
#[path = "promises/input.rs"]
mod input;
#[path = "promises/killed.rs"]
mod killed;
#[path = "promises/layers.rs"]
mod layers;
#[path = "promises/memory.rs"]
mod memory;
#[path = "promises/new_books.rs"]
mod new_books;
#[path = "promises/night.rs"]
mod night;
#[path = "promises/operations.rs"]
mod operations;
#[path = "promises/packages.rs"]
mod packages;
#[path = "promises/quality.rs"]
mod quality;
#[path = "promises/ranker.rs"]
mod ranker;
#[path = "promises/recipes.rs"]
mod recipes;
#[path = "promises/report.rs"]
mod report;
#[path = "promises/rules.rs"]
mod rules;
#[path = "promises/shapes.rs"]
mod shapes;
#[path = "promises/surroundings.rs"]
mod surroundings;
#[path = "promises/taste.rs"]
mod taste;
#[path = "promises/tune.rs"]
mod tune;
#[path = "promises/unchanged.rs"]
mod unchanged;
#[path = "promises/watching.rs"]
mod watching;
