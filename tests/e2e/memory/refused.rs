//! The largest messages that are refused, for every method: each field as large, or repeated as often, as possible.

use chassis::testing::TestDb;
use harness::service::Service;
use prost::{
    Message as _,
    bytes::BufMut as _,
    encoding::{WireType, encode_key, encode_varint},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

use super::{Peaks, channel, glance, methods, nova, of_demo};

/// Bytes of a message that is as large as a message may be.
const LARGEST: usize = 4 << 20;

pub(super) async fn messages_that_are_refused_fit_into_memory(db: TestDb) {
    let other = db.another().await;
    let glance = glance(&other);
    let nova = nova(&db, &glance);
    refuse_all(&glance, proto::glance::DESCRIPTORS).await;
    refuse_all(&nova, proto::nova::DESCRIPTORS).await;
}

async fn refuse_all(service: &Service, descriptors: &[u8]) {
    let files = FileDescriptorSet::decode(descriptors).unwrap().file;
    let channel = channel(service).await;
    let mut peaks = Peaks(service, Vec::new());
    for file in &files {
        for service in &file.service {
            for method in &service.method {
                let messages = largest(&files, find(&files, method.input_type()).unwrap());
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let refuse = |number: usize| {
                    let message = messages[number % messages.len()].clone();
                    refuse(channel.clone(), path.clone(), message)
                };
                peaks.of(method.name(), refuse).await;
            }
        }
    }
    peaks.check(&methods(descriptors));
}

/// Sends a message, which must be refused.
async fn refuse(channel: Channel, path: String, message: Vec<u8>) -> Result<Status, &'static str> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|_| "the service is not there")?;
    let answer = client.unary(of_demo(message), path.parse().unwrap(), Raw).await;
    answer.err().ok_or("it was not refused")
}

/// The top-level message with this name.
fn find<'a>(files: &'a [prost_types::FileDescriptorProto], name: &str) -> Option<&'a DescriptorProto> {
    files.iter().find_map(|file| {
        let local = name.strip_prefix('.')?.strip_prefix(file.package())?.strip_prefix('.')?;
        file.message_type.iter().find(|message| message.name() == local)
    })
}

/// Messages of this type, each filled by one of its fields.
fn largest(files: &[prost_types::FileDescriptorProto], message: &DescriptorProto) -> Vec<Vec<u8>> {
    let is_entry = |field: &&FieldDescriptorProto| find(files, field.type_name()).is_none();
    let of_messages = message.field.iter().filter(|field| field.r#type() == Type::Message);
    let (entries, nested): (Vec<_>, Vec<_>) = of_messages.partition(is_entry);
    let texts = message.field.iter().filter(|field| field.r#type() == Type::String);
    let texts = texts.map(|field| match field.label() {
        Label::Repeated => filled(|buffer, _| put(buffer, field, b"")),
        _ => {
            let mut buffer = Vec::new();
            put(&mut buffer, field, &vec![b'x'; LARGEST - 64]);
            buffer
        }
    });
    let entries = entries.into_iter().map(|field| filled(|buffer, number| put_entry(buffer, field, number)));
    let nested = nested.into_iter().flat_map(|field| {
        let messages = largest(files, find(files, field.type_name()).unwrap());
        messages.into_iter().map(|message| {
            let mut buffer = Vec::new();
            put(&mut buffer, field, &message);
            buffer
        })
    });
    texts.chain(entries).chain(nested).collect()
}

/// As many of these as fit, with space for what surrounds them.
fn filled(mut add: impl FnMut(&mut Vec<u8>, u32)) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(LARGEST);
    let mut number = 0;
    while buffer.len() < LARGEST - 64 {
        add(&mut buffer, number);
        number += 1;
    }
    buffer
}

fn put(buffer: &mut Vec<u8>, field: &FieldDescriptorProto, value: &[u8]) {
    encode_key(u32::try_from(field.number()).unwrap(), WireType::LengthDelimited, buffer);
    encode_varint(value.len() as u64, buffer);
    buffer.put_slice(value);
}

/// Adds entries of a map, each with a different key.
fn put_entry(buffer: &mut Vec<u8>, field: &FieldDescriptorProto, number: u32) {
    let key = format!("{number:x}");
    let mut entry = Vec::new();
    encode_key(1, WireType::LengthDelimited, &mut entry);
    encode_varint(key.len() as u64, &mut entry);
    entry.put_slice(key.as_bytes());
    put(buffer, field, &entry);
}

/// Sends raw bytes, without reading answers.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, message: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, _: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        Ok(Some(()))
    }
}
