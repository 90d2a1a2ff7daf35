//! The parts of a report that is a whole message: MIME, with its encodings and character sets.

use mail_parser::{HeaderValue, Message, MessageParser, MimeHeaders, PartType, decoders::html::html_to_text};

/// Messages within messages, each of which takes some of the stack. A report has the original in it, and that may be a
/// report of its own.
const NESTED_MAX: usize = 32;

/// Parts that are read. A report has three.
const PARTS_MAX: usize = 100;

/// Text of a message in markup, as text.
const HTML_BYTES_MAX: usize = 1 << 20;

/// What a message holds.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Fields for programs, decoded.
    pub(super) statuses: Vec<String>,
    /// Words for people.
    pub(super) texts: Vec<String>,
    /// The original's id.
    pub(super) original_ids: Vec<String>,
    /// The id of what this answers.
    pub(super) answered_ids: Vec<String>,
    /// Its own.
    pub(super) own_ids: Vec<String>,
}

/// The parts of a message; `None` if the bytes are none, or one that is built to do harm.
pub(super) fn parts(bytes: &[u8]) -> Option<Parts> {
    let bytes = with_header(bytes)?;
    let message = MessageParser::default().parse(&*bytes)?;
    let mut parts = Parts::default();
    parts.own_ids.extend(message.message_id().map(bracketed));
    parts.answered_ids.extend(ids(message.in_reply_to()));
    parts.answered_ids.extend(ids(message.references()));
    let original = message.header("X-Original-Message-ID").and_then(HeaderValue::as_text);
    parts.original_ids.extend(original.map(bracketed));
    parts.add(&message);
    Some(parts)
}

/// The message with a header that tells its boundary, which a copy of the body alone has lost.
fn with_header(bytes: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    if count(bytes, b"message/") > NESTED_MAX || count(bytes, b"content-type:") == 0 {
        return None;
    }
    let bytes = bytes.trim_ascii_start();
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    match line.strip_prefix(b"--") {
        Some(boundary) if !boundary.is_empty() && !boundary.contains(&b'"') => {
            let mut whole = b"Content-Type: multipart/report; boundary=\"".to_vec();
            whole.extend_from_slice(boundary);
            whole.extend_from_slice(b"\"\r\n\r\n");
            whole.extend_from_slice(bytes);
            Some(whole.into())
        }
        _ => is_header(line).then_some(bytes.into()),
    }
}

/// `Name: value`, or the first line of a mailbox.
fn is_header(line: &[u8]) -> bool {
    let end = line.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-');
    end.is_some_and(|end| end > 0 && line[end] == b':') || line.starts_with(b"From ")
}

impl Parts {
    fn add(&mut self, message: &Message<'_>) {
        let mut html = Vec::new();
        for part in message.parts.iter().take(PARTS_MAX) {
            let kind = part.content_type().map(|kind| (kind.ctype(), kind.subtype().unwrap_or_default()));
            let is = |wanted: &str| kind.is_some_and(|(_, subtype)| subtype.eq_ignore_ascii_case(wanted));
            match &part.body {
                PartType::Message(original) => self.original_ids.extend(original.message_id().map(bracketed)),
                PartType::Text(text) if is("rfc822-headers") => self.headers(text.as_bytes()),
                PartType::Text(text) => self.texts.push(text.to_string()),
                PartType::Html(text) => html.push(text),
                PartType::Binary(bytes) | PartType::InlineBinary(bytes) => {
                    if is("delivery-status") || is("global-delivery-status") {
                        self.statuses.push(String::from_utf8_lossy(bytes).into_owned());
                    } else if is("rfc822-headers") || is("global-headers") {
                        self.headers(bytes);
                    }
                }
                PartType::Multipart(_) => {}
            }
        }
        // Markup says the same as the text beside it.
        if self.texts.iter().all(|text| text.trim().is_empty()) {
            let limited = html.iter().map(|text| &text[..text.floor_char_boundary(HTML_BYTES_MAX)]);
            self.texts.extend(limited.map(html_to_text));
        }
    }

    fn headers(&mut self, bytes: &[u8]) {
        let original = MessageParser::default().parse_headers(bytes);
        self.original_ids.extend(original.iter().filter_map(Message::message_id).map(bracketed));
    }
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    value.as_text_list().unwrap_or_default().iter().map(|id| bracketed(id)).collect()
}

fn bracketed(id: &str) -> String {
    format!("<{}>", id.trim().trim_start_matches('<').trim_end_matches('>'))
}

/// How often a word stands there, without case.
fn count(bytes: &[u8], word: &[u8]) -> usize {
    bytes.windows(word.len()).filter(|window| window.eq_ignore_ascii_case(word)).count()
}
