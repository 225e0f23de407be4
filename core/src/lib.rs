//! The pure heart of inventory-sync: every decision of manager and agent, and nothing that does I/O.
pub mod agent;
pub mod answer;
pub mod config;
pub mod coordinator;
pub mod document;
pub mod id;
pub mod manager;
pub mod time;
pub mod wire;
