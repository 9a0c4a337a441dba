//! Doors for the fuzz targets: a response read from pieces of bytes, as a connection would. Compiled with `testing` alone.

use bytes::BytesMut;
use http::{HeaderMap, Method, StatusCode};

use super::decode::{Decoder, Piece};
use super::{Error, HEAD_BYTES_MAX, head};

/// A whole response.
#[derive(Debug, PartialEq, Eq)]
pub struct Whole {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// What came after the body and belongs to it.
    pub trailers: Option<HeaderMap>,
    /// How many bytes came after its end.
    pub left: usize,
}

/// The response in these pieces, after which the connection ends; `None` when it is none, or not all.
#[must_use]
pub fn response<'p>(method: &Method, pieces: impl Iterator<Item = &'p [u8]>) -> Option<Whole> {
    read(method, pieces).ok()?
}

fn read<'p>(method: &Method, pieces: impl Iterator<Item = &'p [u8]>) -> Result<Option<Whole>, Error> {
    let mut input = BytesMut::new();
    let mut found: Option<(Whole, Decoder)> = None;
    for piece in pieces {
        input.extend_from_slice(piece);
        if found.is_none() {
            found = match head::parse(&mut input)? {
                Some(mut parsed) => {
                    let decoder = Decoder::of(method, &mut parsed)?;
                    let (status, headers) = (parsed.status(), std::mem::take(parsed.headers_mut()));
                    Some((Whole { status, headers, body: Vec::new(), trailers: None, left: 0 }, decoder))
                }
                None if input.len() >= HEAD_BYTES_MAX => return Err(Error::HeadTooLarge),
                None => None,
            };
        }
        let Some((whole, decoder)) = &mut found else { continue };
        while let Some(piece) = decoder.next(&mut input)? {
            match piece {
                Piece::Data(data) => whole.body.extend_from_slice(&data),
                Piece::Trailers(trailers) => whole.trailers = Some(trailers),
            }
        }
    }
    Ok(found
        .filter(|(_, decoder)| decoder.is_done() || *decoder == Decoder::Close)
        .map(|(whole, _)| Whole { left: input.len(), ..whole }))
}
