//! Splitting a stream.

use inventory_sync_core::wire::framing::{
    Frame, Framing, FramingError, Splitter, write_tls, write_unix,
};

/// The first byte chooses framing and limit, the second where the rest, the stream, is cut.
///
/// A stream gives the same frames and the same error however it is cut; no frame is larger than the limit;
/// the frames, written anew, are the beginning of the stream.
///
/// # Panics
/// When that does not hold.
pub fn frames(bytes: &[u8]) {
    let [choice, cuts, stream @ ..] = bytes else {
        return;
    };
    let framing = if choice & 1 == 0 {
        Framing::Tls
    } else {
        Framing::Unix
    };
    let max_message_bytes = usize::from(choice >> 1) * 16;

    let whole = split(framing, max_message_bytes, std::iter::once(stream));
    let size = usize::from(cuts & 15) + 1;
    assert_eq!(
        whole,
        split(framing, max_message_bytes, stream.chunks(size)),
        "cut every {size}"
    );
    let at = usize::from(*cuts).min(stream.len());
    let (before, after) = stream.split_at(at);
    let pieces = [before, &[], after];
    assert_eq!(
        whole,
        split(framing, max_message_bytes, pieces.into_iter()),
        "cut at {at}"
    );

    let mut written = Vec::new();
    for frame in &whole.frames {
        assert!(
            frame.message.len() <= max_message_bytes,
            "a frame above the limit"
        );
        let result = match frame.agent_id {
            Some(agent_id) => write_unix(&mut written, agent_id, &frame.message),
            None => write_tls(&mut written, &frame.message),
        };
        assert_eq!(result, Ok(()));
    }
    assert!(
        stream.starts_with(&written),
        "the frames are not what the stream says"
    );
    let is_used_up = written.len() == stream.len();
    assert_eq!(whole.is_between_frames, is_used_up && whole.error.is_none());
}

#[derive(Debug, PartialEq, Eq)]
struct Split {
    frames: Vec<Frame>,
    error: Option<FramingError>,
    is_between_frames: bool,
}

fn split<'a>(
    framing: Framing,
    max_message_bytes: usize,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Split {
    let mut splitter = Splitter::new(framing, max_message_bytes);
    let mut frames = Vec::new();
    let mut error = None;
    for mut piece in pieces {
        loop {
            match splitter.next_frame(&mut piece) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(found) => {
                    error = Some(found);
                    break;
                }
            }
        }
    }
    Split {
        frames,
        error,
        is_between_frames: splitter.is_between_frames(),
    }
}
