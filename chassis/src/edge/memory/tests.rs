//! Room that is taken and given back.

use super::*;

const LARGE: usize = REQUESTS / COPIES;

fn read(memory: &Memory, length: Length, parts: &[&[u8]]) -> (tokio::task::JoinHandle<usize>, Slot) {
    read_of(1, memory, length, parts)
}

fn read_of(
    key: u64,
    memory: &Memory,
    length: Length,
    parts: &[&[u8]],
) -> (tokio::task::JoinHandle<usize>, Slot) {
    let parts: Vec<_> = parts.iter().map(|part| Ok::<_, axum::Error>(Bytes::from(part.to_vec()))).collect();
    let body = Body::from_stream(tokio_stream::iter(parts));
    let (weighed, slot) = BudgetedBody::new(body, memory, length, key);
    let reading = async move { axum::body::to_bytes(Body::new(weighed), usize::MAX).await.unwrap().len() };
    (tokio::spawn(reading), slot)
}

#[tokio::test]
async fn large_messages_wait_for_each_other_and_small_ones_for_nobody() {
    let memory = Memory::default();
    let (first, slot) = read(&memory, Length::Exact(LARGE), &[b"one"]);
    assert_eq!(first.await.unwrap(), 3);
    // Its length comes in two parts.
    let length = u32::try_from(LARGE).unwrap().to_be_bytes();
    let (second, _slot) =
        read(&memory, Length::Prefixed(Vec::new()), &[&[0, length[0]], &length[1..], b"two"]);
    let (small, _) = read(&memory, Length::Exact(SMALL - 1), &[b"small"]);
    assert_eq!(small.await.unwrap(), 5);
    let (small, _) = read(&memory, Length::Prefixed(Vec::new()), &[&[0, 0, 0, 0, 2], b"ok"]);
    assert_eq!(small.await.unwrap(), 7);
    assert!(!second.is_finished());
    drop(slot);
    assert_eq!(second.await.unwrap(), 8);
}

#[tokio::test]
async fn a_caller_has_a_share_of_the_room_or_one_large_message() {
    let memory = Memory::default();
    let (first, held) = read_of(1, &memory, Length::Exact(LARGE / 2), &[b"one"]);
    assert_eq!(first.await.unwrap(), 3);
    let (second, _) = read_of(1, &memory, Length::Exact(SMALL), &[b"two"]);
    let (other, kept) = read_of(2, &memory, Length::Exact(LARGE / 8), &[b"three"]);
    assert_eq!(other.await.unwrap(), 5);
    let (more, _) = read_of(2, &memory, Length::Exact(LARGE / 8), &[b"four"]);
    assert_eq!(more.await.unwrap(), 4);
    assert!(!second.is_finished());
    memory.tidy();
    drop(held);
    assert_eq!(second.await.unwrap(), 3);
    drop(kept);
    memory.tidy();
    let left = memory.requests.shares.of(1, || Semaphore::new(7));
    assert_eq!(left.available_permits(), 7, "whoever has no room is forgotten");
}

#[tokio::test]
async fn room_is_given_back_as_far_as_it_is_not_needed() {
    let memory = Memory::default();
    let room = memory.room(usize::MAX).await;
    let other = tokio::spawn({
        let memory = memory.clone();
        async move { memory.room(ANSWERS / 2).await }
    });
    tokio::task::yield_now().await;
    assert!(!other.is_finished());
    room.shrink(ANSWERS / 2);
    let other = other.await.unwrap();
    assert_eq!(memory.answers.room.available_permits(), 0);
    drop((room, other));
    assert_eq!(memory.answers.room.available_permits(), ANSWERS / UNIT);
}

#[tokio::test]
async fn whoever_reads_nothing_gets_no_further_large_answer_and_others_do() {
    let memory = Memory::default();
    let large = ANSWERS / 8;
    let answer = async |key| {
        let room = CALLER.scope(key, memory.room(large)).await;
        let mut sent = Extensions::new();
        room.keep(&mut sent, large);
        sent
    };
    let unread = [answer(1).await, answer(1).await];
    let (mut third, mut fourth) = (Box::pin(answer(1)), Box::pin(answer(1)));
    assert!(futures_util::poll!(&mut fourth).is_pending(), "it waits for its share, and not among all");
    assert!(futures_util::poll!(&mut third).is_pending(), "its share is full");
    let other = answer(2).await;
    assert!(futures_util::poll!(&mut third).is_pending());
    drop(unread);
    let (third, fourth) = tokio::join!(third, fourth);
    drop((other, third, fourth));
    assert_eq!(memory.answers.room.available_permits(), ANSWERS / UNIT);
    memory.tidy();
    let left = memory.answers.shares.of(1, || Semaphore::new(7));
    assert_eq!(left.available_permits(), 7, "whoever has read everything is forgotten");
}
