mod foreign;
mod framing;
mod golden;
mod roundtrip;
mod staged;

/// Decodes and expects this member, giving what it holds.
macro_rules! read {
    ($frame:expr, $member:ident) => {
        match decode(&$frame) {
            Ok(Message::$member(value)) => value,
            other => panic!("not a {}: {other:?}", stringify!($member)),
        }
    };
}

use read;
