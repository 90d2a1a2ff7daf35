//! Events as XML: one, many under a root, many without one, or one within an article.
//!
//! Event Viewer, `wevtutil`, PowerShell, `evtx_dump` and web pages write the same element in different surroundings:
//!
//! ```xml
//! Record 14
//! <?xml version="1.0" encoding="utf-8"?>
//! <Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"> ... </Event>
//! ```
//!
//! So the surroundings are not read at all: each `<Event>` is a document of its own, found by its name.
//! One that is damaged costs one event, and no byte is read by more than one.

use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesRef, BytesStart, Event as Markup},
};

use super::{
    event::{Event, Outcome},
    fold::Fold,
    tag::Tag,
    value::Value,
};
use crate::{
    kinds::{Document, Kind, Reading},
    text,
};

/// Bytes of one event. In a binary log it has at most 64 KiB, which become some 400 KiB of indented XML.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Bytes at the beginning of a file in which events of CAPI2 must show: articles begin with some pages of text.
const RECOGNISED_BYTES: usize = 1 << 20;

/// Exported events.
pub(crate) struct Capi2Xml;

impl Kind for Capi2Xml {
    fn name(&self) -> &'static str {
        "capi2-xml"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        let beginning = text::decode(&document.bytes[..document.bytes.len().min(RECOGNISED_BYTES)]);
        Events::of(&beginning.text).next().is_some() && MARKS.iter().any(|mark| beginning.text.contains(mark))
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        let decoded = text::decode(document.bytes);
        let mut places = decoded.places();
        let mut event = Event::default();
        let mut fold = Fold::default();
        let (subset, begin) = internal_subset(&decoded.text);
        if let Some(at) = subset {
            reading.reject(places.offset(at), "a document type declaration with definitions");
        }
        for (at, markup) in Events::from(&decoded.text, begin) {
            let outcome = match markup {
                Ok(markup) => outcome(markup, &mut event).unwrap_or_else(Outcome::Rejected),
                Err(why) => Outcome::Rejected(why),
            };
            fold.add(places.offset(at), outcome, reading);
        }
        fold.end(reading);
    }
}

/// What tells events of CAPI2 from others: the provider, or a call where a page leaves it out.
const MARKS: [&str; 5] = [
    "Microsoft-Windows-CAPI2",
    "CertVerifyCertificateChainPolicy",
    "CertGetCertificateChain",
    "CertVerifyRevocation",
    "X509Objects",
];

/// A document type declaration that defines something, and where the text goes on behind it.
///
/// Nothing that it defines is ever put in, so all it could do is to hold text that looks like an event.
/// `<!DOCTYPE html>` defines nothing.
fn internal_subset(text: &str) -> (Option<usize>, usize) {
    let first = Events::of(text).next().map_or(text.len(), |(at, _)| at);
    let Some(at) = text[..first].find("<!DOCTYPE") else { return (None, 0) };
    match text[at..].find(['[', '>']) {
        Some(bracket) if text.as_bytes()[at + bracket] == b'[' => {
            let end = text[at..].find("]>").map_or(text.len(), |end| at + end);
            (Some(at), end)
        }
        _ => (None, 0),
    }
}

/// The events of a text: where each begins, and its markup from `<Event` to `</Event>`.
struct Events<'a> {
    text: &'a str,
    /// Where the next event is looked for.
    at: usize,
}

