//! Sessions of real endpoints end in the Indexer byte for byte.
