//! Being moved in.
