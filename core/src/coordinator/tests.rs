//! Scripted transcripts of the coordinator.
