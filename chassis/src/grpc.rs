//! Answers of every service's gRPC edge.

use prost::Message;
use tonic::{Response, Status};

use crate::edge::Room;

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
