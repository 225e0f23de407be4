use crate::wire::framing::*;
use proptest::collection::vec;
use proptest::prelude::*;

const MAX_MESSAGE_BYTES: usize = 100;

fn write(framing: Framing, frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut stream = Vec::new();
    for (agent_id, message) in frames {
        match framing {
            Framing::Tls => write_tls(&mut stream, message).unwrap(),
            Framing::Unix => write_unix(&mut stream, *agent_id, message).unwrap(),
        }
    }
    stream
}

proptest! {
    #[test]
    fn any_cuts_of_a_stream_give_the_same_frames(
        unix: bool,
        frames in vec((any::<u64>(), vec(any::<u8>(), 0..MAX_MESSAGE_BYTES + 1)), 0..8),
        cuts in vec(1_usize..40, 1..20),
    ) {
        let framing = if unix { Framing::Unix } else { Framing::Tls };
        let stream = write(framing, &frames);
        let mut splitter = Splitter::new(framing, MAX_MESSAGE_BYTES);
        let mut found = Vec::new();
        let mut rest = stream.as_slice();
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (mut piece, behind) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            rest = behind;
            while let Some(frame) = splitter.next_frame(&mut piece).unwrap() {
                found.push(frame);
            }
            prop_assert!(piece.is_empty());
        }
        prop_assert!(splitter.is_between_frames());
        let wanted: Vec<Frame> = frames
            .into_iter()
            .map(|(agent_id, message)| Frame { agent_id: unix.then_some(agent_id), message })
            .collect();
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn arbitrary_streams_never_panic_and_stay_bounded(
        unix: bool,
        pieces in vec(vec(any::<u8>(), 0..30), 0..30),
    ) {
        let framing = if unix { Framing::Unix } else { Framing::Tls };
        let mut splitter = Splitter::new(framing, MAX_MESSAGE_BYTES);
        let mut broken = None;
        for piece in &pieces {
            let mut input = piece.as_slice();
            loop {
                match splitter.next_frame(&mut input) {
                    Ok(Some(frame)) => {
                        prop_assert_eq!(broken, None);
                        prop_assert!(frame.message.len() <= MAX_MESSAGE_BYTES);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        prop_assert!(broken.is_none_or(|before| before == error));
                        broken = Some(error);
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn the_length_counts_what_the_contract_says() {
    assert_eq!(
        write(Framing::Tls, &[(9, b"abc".to_vec())]),
        b"\x03\0\0\0abc"
    );
    assert_eq!(
        write(Framing::Unix, &[(9, b"abc".to_vec())]),
        b"\x0b\0\0\0\x09\0\0\0\0\0\0\0abc"
    );
}

#[test]
fn lengths_are_judged_before_the_message_comes() {
    let too_large = |message_bytes| FramingError::TooLarge {
        message_bytes,
        max_message_bytes: 100,
    };
    let judge = |framing, bytes: &[u8]| {
        let mut splitter = Splitter::new(framing, MAX_MESSAGE_BYTES);
        let mut input = bytes;
        splitter.next_frame(&mut input)
    };
    assert_eq!(judge(Framing::Tls, &[101, 0, 0, 0]), Err(too_large(101)));
    assert_eq!(judge(Framing::Tls, &[100, 0, 0, 0]), Ok(None));
    assert_eq!(
        judge(Framing::Tls, &[0xff; 4]),
        Err(too_large(u32::MAX as usize))
    );
    assert_eq!(judge(Framing::Unix, &[109, 0, 0, 0]), Err(too_large(101)));
    assert_eq!(judge(Framing::Unix, &[108, 0, 0, 0]), Ok(None));
    assert_eq!(
        judge(Framing::Unix, &[7, 0, 0, 0]),
        Err(FramingError::NoAgentId { length: 7 })
    );
    let empty = Frame {
        agent_id: Some(1),
        message: Vec::new(),
    };
    assert_eq!(
        judge(Framing::Unix, &[8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        Ok(Some(empty))
    );
}

#[test]
fn a_stream_may_end_only_between_frames() {
    let mut splitter = Splitter::new(Framing::Tls, MAX_MESSAGE_BYTES);
    assert!(splitter.is_between_frames());
    assert_eq!(splitter.next_frame(&mut [1, 0].as_slice()), Ok(None));
    assert!(!splitter.is_between_frames());
    assert_eq!(splitter.next_frame(&mut [0, 0].as_slice()), Ok(None));
    assert!(!splitter.is_between_frames());
    let frame = Frame {
        agent_id: None,
        message: vec![5],
    };
    assert_eq!(splitter.next_frame(&mut [5].as_slice()), Ok(Some(frame)));
    assert!(splitter.is_between_frames());
}

#[test]
fn errors_say_the_numbers() {
    let mut splitter = Splitter::new(Framing::Tls, 10);
    let error = splitter
        .next_frame(&mut [11, 0, 0, 0].as_slice())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "a message of 11 bytes was announced, at most 10 are allowed"
    );
}
