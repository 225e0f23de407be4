//! What is written is read back, and what is absent stays absent.

use super::read;
use crate::wire::*;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z0-9:\\\\ -]{1,40}", "\\PC{0,12}"]
}

fn texts() -> impl Strategy<Value = Vec<String>> {
    vec(text(), 0..4)
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()]
}

fn status() -> impl Strategy<Value = Status> {
    select(Status::ALL)
}

fn reason() -> impl Strategy<Value = Reason> {
    select(Reason::ALL)
}

fn agent_info() -> impl Strategy<Value = AgentInfo> {
    let names = (text(), text(), text(), text());
    let os = (text(), text(), text(), text());
    (names, os, texts()).prop_map(|(names, os, groups)| AgentInfo {
        name: names.0,
        version: names.1,
        architecture: names.2,
        hostname: names.3,
        os_name: os.0,
        os_platform: os.1,
        os_type: os.2,
        os_version: os.3,
        groups,
    })
}

prop_compose! {
    fn start()(
        mode in option::of(select(Mode::ALL)),
        numbers in [number(), number(), number(), number(), number()],
        protocol_version: u16,
        module in text(),
        indices in texts(),
        agent in option::of(agent_info()),
        cluster_name in text(),
        ids in (option::of(text()), option::of(text())),
    ) -> Start {
        let [size, agent_id, nonce, global_version, version_floor] = numbers;
        Start { mode, size, module, agent_id, protocol_version, nonce, indices, agent,
            global_version, cluster_name, version_floor, id_from: ids.0, id_to: ids.1 }
    }
}

prop_compose! {
    fn start_ack()(
        status in status(), reason in reason(), numbers in [number(), number(), number(), number()],
        module in text(), detail in text(), waits: (u32, u32), resync in texts(),
    ) -> StartAck {
        let [session, nonce, max_items, version] = numbers;
        StartAck { status, session, module, nonce, reason, detail, retry_after_ms: waits.0,
            idle_timeout_ms: waits.1, max_items, version, resync }
    }
}

prop_compose! {
    fn failed_item()(
        seq in number(), status: u16, kind in text(), reason in reason(), retryable: bool,
        detail in text(),
    ) -> FailedItem {
        FailedItem { seq, status, kind, reason, retryable, detail }
    }
}

prop_compose! {
    fn end_ack()(
        status in status(), reason in reason(), session in number(), version in number(),
        module in text(), detail in text(), retry_after_ms: u32,
        failed in vec(failed_item(), 0..5), failed_more: bool, resync in texts(),
    ) -> EndAck {
        EndAck { status, session, module, reason, detail, retry_after_ms, failed, failed_more,
            version, resync }
    }
}

prop_compose! {
    fn req_ret()(
        seq in vec((number(), number()), 0..6), session in number(), module in text(),
    ) -> ReqRet {
        let seq = seq.into_iter().map(|(begin, end)| Pair { begin, end }).collect();
        ReqRet { seq, session, module }
    }
}

type OwnedItem = (u64, Operation, String, String, Option<Vec<u8>>, u64);

fn owned_item() -> impl Strategy<Value = OwnedItem> {
    let index = select(vec![
        "wazuh-states-inventory-packages".to_owned(),
        "wazuh-states-fim-files".to_owned(),
        String::new(),
    ]);
    let data = option::of(vec(any::<u8>(), 0..200));
    (
        number(),
        select(Operation::ALL),
        text(),
        index,
        data,
        number(),
    )
}

fn borrow(item: &OwnedItem) -> Item<'_> {
    let (seq, operation, id, index, data, version) = item;
    Item {
        seq: *seq,
        operation: *operation,
        id,
        index,
        data: data.as_deref(),
        version: *version,
    }
}

fn assert_reads_as(view: &DataView<'_>, session: u64, item: &Item<'_>) {
    assert_eq!(view.seq(), item.seq);
    assert_eq!(view.session(), session);
    assert_eq!(view.operation(), Some(item.operation));
    assert_eq!(view.id(), Some(item.id));
    assert_eq!(view.index(), Some(item.index));
    assert_eq!(view.data(), item.data);
    assert_eq!(view.version(), item.version);
}

