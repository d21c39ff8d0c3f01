//! The harness against real programs.

mod postgres;
