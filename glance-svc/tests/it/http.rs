//! OpenStack's Image API v2 as its clients see it, over HTTP/1.1.

mod actions;
mod browsers;
mod concurrency;
mod create;
mod create_limits;
mod create_refused;
mod delete;
mod discovery;
mod edges;
mod errors;
mod etags;
mod filter;
mod filter_refused;
mod filter_time;
mod page;
mod page_walk;
mod patch;
mod patch_attributes;
mod patch_pointer;
mod patch_refused;
mod patch_shape;
mod schemas;
mod scope;
mod show;
mod tags;
