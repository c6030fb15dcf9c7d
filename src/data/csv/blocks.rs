//! Cuts a file into blocks of whole records.

use std::io::Read;

use encoding_rs::{Decoder, UTF_16BE, UTF_16LE, WINDOWS_1252};
use sha2::{Digest, Sha256};

use super::cells::last_record_end;
use crate::data::DataError;
use crate::data::file::{Source, begin_hash};
use crate::data::raw::digest;

/// A record that is longer is an error: perhaps a quote is not closed.
const MAX_RECORD: usize = 256 << 20;

/// What a table is read from, as often as needed.
#[derive(Debug)]
pub(super) enum Input<'a> {
    File(Source),
    /// The name of a file, and its content.
    #[cfg_attr(not(test), expect(dead_code, reason = "for tests of tables that are no files"))]
    Bytes(&'a str, &'a [u8]),
}

impl Input<'_> {
    pub fn name(&self) -> &str {
        match self {
            Input::File(source) => &source.name,
            Input::Bytes(name, _) => name,
        }
    }

    /// Bytes of content, as far as the file says.
    pub fn length(&self) -> Option<u64> {
        match self {
            Input::File(source) => source.length,
            Input::Bytes(_, bytes) => Some(bytes.len() as u64),
        }
    }

    pub fn is_packed(&self) -> bool {
        matches!(self, Input::File(source) if source.is_packed())
    }

    pub fn reader(&self) -> Result<Box<dyn Read + Send + '_>, DataError> {
        match self {
            Input::File(source) => Ok(source.reader()?),
            Input::Bytes(_, bytes) => Ok(Box::new(*bytes)),
        }
    }

    /// SHA-256 of the content.
    pub fn digest(&self) -> Result<[u8; 32], DataError> {
        match self {
            Input::File(source) => source.digest(),
            Input::Bytes(_, bytes) => Ok(digest(&[bytes])),
        }
    }

    pub fn error(&self, error: std::io::Error, so_far: u64) -> DataError {
        match self {
            Input::File(source) => source.error(error, so_far),
            Input::Bytes(name, _) => DataError::file(name, error.to_string(), "check the file"),
        }
    }
}

/// How bytes become text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
    /// Latin-1 with printable characters in place of some controls.
    Windows1252,
}

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "UTF-8",
            Encoding::Utf16Le | Encoding::Utf16Be => "UTF-16",
            Encoding::Windows1252 => "Windows-1252",
        }
    }

    /// None for UTF-8, which needs none.
    fn decoder(self) -> Option<Decoder> {
        match self {
            Encoding::Utf8 => None,
            Encoding::Utf16Le => Some(UTF_16LE.new_decoder_without_bom_handling()),
            Encoding::Utf16Be => Some(UTF_16BE.new_decoder_without_bom_handling()),
            Encoding::Windows1252 => Some(WINDOWS_1252.new_decoder_without_bom_handling()),
        }
    }
}

/// A file as text in UTF-8 (not checked if that is its encoding), a few MiB at a time.
pub(super) struct Text<'a> {
    input: &'a Input<'a>,
    reader: Box<dyn Read + Send + 'a>,
    decoder: Option<Decoder>,
    raw: Vec<u8>,
    decoded: String,
    /// Bytes of content so far.
    n_bytes: u64,
    ended: bool,
    /// Over the content, where it is not the text.
    hash: Option<Sha256>,
}