impl<'a> Events<'a> {
    fn of(text: &'a str) -> Events<'a> {
        Events::from(text, 0)
    }

    fn from(text: &'a str, at: usize) -> Events<'a> {
        Events { text, at }
    }

    /// The next tag of an `Event` element at or behind `from`.
    fn tag(&self, mut from: usize) -> Option<Tagged> {
        while let Some(found) = self.text[from..].find(EVENT) {
            let at = from + found;
            from = at + EVENT.len();
            if let Some((begin, edge)) = edge(self.text, at) {
                return Some(Tagged { begin, edge, behind_name: from });
            }
        }
        None
    }
}

const EVENT: &str = "Event";

/// A start or an end tag.
struct Tagged {
    begin: usize,
    edge: Edge,
    behind_name: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    Start,
    End,
}

impl<'a> Iterator for Events<'a> {
    type Item = (usize, Result<&'a str, &'static str>);

    fn next(&mut self) -> Option<Self::Item> {
        let begin = loop {
            let tag = self.tag(self.at)?;
            self.at = tag.behind_name;
            if tag.edge == Edge::Start {
                break tag.begin;
            }
        };
        // A second start tag shows that the first event is cut.
        let end = match self.tag(self.at) {
            Some(Tagged { begin, edge: Edge::Start, .. }) => begin,
            Some(Tagged { begin, .. }) => self.text[begin..].find('>').map_or(self.text.len(), |end| begin + end + 1),
            None => self.text.len(),
        };
        self.at = end;
        let markup = match end - begin <= EVENT_BYTES_MAX {
            true => Ok(&self.text[begin..end]),
            false => Err("an event longer than 1 MiB"),
        };
        Some((begin, markup))
    }
}

/// The tag whose name `Event` stands at `at`, maybe behind a prefix: `<Event>`, `</ns0:Event>`, but not `<EventID>`.
fn edge(text: &str, at: usize) -> Option<(usize, Edge)> {
    /// Prefixes are short; a colon far behind a `<` is no prefix's.
    const PREFIX_BYTES_MAX: usize = 32;

    let behind = &text[at + EVENT.len()..];
    if !behind.starts_with([' ', '\t', '\r', '\n', '>', '/']) {
        return None;
    }
    let mut before = &text[..at];
    if let Some(prefixed) = before.strip_suffix(':') {
        let prefix = prefixed.bytes().rev().take(PREFIX_BYTES_MAX).take_while(u8::is_ascii_alphanumeric).count();
        before = &prefixed[..prefixed.len() - prefix];
    }
    match before.strip_suffix("</") {
        // An end tag that is cut must not reach into the next event.
        Some(before) => behind.trim_ascii_start().starts_with('>').then_some((before.len(), Edge::End)),
        None => before.strip_suffix('<').map(|before| (before.len(), Edge::Start)),
    }
}

/// Reads one event.
fn outcome(markup: &str, event: &mut Event) -> Result<Outcome, &'static str> {
    let mut reader = Reader::from_str(markup);
    let config = reader.config_mut();
    config.allow_dangling_amp = true;
    // Pages leave tags out at random. Which element an end tag belongs to is told by its name, below.
    config.check_end_names = false;
    config.allow_unmatched_ends = true;

    event.begin();
    let mut open = Vec::new();
    loop {
        match reader.read_event().map_err(|_| "markup that is no XML")? {
            Markup::Start(start) => {
                begin(&start, event)?;
                open.push(start.local_name().as_ref().to_owned());
            }
            Markup::Empty(start) => {
                begin(&start, event)?;
                event.close();
            }
            Markup::End(end) => {
                let Some(at) = open.iter().rposition(|name| name == end.local_name().as_ref()) else { continue };
                open.drain(at..).for_each(|_| event.close());
                if open.is_empty() {
                    return Ok(event.end(None));
                }
            }
            Markup::Text(text) => event.text(&Value::Text(text.into_inner())),
            Markup::CData(text) => event.text(&Value::Text(text.into_inner())),
            Markup::GeneralRef(reference) => event.text(&Value::Text(resolved(&reference).into())),
            Markup::DocType(_) => return Err("a document type declaration within an event"),
            Markup::Eof => return Err("an event without its end"),
            Markup::Comment(_) | Markup::Decl(_) | Markup::PI(_) => {}
        }
    }
}

fn begin(start: &BytesStart<'_>, event: &mut Event) -> Result<(), &'static str> {
    let name = start.local_name();
    event.open(name.as_ref(), Tag::of(name.as_ref()))?;
    for attribute in start.attributes().with_checks(false) {
        let attribute = attribute.map_err(|_| "an attribute that is no XML")?;
        let name = attribute.key.local_name();
        event.attribute(name.as_ref(), Tag::of(name.as_ref()), &Value::Escaped(&attribute.value));
    }
    Ok(())
}

/// What stands for a reference in a text: XML's own five and characters by number; others stay as they are.
fn resolved(reference: &BytesRef<'_>) -> String {
    let character = reference.resolve_char_ref().ok().flatten().map(String::from);
    let predefined = || resolve_xml_entity(reference).map(str::to_owned);
    character.or_else(predefined).unwrap_or_else(|| format!("&{};", &**reference))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{fact::Fact, kinds};

    const LEAF: &str = "EC53EBC94A796C42E5B4E5851F961874F013D94C";

    fn system(event: u16, time: &str) -> String {
        format!(
            "<System><Provider Name='Microsoft-Windows-CAPI2' Guid='{{5bbca4a8-b209-48dc-a8c7-b23d3e5216fb}}'/>\
             <EventID>{event}</EventID><TimeCreated SystemTime='{time}'/>\
             <Channel>Microsoft-Windows-CAPI2/Operational</Channel><Computer>EX1.contoso.com</Computer></System>"
        )
    }

    fn policy(result: &str) -> String {
        format!(
            "<CertVerifyCertificateChainPolicy><Policy type=\"CERT_CHAIN_POLICY_SSL\" constant=\"4\" />\
             <Certificate fileRef=\"{LEAF}.cer\" subjectName=\"*.contoso.com\" />\
             <SSLAdditionalPolicyInfo authType=\"server\" serverName=\"mail.contoso.com\">\
             <IgnoreFlags value=\"280\" /></SSLAdditionalPolicyInfo>\
             <EventAuxInfo ProcessName=\"lsass.exe\" />{result}</CertVerifyCertificateChainPolicy>"
        )
    }

    fn event(result: &str) -> String {
        let system = system(30, "1970-01-01T00:00:00.007Z");
        format!("<Event>{system}<UserData>{}</UserData></Event>", policy(result))
    }

    fn good() -> String {
        event("<Result value='0'></Result>")
    }

    fn shown(fact: &Fact) -> String {
        match fact {
            Fact::ChainCheck(check) => {
                let mut line = format!("{} {:X} of {}", check.event, check.result, &check.thumbprint[..4]);
                line += &check.result_text.as_ref().map_or(String::new(), |text| format!(" {text:?}"));
                line += &check.trust_status.iter().map(|name| format!(" {name}")).collect::<String>();
                line += &check.chain.iter().map(|of| format!(" {}", &of[..4])).collect::<String>();
                format!("{line} x{} {}..{}", check.count, check.first_ms, check.last_ms)
            }
            Fact::CertificateNames(names) => {
                format!(
                    "{} {} <- {} {:?} {:?}",
                    &names.thumbprint[..4],
                    names.subject,
                    names.issuer,
                    names.names,
                    names.not_after_ms
                )
            }
            other => format!("{other:?}"),
        }
    }

    fn read(bytes: &[u8]) -> Reading {
        let (kind, reading) = kinds::read(&Document { name: "events.xml", bytes }).expect("events");
        assert_eq!(kind.name(), "capi2-xml");
        reading
    }

    /// Facts, each with its place; then what was passed over and what was rejected.
    #[track_caller]
    fn check(bytes: impl AsRef<[u8]>, facts: &[(u64, &str)], passed: &[(&str, u64)], rejected: &[(u64, &str)]) {
        let bytes = bytes.as_ref();
        let reading = read(bytes);
        let text = String::from_utf8_lossy(bytes);
        let found: Vec<(u64, String)> = reading.found.iter().map(|found| (found.offset, shown(&found.fact))).collect();
        let found: Vec<(u64, &str)> = found.iter().map(|(at, fact)| (*at, &**fact)).collect();
        assert_eq!(found, facts, "{text}");
        let counted: Vec<(&str, u64)> = reading.passed.iter().map(|(what, count)| (&**what, *count)).collect();
        assert_eq!(counted, passed, "{text}");
        let rejections: Vec<(u64, &str)> = reading.rejections.iter().map(|(at, why)| (*at, &**why)).collect();
        assert_eq!((rejections, reading.rejected), (rejected.to_vec(), rejected.len() as u64), "{text}");
    }

    const ONE: &str = "30 0 of EC53 x1 7..7";
    const TWO: &str = "30 0 of EC53 x2 7..7";

    fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(unit).collect()
    }

    #[test]
    fn surroundings() {
        let good = good();
        let length = good.len() as u64;
        check(&good, &[(0, ONE)], &[], &[]);
        check(format!("{good}{good}"), &[(0, TWO)], &[], &[]);
        check(format!("<Events>{good}{good}</Events>"), &[(8, TWO)], &[], &[]);
        check(format!("<?xml version='1.0'?>\r\n<Events>\n{good}\n{good}\n</Events>"), &[(32, TWO)], &[], &[]);
        check(
            format!("Record 1\n<?xml version='1.0'?>\n{good}\nRecord 2\n<?xml version='1.0'?>\n{good}\n"),
            &[(31, TWO)],
            &[],
            &[],
        );
        check(format!("An article says 1 < 2 & so.\n\n{good}\n\nCause <b>Event</b>"), &[(29, ONE)], &[], &[]);
        check(format!("\u{FEFF}{good}"), &[(3, ONE)], &[], &[]);
        check(utf16(&format!("ö\u{FEFF}{good}"), u16::to_le_bytes).split_off(2), &[(2, ONE)], &[], &[]);
        check(utf16(&format!("\u{FEFF}é\u{1F600}{good}"), u16::to_be_bytes), &[(8, ONE)], &[], &[]);
        check(utf16(&good, u16::to_le_bytes), &[(0, ONE)], &[], &[]);
        let prefixed = good.replace('<', "<e:").replace("<e:/", "</e:");
        check(format!("<e:Events xmlns:e='x'>{prefixed}</e:Events>"), &[(22, ONE)], &[], &[]);
        let namespaced =
            good.replace("<Event>", "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>");
        check(&namespaced, &[(0, ONE)], &[], &[]);
        let cut = good.strip_suffix("</Event>").unwrap();
        check(format!("{cut}</Event{good}"), &[(length - 1, ONE)], &[], &[(0, "markup that is no XML")]);
        check(format!("{cut}</Event\r\n>{good}"), &[(0, TWO)], &[], &[]);
        check(format!("{cut}{good}"), &[(length - 8, ONE)], &[], &[(0, "an event without its end")]);
        check(format!("{good}{cut}"), &[(0, ONE)], &[], &[(length, "an event without its end")]);
    }

    #[test]
    fn tags_that_a_page_leaves_out() {
        let good = good();
        for tags in [
            &["<System>", "</System>", "<UserData>", "</UserData>"][..],
            &["<System>"],
            &["</System>"],
            &["</UserData>"],
        ] {
            let page = tags.iter().fold(good.clone(), |page, tag| page.replace(tag, ""));
            check(&page, &[(0, ONE)], &[], &[]);
        }
        let bare = format!(
            "<Event><TimeCreated SystemTime='1970-01-01T00:00:00.007Z'/>{}</Event>",
            policy("<Result value='0'/>")
        );
        check(bare, &[(0, ONE)], &[], &[]);
    }

    #[test]
    fn results() {
        check(event("<Result value='0' />"), &[(0, ONE)], &[], &[]);
        check(
            event("<Result value=\"800B0109\">\r\n   No &amp; n&#xF6;\r\n </Result>"),
            &[(0, "30 800B0109 of EC53 \"No & nö\" x1 7..7")],
            &[],
            &[],
        );
        check(
            event("<Result value='0x800b0109'><![CDATA[a<b]]></Result>"),
            &[(0, "30 800B0109 of EC53 \"a<b\" x1 7..7")],
            &[],
            &[],
        );
        check(event("<Result value='1'>&bomb; R&D</Result>"), &[(0, "30 1 of EC53 \"&bomb; R&D\" x1 7..7")], &[], &[]);
        check(event("<Result value='0'/><Other><Result value='1'>x</Result></Other>"), &[(0, ONE)], &[], &[]);
        check(event(""), &[], &[], &[(0, "a check without a result")]);
        check(event("<Result>bad</Result>"), &[], &[], &[(0, "a result that is no hexadecimal number")]);
    }

    #[test]
    fn what_is_passed_over() {
        let other = |from: &str, to: &str| good().replace(from, to);
        let good = good();
        check(other(">30<", ">40<") + &good, &[(good.len() as u64, ONE)], &[("event 40", 1)], &[]);
        let channel = other("CAPI2/Operational", "Other/Operational");
        check(channel + &good, &[(good.len() as u64, ONE)], &[("event of another channel", 1)], &[]);
        // The provider writes to the Application log as well.
        let application = other("Microsoft-Windows-CAPI2/Operational", "Application");
        check(application, &[], &[("event of another channel", 1)], &[]);
        check(other("<Certificate ", "<Other "), &[], &[("event 30 without a certificate", 1)], &[]);
        check(other(".cer", ".crl"), &[], &[("event 30 without a certificate", 1)], &[]);
        check("<Event><x/></Event> CertVerifyRevocation", &[], &[("event of another channel", 1)], &[]);
    }

    #[test]
    fn damage() {
        let damaged = |from: &str, to: &str, why: &str| check(good().replacen(from, to, 1), &[], &[], &[(0, why)]);
        damaged(">30<", ">thirty<", "an event without a number");
        damaged("1970-01-01T00:00:00.007Z", "yesterday", "an event without a time");
        damaged("authType=\"server\"", "authType=server", "an attribute that is no XML");
        damaged(
            "<UserData>",
            "<UserData><!DOCTYPE x [<!ENTITY bomb \"x\">]>",
            "a document type declaration within an event",
        );
        damaged("<UserData>", &format!("<UserData>{}", "<x>".repeat(63)), "elements are nested too deeply");
        damaged("<UserData>", "<UserData><!-- ", "markup that is no XML");
        damaged("<UserData>", &format!("<UserData>{}", " ".repeat(EVENT_BYTES_MAX)), "an event longer than 1 MiB");

        let good = good();
        check(format!("<!DOCTYPE html>{good}"), &[(15, ONE)], &[], &[]);
        let subset = format!("<!DOCTYPE x [<!ENTITY b '<Event>'>]>{good}");
        check(subset, &[(36, ONE)], &[], &[(0, "a document type declaration with definitions")]);
    }

    #[test]
    fn a_chain() {
        let chain = |status: &str| {
            let system = system(11, "1970-01-01T00:00:00.007Z");
            format!(
                "<Event>{system}<UserData><CertGetCertificateChain>\
                 <Certificate fileRef='{LEAF}.cer' subjectName='x'/>\
                 <AdditionalStore><Certificate fileRef='0{0}.cer'/></AdditionalStore>\
                 <CertificateChain chainRef='x'><TrustStatus>{status}<InfoStatus value='100'/></TrustStatus>\
                 <ChainElement><Certificate fileRef='{LEAF}.cer'/><TrustStatus><ErrorStatus value='1'/></TrustStatus></ChainElement>\
                 <ChainElement><Certificate fileRef='A{0}.CER'/><RevocationInfo><RevocationResult value='80092012'>x\
                 </RevocationResult><CertificateRevocationList fileRef='B{0}.crl'/></RevocationInfo></ChainElement></CertificateChain>\
                 <CertificateChain><ChainElement><Certificate fileRef='C{0}.cer'/></ChainElement></CertificateChain>\
                 <LowerQualityChains><CertificateChain><TrustStatus><ErrorStatus value='4'/></TrustStatus>\
                 </CertificateChain></LowerQualityChains>\
                 <Result value='0'/></CertGetCertificateChain></UserData></Event>",
                &LEAF[1..]
            )
        };
        check(chain("<ErrorStatus value='0'/>"), &[(0, "11 0 of EC53 EC53 AC53 x1 7..7")], &[], &[]);
        let both = "11 0 of EC53 CERT_TRUST_IS_UNTRUSTED_ROOT CERT_TRUST_IS_PARTIAL_CHAIN EC53 AC53 x1 7..7";
        check(chain("<ErrorStatus value='10020' CERT_TRUST_IS_UNTRUSTED_ROOT='true' />"), &[(0, both)], &[], &[]);
        let named = "<ErrorStatus CERT_TRUST_IS_UNTRUSTED_ROOT='true' CERT_TRUST_IS_PARTIAL_CHAIN='true' CERT_TRUST_IS_CYCLIC='false'/>";
        check(chain(named), &[(0, both)], &[], &[]);
    }

    #[test]
    fn certificates_by_name() {
        let objects = |certificates: &str| {
            let system = system(90, "1970-01-01T00:00:00.007Z");
            format!("<Event>{system}<UserData><X509Objects>{certificates}</X509Objects></UserData></Event>")
        };
        let certificate = format!(
            "<Certificate fileRef='{LEAF}.cer' subjectName='x'>\
             <Subject><CN>*.contoso.com</CN><O>Contoso, Ltd.</O><OID.2.5.4.15>Private</OID.2.5.4.15></Subject>\
             <Issuer><CN>R&amp;D \"CA\"</CN><DC>com</DC></Issuer>\
             <SerialNumber>0a1b</SerialNumber><NotBefore>2016-01-01T00:00:00Z</NotBefore><NotAfter>1970-01-01T00:00:01Z</NotAfter>\
             <Extensions><SubjectAltName><DNSName>contoso.com</DNSName><DNSName>mail.contoso.com</DNSName>\
             <DirectoryName><CN>not a subject</CN></DirectoryName></SubjectAltName>\
             <AuthorityKeyIdentifier><AuthorityCertIssuer><DirectoryName><CN>y</CN></DirectoryName></AuthorityCertIssuer>\
             </AuthorityKeyIdentifier></Extensions></Certificate>"
        );
        let names = "EC53 CN=*.contoso.com, O=\"Contoso, Ltd.\", OID.2.5.4.15=Private <- CN=\"R&D \"\"CA\"\"\", DC=com \
                     [\"contoso.com\", \"mail.contoso.com\"] Some(1000)";
        let revoked =
            "<CertificateRevocationList fileRef='x.crl'><Issuer><CN>z</CN></Issuer></CertificateRevocationList>";
        check(objects(&format!("{certificate}{revoked}")), &[(0, names)], &[], &[]);
        let again = [("certificate named before", 2), ("certificate without a thumbprint", 1)];
        let unnamed = "<Certificate><Subject><CN>x</CN></Subject></Certificate>";
        check(objects(&certificate.repeat(2)) + &objects(&(certificate.clone() + unnamed)), &[(0, names)], &again, &[]);
        let many = certificate.repeat(super::super::event::CERTIFICATES_MAX + 2);
        let past = [("certificate named before", 255), ("certificate past the limit of an event", 2)];
        check(objects(&many), &[(0, names)], &past, &[]);
        check(objects(""), &[], &[("event 90 without a certificate", 1)], &[]);
    }

    #[test]
    fn checks_that_differ_stay_apart() {
        let good = good();
        let later = good.replace("00.007Z", "09.5Z");
        let earlier = good.replace("1970-01-01T00:00:00.007Z", "1969-12-31T23:59:59Z");
        check(format!("{good}{later}{earlier}"), &[(0, "30 0 of EC53 x3 -1000..9500")], &[], &[]);
        for (from, to) in
            [("EX1", "EX2"), ("lsass", "edge"), ("SSL", "BASE"), ("\"server\"", "\"client\""), ("mail.", "smtp.")]
        {
            let other = good.replace(from, to);
            assert_ne!(other, good);
            check(format!("{good}{other}{good}"), &[(0, TWO), (good.len() as u64, ONE)], &[], &[]);
        }
    }

    #[test]
    fn other_files_are_not_recognised() {
        for text in [
            "",
            "<Event/>",
            "Microsoft-Windows-CAPI2",
            "<Events>Microsoft-Windows-CAPI2</Events>",
            "<EventID>X509Objects",
        ] {
            assert!(!Capi2Xml.recognise(&Document { name: "x.xml", bytes: text.as_bytes() }), "{text}");
        }
    }

    /// One event of some kind, by number.
    fn some_event(number: u8) -> String {
        match number % 6 {
            0 => good(),
            1 => event("<Result value='800B0109'>x</Result>"),
            2 => good().replace(">30<", ">40<"),
            3 => event(""),
            4 => good().replace("00.007Z", "07Z"),
            _ => good().replace("CAPI2/", "Other/"),
        }
    }

    fn events(reading: &Reading) -> u64 {
        let checks = reading.found.iter().map(|found| match &found.fact {
            Fact::ChainCheck(check) => check.count,
            _ => 0,
        });
        checks.sum::<u64>() + reading.passed.values().sum::<u64>() + reading.rejected
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(<|>|/|Event|:|!DOCTYPE|\\[|\\]|&|;|#x|'|\"|=| |X509Objects|Result|value|é|CDATA|--|\\?){0,200}") {
            let text = format!("<Event>{text}<Event X509Objects");
            let reading = read(text.as_bytes());
            prop_assert!(events(&reading) >= 1, "{text}");
            prop_assert!(events(&reading) <= text.matches("Event").count() as u64 + 1, "{text}");
        }

        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
            let mut whole = good().into_bytes();
            whole.truncate(cut.index(whole.len()));
            whole.extend_from_slice(&bytes);
            if let Some((_, reading)) = kinds::read(&Document { name: "x", bytes: &whole }) {
                prop_assert!(reading.rejections.iter().all(|(at, _)| *at <= whole.len() as u64));
            }
        }

        #[test]
        fn order_changes_nothing(numbers in proptest::collection::vec(any::<u8>(), 1..20), turn in any::<prop::sample::Index>()) {
            let facts = |numbers: &[u8]| {
                let text: String = numbers.iter().map(|number| some_event(*number)).collect();
                let reading = read(text.as_bytes());
                assert_eq!(events(&reading), numbers.len() as u64);
                let mut facts: Vec<String> = reading.found.iter().map(|found| shown(&found.fact)).collect();
                facts.sort();
                (facts, reading.passed, reading.rejected)
            };
            let mut turned = numbers.clone();
            turned.rotate_left(turn.index(numbers.len()));
            prop_assert_eq!(facts(&numbers), facts(&turned));
        }
    }
}
