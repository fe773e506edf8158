//! Compression, one piece at a time: a small chunk may become a large one.
//!
//! Spec: <https://compression.spec.whatwg.org/>

use std::{
    cell::RefCell,
    io::{self, Write},
};

use bytes::{Buf, Bytes};
use flate2::{
    Compression,
    write::{DeflateDecoder, DeflateEncoder, GzDecoder, GzEncoder, ZlibDecoder, ZlibEncoder},
};
use rquickjs::{Class, Ctx, JsLifetime, TypedArray, Value};

use crate::js::{
    exception::{Outcome, Thrown},
    idl::{Convert, interface, native_operation},
    kit::kit,
    values::{bytes_of, uint8_array},
};

/// What one step gives to a compressor. A decompressor writes 32 KiB a step, however much it is given.
const STEP_BYTES: usize = 64 * 1024;

/// A compressor or decompressor and its input; script never sees it.
#[derive(JsLifetime)]
struct Codec {
    coder: RefCell<Box<dyn Coder>>,
    decompresses: bool,
    input: RefCell<Bytes>,
}

interface!(Codec);

/// Something that bytes are written to, and whose output lies in a vector.
trait Coder: Write {
    fn output(&mut self) -> &mut Vec<u8>;
    /// No more is written.
    fn end(&mut self) -> io::Result<()>;
}

macro_rules! coders {
    ($($coder:ident)*) => { $(
        impl Coder for $coder<Vec<u8>> {
            fn output(&mut self) -> &mut Vec<u8> {
                self.get_mut()
            }

            fn end(&mut self) -> io::Result<()> {
                self.try_finish()
            }
        }
    )* };
}

coders!(GzEncoder GzDecoder ZlibEncoder ZlibDecoder DeflateEncoder DeflateDecoder);

pub(super) fn install(ctx: &Ctx<'_>) -> rquickjs::Result<()> {
    let kit = kit(ctx)?;
    let new_codec = native_operation(ctx, "newCodec", 2, |arguments| {
        let format = arguments.get(0).to_usv_string()?;
        let decompresses = arguments.get(1).to_boolean()?;
        let coder = coder_of(&format, decompresses);
        let coder = coder.ok_or_else(|| Thrown::type_error(format!("`{format}` is not a format of compression")))?;
        let codec = Codec { coder: RefCell::new(coder), decompresses, input: RefCell::default() };
        Ok(Class::instance(arguments.ctx().clone(), codec)?)
    })?;
    kit.give("newCodec", new_codec)?;
    let feed = native_operation(ctx, "codecFeed", 2, |arguments| {
        codec_in(&arguments.get(0))?.borrow().input.replace(bytes_of(&arguments.get(1))?);
        Ok(())
    })?;
    kit.give("codecFeed", feed)?;
    kit.give("codecStep", native_operation(ctx, "codecStep", 1, |arguments| step(&arguments.get(0)))?)?;
    kit.give("codecEnd", native_operation(ctx, "codecEnd", 1, |arguments| end(&arguments.get(0)))?)
}

fn coder_of(format: &str, decompresses: bool) -> Option<Box<dyn Coder>> {
    let level = Compression::default();
    Some(match (format, decompresses) {
        ("gzip", false) => Box::new(GzEncoder::new(Vec::new(), level)),
        ("gzip", true) => Box::new(GzDecoder::new(Vec::new())),
        ("deflate", false) => Box::new(ZlibEncoder::new(Vec::new(), level)),
        ("deflate", true) => Box::new(ZlibDecoder::new(Vec::new())),
        ("deflate-raw", false) => Box::new(DeflateEncoder::new(Vec::new(), level)),
        ("deflate-raw", true) => Box::new(DeflateDecoder::new(Vec::new())),
        _ => return None,
    })
}

fn codec_in<'js>(value: &Value<'js>) -> Outcome<'js, Class<'js, Codec>> {
    Class::from_value(value).map_err(|_| Thrown::type_error("not a codec"))
}

/// Some of the input's output, or `None` where there is no more input.
fn step<'js>(value: &Value<'js>) -> Outcome<'js, Option<TypedArray<'js, u8>>> {
    let codec = codec_in(value)?;
    let codec = codec.borrow();
    let mut input = codec.input.borrow_mut();
    if input.is_empty() {
        return Ok(None);
    }
    let mut coder = codec.coder.borrow_mut();
    let piece = &input[..input.len().min(STEP_BYTES)];
    let taken = coder.write(piece).map_err(corrupt)?;
    if taken == 0 && coder.output().is_empty() {
        return Err(Thrown::type_error("there is more behind the end of what was compressed"));
    }
    input.advance(taken);
    // A compressor would end a block with each chunk.
    if input.is_empty() && codec.decompresses {
        coder.flush().map_err(corrupt)?;
    }
    uint8_array(value.ctx(), std::mem::take(coder.output())).map(Some)
}

/// The rest of the output.
fn end<'js>(value: &Value<'js>) -> Outcome<'js, TypedArray<'js, u8>> {
    let codec = codec_in(value)?;
    let codec = codec.borrow();
    let mut coder = codec.coder.borrow_mut();
    coder.end().map_err(corrupt)?;
    uint8_array(value.ctx(), std::mem::take(coder.output()))
}

#[allow(clippy::needless_pass_by_value, reason = "it stands where a function that takes an error is asked for")]
fn corrupt<'js>(error: io::Error) -> Thrown<'js> {
    Thrown::type_error(format!("the bytes are not what the format says, or not all of it: {error}"))
}