impl<'a> Text<'a> {
    pub fn new(input: &'a Input<'a>, encoding: Encoding) -> Result<Text<'a>, DataError> {
        let decoder = encoding.decoder();
        Ok(Text {
            input,
            reader: input.reader()?,
            hash: decoder.as_ref().map(|_| begin_hash(input.length())),
            decoder,
            raw: Vec::new(),
            decoded: String::new(),
            n_bytes: 0,
            ended: false,
        })
    }

    /// Whether the last read came to the end of the file.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Appends about `n` bytes to `text`, less only at the end of the file.
    pub fn read(&mut self, text: &mut Vec<u8>, n: usize) -> Result<(), DataError> {
        if self.ended {
            return Ok(());
        }
        let error = |e, so_far| Err(self.input.error(e, so_far));
        let target = if self.decoder.is_some() { &mut self.raw } else { &mut *text };
        let got = match (&mut self.reader).take(n as u64).read_to_end(target) {
            Ok(got) => got,
            Err(e) => return error(e, self.n_bytes),
        };
        self.n_bytes += got as u64;
        self.ended = got < n;
        let Some(decoder) = &mut self.decoder else { return Ok(()) };
        if let Some(hash) = &mut self.hash {
            hash.update(&self.raw);
        }
        let room = decoder.max_utf8_buffer_length(self.raw.len()).unwrap_or(4 * self.raw.len() + 16);
        self.decoded.reserve(room);
        let (_, _, replaced) = decoder.decode_to_string(&self.raw, &mut self.decoded, self.ended);
        if replaced {
            let name = self.input.name();
            return Err(DataError::file(name, "is damaged UTF-16 text", "save it as UTF-8"));
        }
        text.extend_from_slice(self.decoded.as_bytes());
        self.decoded.clear();
        self.raw.clear();
        Ok(())
    }
}

/// Blocks of whole records, in order.
pub(super) struct Blocks<'a> {
    text: Text<'a>,
    separator: u8,
    size: usize,
    /// The start of a record whose end is not read yet.
    rest: Vec<u8>,
    /// Text passed over, at the start.
    pub skipped: Vec<u8>,
}

impl<'a> Blocks<'a> {
    /// Blocks of about `size` bytes of the text after its first `skip` bytes.
    pub fn new(
        input: &'a Input<'a>,
        encoding: Encoding,
        separator: u8,
        size: usize,
        skip: usize,
    ) -> Result<Blocks<'a>, DataError> {
        let mut text = Text::new(input, encoding)?;
        let mut skipped = Vec::new();
        while skipped.len() < skip && !text.ended {
            let more = size.max(skip - skipped.len());
            text.read(&mut skipped, more)?;
        }
        let rest = skipped.split_off(skip.min(skipped.len()));
        Ok(Blocks { text, separator, size, rest, skipped })
    }

    /// At most `n` blocks; none at the end of the file.
    pub fn batch(&mut self, n: usize) -> Result<Vec<Vec<u8>>, DataError> {
        let mut batch = Vec::new();
        while batch.len() < n
            && let Some(block) = self.next()?
        {
            batch.push(block);
        }
        Ok(batch)
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, DataError> {
        let mut block = Vec::with_capacity(self.size + self.rest.len() + 64);
        block.append(&mut self.rest);
        let mut wanted = self.size;
        loop {
            while block.len() < wanted && !self.text.ended {
                let more = wanted - block.len();
                self.text.read(&mut block, more)?;
            }
            if self.text.ended {
                return Ok((!block.is_empty()).then_some(block));
            }
            // The second half of a line end may come later.
            let known = block.len() - usize::from(block.last() == Some(&b'\r'));
            let (end, open) = last_record_end(&block[..known], self.separator);
            if let Some(end) = end {
                self.rest = block.split_off(end);
                return Ok(Some(block));
            }
            if block.len() >= MAX_RECORD {
                let what = match open {
                    Some(_) => "has a quote that is not closed within 256 MiB",
                    None => "has a line of more than 256 MiB",
                };
                return Err(DataError::file(self.text.input.name(), what, "check that it is a table"));
            }
            wanted = 2 * block.len().max(8);
        }
    }

    /// The number of bytes of content, and the hash of them where they are not the text itself.
    pub fn finish(self) -> (u64, Option<Sha256>) {
        (self.text.n_bytes, self.text.hash)
    }
}
