//! From a message to a frame (without its length). What is 0, false or empty is left out, so a base
//! peer finds exactly the fields it knows.

use super::codes::Mode;
use super::messages::{
    AgentInfo, ChecksumModule, DataClean, DataContext, End, EndAck, FailedItem, Hello, Item, Pair,
    ReqRet, Start, StartAck,
};
use flatbuffers::{FlatBufferBuilder, ForwardsUOffset, UnionWIPOffset, Vector, WIPOffset};
use generated::MessageContent as Content;
use inventory_sync_schemas::wire as generated;

/// The mode byte of a Start whose mode this build does not know.
const UNKNOWN_MODE: i8 = i8::MIN;

/// What most messages without items fit in: a builder that begins with nothing moves its bytes again and again.
const SMALL_BYTES: usize = 256;

type Builder = FlatBufferBuilder<'static>;

fn builder() -> Builder {
    Builder::with_capacity(SMALL_BYTES)
}

type Text = WIPOffset<&'static str>;
type Bytes = WIPOffset<Vector<'static, i8>>;
type List<T> = WIPOffset<Vector<'static, ForwardsUOffset<T>>>;

/// A Start as a frame.
#[must_use]
pub fn encode_start(start: &Start) -> Vec<u8> {
    let mut fbb = builder();
    let agent = start.agent.as_ref().map(|info| agent_info(&mut fbb, info));
    let args = generated::StartArgs {
        mode: generated::Mode(start.mode.map_or(UNKNOWN_MODE, Mode::to_wire)),
        size_: start.size,
        module: text(&mut fbb, &start.module),
        agent_id: start.agent_id,
        protocol_version: start.protocol_version,
        nonce: start.nonce,
        indices: texts(&mut fbb, &start.indices),
        agent,
        global_version: start.global_version,
        cluster_name: text(&mut fbb, &start.cluster_name),
        version_floor: start.version_floor,
        id_from: optional(&mut fbb, start.id_from.as_deref()),
        id_to: optional(&mut fbb, start.id_to.as_deref()),
    };
    let table = generated::Start::create(&mut fbb, &args);
    finish(&mut fbb, Content::Start, table.as_union_value())
}

fn agent_info(fbb: &mut Builder, info: &AgentInfo) -> WIPOffset<generated::AgentInfo<'static>> {
    let args = generated::AgentInfoArgs {
        name: text(fbb, &info.name),
        version: text(fbb, &info.version),
        architecture: text(fbb, &info.architecture),
        hostname: text(fbb, &info.hostname),
        os_name: text(fbb, &info.os_name),
        os_platform: text(fbb, &info.os_platform),
        os_type: text(fbb, &info.os_type),
        os_version: text(fbb, &info.os_version),
        groups: texts(fbb, &info.groups),
    };
    generated::AgentInfo::create(fbb, &args)
}

/// One item as a frame. [`BatchBuilder`](super::BatchBuilder) carries many; a base manager knows
/// only this one.
#[must_use]
pub fn encode_data(session: u64, item: &Item<'_>) -> Vec<u8> {
    let mut fbb = builder();
    let index = fbb.create_string(item.index);
    let table = data(&mut fbb, session, item, index);
    finish(&mut fbb, Content::Data, table.as_union_value())
}

/// The table of an item. The index's text is the caller's, for items share it.
pub(super) fn data(
    fbb: &mut Builder,
    session: u64,
    item: &Item<'_>,
    index: Text,
) -> WIPOffset<generated::Data<'static>> {
    let args = generated::DataArgs {
        seq: item.seq,
        session,
        operation: generated::Operation(item.operation.to_wire()),
        id: Some(fbb.create_string(item.id)),
        index: Some(index),
        data: item.data.map(|payload| bytes(fbb, payload)),
        version: item.version,
    };
    generated::Data::create(fbb, &args)
}

/// An End as a frame.
#[must_use]
pub fn encode_end(end: &End) -> Vec<u8> {
    let mut fbb = builder();
    let table = generated::End::create(
        &mut fbb,
        &generated::EndArgs {
            session: end.session,
        },
    );
    finish(&mut fbb, Content::End, table.as_union_value())
}

/// A `StartAck` as a frame.
#[must_use]
pub fn encode_start_ack(ack: &StartAck) -> Vec<u8> {
    let mut fbb = builder();
    let args = generated::StartAckArgs {
        status: generated::Status(ack.status.to_wire()),
        session: ack.session,
        module: text(&mut fbb, &ack.module),
        nonce: ack.nonce,
        reason: generated::Reason(ack.reason.to_wire()),
        detail: text(&mut fbb, &ack.detail),
        retry_after_ms: ack.retry_after_ms,
        idle_timeout_ms: ack.idle_timeout_ms,
        max_items: ack.max_items,
        version: ack.version,
        resync: texts(&mut fbb, &ack.resync),
    };
    let table = generated::StartAck::create(&mut fbb, &args);
    finish(&mut fbb, Content::StartAck, table.as_union_value())
}

