//! Data as it is read: pieces in order, with zeros instead of holes.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt as _,
    stream::{self, BoxStream},
};

use super::{CHUNK, Error, Piece, copy::next_data, on_thread};

/// A part of a file, piece by piece; what is behind its end is zeros.
pub(super) fn pieces(file: File, part: Range<u64>) -> BoxStream<'static, Result<Piece, Error>> {
    let file = Arc::new(file);
    stream::try_unfold(part, move |part| {
        let file = Arc::clone(&file);
        async move {
            if part.is_empty() {
                return Ok(None);
            }
            on_thread(move || {
                let piece = next_piece(&file, &part)?;
                let rest = part.start + piece.len()..part.end;
                Ok(Some((piece, rest)))
            })
            .await
        }
    })
    .boxed()
}

/// The first piece of a part, which is not empty.
fn next_piece(file: &File, part: &Range<u64>) -> io::Result<Piece> {
    let data = match next_data(file, part)? {
        None => return Ok(Piece::Zeros(part.end - part.start)),
        Some(data) if data.start > part.start => return Ok(Piece::Zeros(data.start - part.start)),
        Some(data) => data,
    };
    let length = (data.end - data.start).min(CHUNK as u64);
    let mut bytes = BytesMut::zeroed(usize::try_from(length).unwrap_or(CHUNK));
    file.read_exact_at(&mut bytes, data.start)?;
    let bytes: Bytes = bytes.freeze();
    Ok(if bytes.iter().all(|byte| *byte == 0) { Piece::Zeros(length) } else { Piece::Data(bytes) })
}

static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// Data with its zeros written out, for whoever only knows bytes.
pub fn with_zeros<E: Send + 'static>(
    pieces: BoxStream<'static, Result<Piece, E>>,
) -> impl Stream<Item = Result<Bytes, E>> + Send {
    pieces.flat_map(|piece| match piece {
        Ok(Piece::Data(bytes)) => stream::iter([Ok(bytes)]).left_stream(),
        Ok(Piece::Zeros(count)) => stream::iter(zeros(count)).right_stream(),
        Err(error) => stream::iter([Err(error)]).left_stream(),
    })
}

fn zeros<E>(mut left: u64) -> impl Iterator<Item = Result<Bytes, E>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        left -= length as u64;
        (length > 0).then(|| Ok(Bytes::from_static(&ZEROS[..length])))
    })
}