proptest! {
    #[test]
    fn starts(value in start()) {
        prop_assert_eq!(*read!(encode_start(&value), Start), value);
    }

    #[test]
    fn acknowledgements(first in start_ack(), last in end_ack()) {
        prop_assert_eq!(read!(encode_start_ack(&first), StartAck), first);
        prop_assert_eq!(read!(encode_end_ack(&last), EndAck), last);
    }

    #[test]
    fn retransmission_requests(value in req_ret()) {
        prop_assert_eq!(read!(encode_req_ret(&value), ReqRet), value);
    }

    #[test]
    fn small_messages(
        numbers in (number(), number(), any::<u16>()),
        texts in (text(), text()),
        optional in (option::of(text()), option::of(text()), option::of(vec(any::<u8>(), 0..50))),
    ) {
        let (seq, session, protocol_version) = numbers;
        let (id, index, data) = optional;
        let end = End { session };
        prop_assert_eq!(read!(encode_end(&end), End), end);
        let clean = DataClean { seq, session, index: index.clone() };
        prop_assert_eq!(read!(encode_data_clean(&clean), DataClean), clean);
        let module = ChecksumModule { seq, session, index: index.clone(), checksum: texts.0.clone() };
        prop_assert_eq!(read!(encode_checksum_module(&module), ChecksumModule), module);
        let context = DataContext { seq, session, id, index, data };
        prop_assert_eq!(read!(encode_data_context(&context), DataContext), context);
        let hello = Hello { protocol_version, agent_id: seq, agent_name: texts.0,
            agent_version: texts.1, features: session };
        prop_assert_eq!(read!(encode_hello(&hello), Hello), hello);
    }

    #[test]
    fn items(session in number(), item in owned_item()) {
        let frame = encode_data(session, &borrow(&item));
        assert_reads_as(&read!(frame, Data), session, &borrow(&item));
    }

    #[test]
    fn batches_keep_items_order_and_limit(
        session in number(),
        items in vec(owned_item(), 0..40),
        limit_bytes in 200_usize..6000,
    ) {
        let mut batch = BatchBuilder::new(session, limit_bytes);
        let mut kept = Vec::new();
        for item in &items {
            match batch.push(&borrow(item)) {
                Ok(()) => kept.push(item),
                Err(NotAdded::Full) => prop_assert!(!batch.is_empty()),
                Err(NotAdded::TooLarge) => prop_assert!(batch.is_empty()),
            }
        }
        let frame = batch.finish();
        prop_assert!(frame.len() <= limit_bytes, "{} > {limit_bytes}", frame.len());
        let view = read!(frame, DataBatch);
        prop_assert_eq!((view.session(), view.len()), (session, kept.len()));
        prop_assert_eq!(view.is_empty(), kept.is_empty());
        for (data, item) in view.iter().zip(kept) {
            assert_reads_as(&data, 0, &borrow(item));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(Message::DataBatch(batch)) = decode(&bytes) {
            prop_assert!(batch.iter().count() <= bytes.len());
        }
    }
}

#[test]
fn a_batch_is_nearly_filled_before_it_refuses() {
    let limit_bytes = 64 * 1024;
    let payload = [b'x'; 300];
    let mut batch = BatchBuilder::new(7, limit_bytes);
    let item = |seq| Item {
        seq,
        operation: Operation::Upsert,
        id: "0123456789abcdef0123456789abcdef01234567",
        index: "wazuh-states-inventory-packages",
        data: Some(&payload),
        version: 1,
    };
    let mut seq = 0;
    while batch.push(&item(seq)).is_ok() {
        seq += 1;
    }
    assert_eq!(batch.push(&item(seq)), Err(NotAdded::Full));
    let frame = batch.finish();
    assert!(
        frame.len() <= limit_bytes && frame.len() > limit_bytes - 900,
        "{}",
        frame.len()
    );
    assert_eq!(
        BatchBuilder::new(7, 400).push(&item(0)),
        Err(NotAdded::TooLarge)
    );
}

#[test]
fn a_mebibyte_of_small_items_verifies() {
    let limit_bytes = 1 << 20;
    let mut batch = BatchBuilder::new(7, limit_bytes);
    let mut seq = 0;
    while batch
        .push(&Item {
            seq,
            operation: Operation::Upsert,
            id: "a",
            index: "wazuh-states-inventory-browser-extensions",
            data: Some(b"{}"),
            version: 0,
        })
        .is_ok()
    {
        seq += 1;
    }
    assert!(seq > 16_000, "only {seq} items of at most 64 bytes");
    let frame = batch.finish();
    assert_eq!(
        read!(frame, DataBatch)
            .iter()
            .map(|data| data.seq())
            .sum::<u64>(),
        seq * (seq - 1) / 2
    );
}
