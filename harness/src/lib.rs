//! Runs real programs, for the end-to-end tests, the demo and the benchmarks.
//!
//! Everything that is started here ends when its value is dropped, and also when the process that started it is killed.

pub mod bucket;
pub mod clock;
pub mod debian;
pub mod disk;
pub mod glance;
pub mod http;
pub mod identity;
pub mod keystone;
pub mod pgbouncer;
pub mod podman;
pub mod postgres;
pub mod program;
pub mod qemu_img;
pub mod service;
pub mod tools;
pub mod workspace;

mod guard;
mod user;
