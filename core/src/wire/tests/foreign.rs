//! Frames that our encoder would not write.

use super::read;
use crate::wire::*;
use flatbuffers::FlatBufferBuilder;
use inventory_sync_schemas::wire as generated;

/// A frame whose items all lead to one large payload is small to send and large to read.
#[test]
fn a_frame_that_reads_to_far_more_than_its_length_is_refused() {
    let build = |count: usize| {
        let mut fbb = FlatBufferBuilder::new();
        let payload = fbb.create_vector(&[b'x' as i8; 4096]);
        let args = generated::DataArgs {
            data: Some(payload),
            ..Default::default()
        };
        let items: Vec<_> = (0..count)
            .map(|_| generated::Data::create(&mut fbb, &args))
            .collect();
        let values = fbb.create_vector(&items);
        let args = generated::DataBatchArgs {
            session: 7,
            values: Some(values),
        };
        let batch = generated::DataBatch::create(&mut fbb, &args);
        finish(
            &mut fbb,
            generated::MessageContent::DataBatch,
            batch.as_union_value(),
        )
    };
    assert_eq!(read!(build(4), DataBatch).len(), 4);
    assert_eq!(
        decode(&build(400)).unwrap_err(),
        DecodeError::Malformed {
            flaw: "reads to far more than its length"
        }
    );
}

fn finish(
    fbb: &mut FlatBufferBuilder<'_>,
    content_type: generated::MessageContent,
    content: flatbuffers::WIPOffset<flatbuffers::UnionWIPOffset>,
) -> Vec<u8> {
    let args = generated::MessageArgs {
        content_type,
        content: Some(content),
    };
    let message = generated::Message::create(fbb, &args);
    fbb.finish(message, None);
    fbb.finished_data().to_vec()
}

/// The smallest message of every member: a table without a field.
#[test]
fn messages_without_any_field_have_the_defaults() {
    let empty = |content_type: generated::MessageContent| {
        let mut fbb = FlatBufferBuilder::new();
        // An empty table is the same bytes for every type.
        let table = generated::End::create(&mut fbb, &generated::EndArgs::default());
        finish(&mut fbb, content_type, table.as_union_value())
    };
    use generated::MessageContent as Content;
    let start = Start {
        mode: Some(Mode::Full),
        ..Start::default()
    };
    assert_eq!(*read!(empty(Content::Start), Start), start);
    assert_eq!(read!(empty(Content::End), End), End::default());
    assert_eq!(
        read!(empty(Content::StartAck), StartAck),
        StartAck::default()
    );
    assert_eq!(read!(empty(Content::EndAck), EndAck), EndAck::default());
    assert_eq!(read!(empty(Content::ReqRet), ReqRet), ReqRet::default());
    assert_eq!(
        read!(empty(Content::DataClean), DataClean),
        DataClean::default()
    );
    assert_eq!(
        read!(empty(Content::DataContext), DataContext),
        DataContext::default()
    );
    assert_eq!(
        read!(empty(Content::ChecksumModule), ChecksumModule),
        ChecksumModule::default()
    );
    assert_eq!(read!(empty(Content::Hello), Hello), Hello::default());
    let frame = empty(Content::DataBatch);
    let batch = read!(frame, DataBatch);
    assert_eq!((batch.session(), batch.iter().count()), (0, 0));
    let frame = empty(Content::Data);
    let data = read!(frame, Data);
    assert_eq!((data.seq(), data.session(), data.version()), (0, 0, 0));
    assert_eq!(data.operation(), Some(Operation::Upsert));
    assert_eq!((data.id(), data.index(), data.data()), (None, None, None));
}

#[test]
fn codes_of_a_newer_peer_are_read_cautiously() {
    let mut fbb = FlatBufferBuilder::new();
    let args = generated::EndAckArgs {
        status: generated::Status(77),
        reason: generated::Reason(77),
        ..Default::default()
    };
    let table = generated::EndAck::create(&mut fbb, &args);
    let frame = finish(
        &mut fbb,
        generated::MessageContent::EndAck,
        table.as_union_value(),
    );
    let ack = read!(frame, EndAck);
    assert_eq!((ack.status, ack.reason), (Status::Error, Reason::None));
    let mut fbb = FlatBufferBuilder::new();
    let args = generated::StartArgs {
        mode: generated::Mode(77),
        ..Default::default()
    };
    let table = generated::Start::create(&mut fbb, &args);
    let frame = finish(
        &mut fbb,
        generated::MessageContent::Start,
        table.as_union_value(),
    );
    assert_eq!(read!(frame, Start).mode, None);
}