/// An `EndAck` as a frame.
#[must_use]
pub fn encode_end_ack(ack: &EndAck) -> Vec<u8> {
    let mut fbb = builder();
    let failed: Vec<_> = ack
        .failed
        .iter()
        .map(|item| failed_item(&mut fbb, item))
        .collect();
    let args = generated::EndAckArgs {
        status: generated::Status(ack.status.to_wire()),
        session: ack.session,
        module: text(&mut fbb, &ack.module),
        reason: generated::Reason(ack.reason.to_wire()),
        detail: text(&mut fbb, &ack.detail),
        retry_after_ms: ack.retry_after_ms,
        failed: list(&mut fbb, &failed),
        failed_more: ack.failed_more,
        version: ack.version,
        resync: texts(&mut fbb, &ack.resync),
    };
    let table = generated::EndAck::create(&mut fbb, &args);
    finish(&mut fbb, Content::EndAck, table.as_union_value())
}

fn failed_item(fbb: &mut Builder, item: &FailedItem) -> WIPOffset<generated::FailedItem<'static>> {
    let args = generated::FailedItemArgs {
        seq: item.seq,
        status: item.status,
        type_: text(fbb, &item.kind),
        reason: generated::Reason(item.reason.to_wire()),
        retryable: item.retryable,
        detail: text(fbb, &item.detail),
    };
    generated::FailedItem::create(fbb, &args)
}

/// A `ReqRet` as a frame.
#[must_use]
pub fn encode_req_ret(request: &ReqRet) -> Vec<u8> {
    let mut fbb = builder();
    let pairs = request.seq.iter().map(|&Pair { begin, end }| {
        generated::Pair::create(&mut fbb, &generated::PairArgs { begin, end })
    });
    let pairs: Vec<_> = pairs.collect();
    let args = generated::ReqRetArgs {
        seq: list(&mut fbb, &pairs),
        session: request.session,
        module: text(&mut fbb, &request.module),
    };
    let table = generated::ReqRet::create(&mut fbb, &args);
    finish(&mut fbb, Content::ReqRet, table.as_union_value())
}

/// A `DataClean` as a frame.
#[must_use]
pub fn encode_data_clean(clean: &DataClean) -> Vec<u8> {
    let mut fbb = builder();
    let args = generated::DataCleanArgs {
        seq: clean.seq,
        session: clean.session,
        index: optional(&mut fbb, clean.index.as_deref()),
    };
    let table = generated::DataClean::create(&mut fbb, &args);
    finish(&mut fbb, Content::DataClean, table.as_union_value())
}

/// A `DataContext` as a frame.
#[must_use]
pub fn encode_data_context(context: &DataContext) -> Vec<u8> {
    let mut fbb = builder();
    let args = generated::DataContextArgs {
        seq: context.seq,
        session: context.session,
        id: optional(&mut fbb, context.id.as_deref()),
        index: optional(&mut fbb, context.index.as_deref()),
        data: context
            .data
            .as_deref()
            .map(|payload| bytes(&mut fbb, payload)),
    };
    let table = generated::DataContext::create(&mut fbb, &args);
    finish(&mut fbb, Content::DataContext, table.as_union_value())
}

/// A `ChecksumModule` as a frame.
#[must_use]
pub fn encode_checksum_module(module: &ChecksumModule) -> Vec<u8> {
    let mut fbb = builder();
    let args = generated::ChecksumModuleArgs {
        seq: module.seq,
        session: module.session,
        index: optional(&mut fbb, module.index.as_deref()),
        checksum: text(&mut fbb, &module.checksum),
    };
    let table = generated::ChecksumModule::create(&mut fbb, &args);
    finish(&mut fbb, Content::ChecksumModule, table.as_union_value())
}

/// A Hello as a frame.
#[must_use]
pub fn encode_hello(hello: &Hello) -> Vec<u8> {
    let mut fbb = builder();
    let args = generated::HelloArgs {
        protocol_version: hello.protocol_version,
        agent_id: hello.agent_id,
        agent_name: text(&mut fbb, &hello.agent_name),
        agent_version: text(&mut fbb, &hello.agent_version),
        features: hello.features,
    };
    let table = generated::Hello::create(&mut fbb, &args);
    finish(&mut fbb, Content::Hello, table.as_union_value())
}

/// Wraps a table into the message and takes the frame out of the builder.
pub(super) fn finish(
    fbb: &mut Builder,
    content_type: Content,
    content: WIPOffset<UnionWIPOffset>,
) -> Vec<u8> {
    let args = generated::MessageArgs {
        content_type,
        content: Some(content),
    };
    let message = generated::Message::create(fbb, &args);
    generated::finish_message_buffer(fbb, message);
    fbb.finished_data().to_vec()
}

fn text(fbb: &mut Builder, value: &str) -> Option<Text> {
    (!value.is_empty()).then(|| fbb.create_string(value))
}

fn optional(fbb: &mut Builder, value: Option<&str>) -> Option<Text> {
    value.map(|value| fbb.create_string(value))
}

fn texts(fbb: &mut Builder, values: &[String]) -> Option<List<&'static str>> {
    let values: Vec<Text> = values
        .iter()
        .map(|value| fbb.create_string(value))
        .collect();
    list(fbb, &values)
}

fn list<T>(fbb: &mut Builder, values: &[WIPOffset<T>]) -> Option<List<T>> {
    (!values.is_empty()).then(|| fbb.create_vector(values))
}

/// The contract's payload is a vector of signed bytes; on the wire they are the same bytes.
fn bytes(fbb: &mut Builder, payload: &[u8]) -> Bytes {
    WIPOffset::new(fbb.create_vector(payload).value())
}
