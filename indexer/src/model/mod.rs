//! The pure model: see [`engine`] (typed) and [`api`] (JSON over HTTP, without the HTTP).

pub mod api;
pub mod engine;
pub mod fields;
pub mod json;
pub mod mapping;
pub mod query;
