//! Decoding and encoding.

use inventory_sync_core::wire::{
    BatchBuilder, DataView, Item, Message, decode, encode_checksum_module, encode_data,
    encode_data_clean, encode_data_context, encode_end, encode_end_ack, encode_hello,
    encode_req_ret, encode_start, encode_start_ack,
};

/// Any bytes give a message or an error, the same at any alignment; a message that our encoder can
/// write reads as it did before.
///
/// # Panics
/// When that does not hold.
pub fn wire_decode(bytes: &[u8]) {
    let message = decode(bytes).ok();
    let mut shifted = vec![0];
    shifted.extend_from_slice(bytes);
    let moved = decode(&shifted[1..]).ok();
    assert_eq!(
        message.as_ref().map(tell),
        moved.as_ref().map(tell),
        "alignment decides"
    );

    let Some(message) = message else { return };
    let Some(again) = encode(&message) else {
        return;
    };
    match decode(&again) {
        Ok(copy) => assert_eq!(tell(&copy), tell(&message), "the copy reads otherwise"),
        Err(error) => panic!("what we wrote is {error}"),
    }
}

/// Everything that a message says, as text.
fn tell(message: &Message<'_>) -> String {
    match message {
        Message::Data(data) => format!("Data of {} {}", data.session(), tell_item(data)),
        Message::DataBatch(batch) => {
            // An element that names the batch's session says what one says that names none.
            let items: Vec<String> = batch
                .iter()
                .map(|item| {
                    let is_own = item.session() == 0 || item.session() == batch.session();
                    format!("{} {}", is_own, tell_item(&item))
                })
                .collect();
            format!("DataBatch of {} {items:?}", batch.session())
        }
        other => format!("{other:?}"),
    }
}

fn tell_item(item: &DataView<'_>) -> String {
    format!(
        "{} {} {:?} {:?} {:?} {}",
        item.seq(),
        item.operation_byte(),
        item.id(),
        item.index(),
        item.data(),
        item.version()
    )
}

/// The message anew; `None` for what our encoder has no words for.
fn encode(message: &Message<'_>) -> Option<Vec<u8>> {
    Some(match message {
        Message::Start(start) => encode_start(start),
        Message::Data(data) => encode_data(data.session(), &item(data)?),
        Message::End(end) => encode_end(end),
        Message::StartAck(ack) => encode_start_ack(ack),
        Message::EndAck(ack) => encode_end_ack(ack),
        Message::ReqRet(request) => encode_req_ret(request),
        Message::DataBatch(batch) => {
            let mut builder = BatchBuilder::new(batch.session(), usize::MAX);
            for data in batch.iter() {
                if data.session() != 0 && data.session() != batch.session() {
                    return None;
                }
                builder.push(&item(&data)?).ok()?;
            }
            builder.finish()
        }
        Message::DataClean(clean) => encode_data_clean(clean),
        Message::DataContext(context) => encode_data_context(context),
        Message::ChecksumModule(module) => encode_checksum_module(module),
        Message::Hello(hello) => encode_hello(hello),
        Message::Unknown { .. } => return None,
    })
}

/// An item to send has an operation, an id and an index.
fn item<'a>(data: &DataView<'a>) -> Option<Item<'a>> {
    Some(Item {
        seq: data.seq(),
        operation: data.operation()?,
        id: data.id()?,
        index: data.index()?,
        data: data.data(),
        version: data.version(),
    })
}
