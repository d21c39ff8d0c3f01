//! Calls of every service's gRPC edge, and their answers.

use std::sync::Arc;

use common::image::properties::TOTAL_LIMIT;
use prost::Message;
use tonic::{Request, Response, Status};

use crate::{
    caller::{self, Caller},
    deadline::Deadline,
    edge::Room,
    identity,
    page::MAX_BYTES,
};

/// Bytes of memory for a page: what is read, the messages made from that, and the answer they are encoded into.
pub const PAGE: usize = 4 * MAX_BYTES;

/// Bytes of memory for all that a resource remembers of its image, beside what the image says or what the resource will
/// remember.
pub const WITH_IMAGE: usize = 6 * TOTAL_LIMIT;

/// Who is calling, and until when the call must be answered.
pub type CallContext = (Arc<Caller>, Option<Deadline>);

/// The context of a call, and its message.
pub fn open<T>(request: Request<T>) -> Result<(CallContext, T), caller::Error> {
    let deadline = request.extensions().get().copied();
    Ok(((identity::caller(request.extensions())?, deadline), request.into_inner()))
}

/// The answer to a call.
pub type GrpcResult<T> = Result<Response<T>, Status>;

/// An answer, which holds its room until it has been sent.
pub fn answer_in<T: Message>(room: Option<Room>, message: T) -> Response<T> {
    let bytes = message.encoded_len();
    let mut answer = Response::new(message);
    if let Some(room) = room {
        // As the message, and as its bytes.
        room.keep(answer.extensions_mut(), 2 * bytes);
    }
    answer
}
