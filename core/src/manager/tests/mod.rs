//! Scripted transcripts of one shard.
