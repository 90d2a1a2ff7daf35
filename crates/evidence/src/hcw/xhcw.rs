//! The wizard's `.xhcw`: its calls and their results as fragments of XML, without a root.
//!
//! ```text
//! <invoke start="02/19/2022 03:26:39.61" duration="714" type="Tenant" cmdlet="Get-InboundConnector">
//!   <!--Get-InboundConnector -Identity 'a'-->
//!   <results><object type="..."><property name="RequireTls" type="System.Boolean" value="True" /></object></results>
//! </invoke>
//! ```
//!
//! Each fragment is read by itself, so that a damaged one costs no other. Entities beyond the five of XML itself are
//! not expanded, and a document type declaration ends the fragment.

use base64::{Engine, prelude::BASE64_STANDARD};
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{
    command::{self, COMMAND_BYTES_MAX, Command, command},
    moment,
    object::{self, Subject},
    run::{Run, When},
};
use crate::{
    fact::{Certificate, Fact, HybridEntry, Property, Value},
    kinds::Reading,
    text::Decoded,
    x509,
};

/// Elements that a fragment begins with.
const FRAGMENTS: [&str; 3] = ["<invoke ", "<information ", "<datastreams"];

/// Elements within elements. A result has about six.
const DEPTH_MAX: usize = 64;

/// Properties of an object, and items of a property. The longest connector has about 80.
const PROPERTIES_MAX: usize = 10_000;

/// Whether the text is the XML of the wizard.
pub(super) fn recognise(text: &str) -> bool {
    let text = text.trim_start();
    let is_xml = text.starts_with('<');
    let begins = |fragment: &&str| text.starts_with(fragment.trim_end());
    FRAGMENTS.iter().any(begins) || is_xml && text.contains("<invoke start=")
}

/// Reads it.
pub(super) fn read(decoded: &Decoded<'_>, reading: &mut Reading) {
    let mut run = Run::new(decoded, reading);
    let text: &str = &decoded.text;
    let mut begin = next_fragment(text, 0);
    if !text[..begin].trim().is_empty() {
        run.reject(0, "text before the first call");
    }
    while begin < text.len() {
        let end = next_fragment(text, begin + 1);
        match fragment(&text[begin..end]) {
            Ok(found) => keep(&mut run, begin, found),
            Err((at, why)) => run.reject(begin + at, why),
        }
        begin = end;
    }
}

/// What a fragment holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Fragment {
    element: String,
    start: String,
    text: String,
    in_tenant: Option<bool>,
    cmdlet: String,
    comment: String,
    parameters: Vec<Property>,
    objects: Vec<Vec<Property>>,
    /// What warnings and errors say: severity and text.
    messages: Vec<(&'static str, String)>,
    has_results: bool,
    has_errors: bool,
}

/// The byte at which the next fragment begins, from here on.
fn next_fragment(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let mut begins = rest.match_indices('<').map(|(at, _)| at);
    let begin = begins.find(|at| FRAGMENTS.iter().any(|fragment| rest[*at..].starts_with(fragment)));
    begin.map_or(text.len(), |at| from + at)
}

fn keep(run: &mut Run<'_>, at: usize, fragment: Fragment) {
    let when = When { text: &fragment.start, local_ms: moment::xhcw_ms(&fragment.start) };
    let mut is_used = run.zone(&fragment.text) || run.message(at, when, "", None, &fragment.text);
    if command::changes_mail_flow(&fragment.cmdlet) {
        is_used = true;
        let parameters = match command(&fragment.comment) {
            Some(Command { cmdlet, parameters }) if cmdlet.eq_ignore_ascii_case(&fragment.cmdlet) => parameters,
            _ => fragment.parameters.clone(),
        };
        let succeeded = match (fragment.has_errors, fragment.has_results) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        };
        let cmdlet = fragment.cmdlet.clone();
        run.hybrid(at, when, HybridEntry::Call { cmdlet, in_tenant: fragment.in_tenant, parameters, succeeded });
    }
    for (severity, text) in &fragment.messages {
        is_used |= run.message(at, when, "xhcw", Some(severity), text);
    }
    let subject = object::subject(&fragment.cmdlet).filter(|_| !fragment.objects.is_empty());
    if let Some(subject) = subject {
        is_used = true;
        results(run, at, subject, &fragment);
    }
    if !is_used {
        let what = if fragment.cmdlet.is_empty() { &fragment.element } else { &fragment.cmdlet };
        run.reading.pass(passed_name(what));
    }
}

fn results(run: &mut Run<'_>, at: usize, subject: Subject, fragment: &Fragment) {
    for properties in &fragment.objects {
        let found = match subject {
            Subject::Certificate => certificate(properties, &fragment.parameters).map(Box::new).map(Fact::Certificate),
            _ => object::fact(subject, properties.clone()).ok_or_else(|| "a result without a name".to_owned()),
        };
        match found {
            Ok(fact) => run.state(at, fact),
            Err(why) => run.reject(at, why),
        }
    }
}

/// A certificate of `Get-ExchangeCertificate`, which shows nothing of it but its bytes.
fn certificate(properties: &[Property], parameters: &[Property]) -> Result<Certificate, String> {
    let text = |properties, name| crate::fact::value(properties, name).and_then(Value::text);
    let raw = text(properties, "RawData").ok_or("a certificate without its bytes")?;
    let raw: String = raw.chars().filter(|character| !character.is_whitespace()).collect();
    let der = BASE64_STANDARD.decode(raw).map_err(|_| "a certificate that is not Base64")?;
    let mut certificate = x509::certificate(&der).map_err(|error| format!("a certificate: {error}"))?;
    certificate.server = text(properties, "Server").or(text(parameters, "Server")).map(str::to_owned);
    certificate.services = text(properties, "Services").map(str::to_owned);
    Ok(certificate)
}

/// Calls are counted by what they do, not by every name that a file may invent.
fn passed_name(what: &str) -> &'static str {
    match what.split_once('-').map_or(what, |(verb, _)| verb) {
        "Get" | "get" => "call that gets",
        "Test" | "test" => "call that tests",
        "information" => "information",
        "datastreams" => "data streams",
        _ => "other call",
    }
}

/// Reads a fragment, or says where and why it cannot be read.
fn fragment(text: &str) -> Result<Fragment, (usize, String)> {
    let mut reader = Reader::from_str(text);
    let mut parser = Parser::default();
    loop {
        let at = reader.buffer_position() as usize;
        let event = reader.read_event().map_err(|error| (at, error.to_string()))?;
        match event {
            Event::Start(start) => {
                parser.open(&start).map_err(|why| (at, why))?;
            }
            Event::Empty(start) => {
                parser.open(&start).map_err(|why| (at, why))?;
                parser.path.pop();
            }
            Event::End(_) => _ = parser.path.pop(),
            Event::Comment(comment) => parser.comment(&comment),
            Event::Text(text) => parser.text(&text).map_err(|why| (at, why))?,
            Event::CData(text) => parser.text(&text).map_err(|why| (at, why))?,
            Event::DocType(_) => return Err((at, "a document type declaration".to_owned())),
            Event::GeneralRef(reference) => parser.reference(&reference),
            Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match parser.path.is_empty() {
        true => Ok(parser.fragment),
        false => Err((0, "a fragment without its end".to_owned())),
    }
}

/// What an element is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Root,
    Parameters,
    Parameter,
    Results,
    Object,
    Property,
    Message,
    Other,
}

#[derive(Default)]
struct Parser {
    fragment: Fragment,
    path: Vec<Element>,
}

impl Parser {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), String> {
        if self.path.len() == DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} elements within each other"));
        }
        let name = start.local_name().into_inner().to_ascii_lowercase();
        let element = element(&self.path, &name);
        let attributes = Attributes::new(start)?;
        match element {
            Element::Root => self.root(&name, &attributes),
            Element::Parameter => push(&mut self.fragment.parameters, attributes.property())?,
            Element::Results => self.fragment.has_results = true,
            Element::Object => push(&mut self.fragment.objects, Vec::new())?,
            Element::Property => {
                if let Some(object) = self.fragment.objects.last_mut() {
                    push(object, attributes.property())?;
                }
            }
            Element::Message => self.message(&name, &attributes)?,
            Element::Parameters => {}
            Element::Other => self.item(&attributes)?,
        }
        self.path.push(element);
        Ok(())
    }

    fn root(&mut self, name: &str, attributes: &Attributes) {
        let text = |name| attributes.text(name).unwrap_or_default().to_owned();
        self.fragment.element = name.to_owned();
        self.fragment.start = text("start");
        self.fragment.text = text("text");
        self.fragment.cmdlet = text("cmdlet");
        self.fragment.in_tenant = match attributes.text("type") {
            Some("Tenant") => Some(true),
            Some("OnPremises") => Some(false),
            _ => None,
        };
    }

    fn message(&mut self, name: &str, attributes: &Attributes) -> Result<(), String> {
        let is_error = !name.starts_with("warning");
        self.fragment.has_errors |= is_error;
        let severity = if is_error { "ERROR" } else { "WARNING" };
        let text = ["text", "message", "value"].iter().find_map(|name| attributes.text(name)).unwrap_or_default();
        push(&mut self.fragment.messages, (severity, text.to_owned()))
    }

    /// An element within a property or a parameter: an item of its list.
    fn item(&mut self, attributes: &Attributes) -> Result<(), String> {
        match attributes.text("value") {
            Some(value) => self.add(value),
            None => Ok(()),
        }
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        let holder = self.path.iter().rfind(|element| **element != Element::Other);
        let properties = match holder {
            Some(Element::Property) => self.fragment.objects.last_mut(),
            Some(Element::Parameter) => Some(&mut self.fragment.parameters),
            _ => None,
        };
        let Some(property) = properties.and_then(|properties| properties.last_mut()) else {
            return Ok(());
        };
        match &mut property.value {
            Value::List { items, .. } => return push(items, item.to_owned()),
            other => *other = Value::List { items: vec![item.to_owned()], cut: false },
        }
        Ok(())
    }

    fn comment(&mut self, comment: &str) {
        let is_first = self.fragment.comment.is_empty() && self.path == [Element::Root];
        if is_first && comment.len() <= COMMAND_BYTES_MAX {
            self.fragment.comment = comment.trim().to_owned();
        }
    }

    /// Text is what a warning says, or the item of a list.
    fn text(&mut self, text: &str) -> Result<(), String> {
        let text = text.trim();
        match self.path.last() {
            _ if text.is_empty() => {}
            Some(Element::Message) => self.continue_message(text),
            Some(Element::Other | Element::Property | Element::Parameter) => self.add(text)?,
            _ => {}
        }
        Ok(())
    }

    fn continue_message(&mut self, text: &str) {
        if let Some((_, message)) = self.fragment.messages.last_mut() {
            message.push_str(text);
        }
    }

    /// `&lt;` within the text of a warning. Others than the five of XML and those by number stay as they are.
    fn reference(&mut self, reference: &quick_xml::events::BytesRef<'_>) {
        if self.path.last() != Some(&Element::Message) {
            return;
        }
        let by_number = reference.resolve_char_ref().ok().flatten().map(String::from);
        let by_name = || quick_xml::escape::resolve_xml_entity(reference).map(str::to_owned);
        let text = by_number.or_else(by_name).unwrap_or_else(|| format!("&{};", &**reference));
        self.continue_message(&text);
    }
}

/// What an element is, by its name and the elements that it is in.
fn element(path: &[Element], name: &str) -> Element {
    match (path.last(), name) {
        (None, _) => Element::Root,
        (Some(Element::Root), "parameters") => Element::Parameters,
        (Some(Element::Parameters), "parameter") => Element::Parameter,
        (Some(Element::Root), "results") => Element::Results,
        (Some(Element::Results), "object") => Element::Object,
        (Some(Element::Object), "property") => Element::Property,
        (_, "warning" | "error" | "exception") if !path.contains(&Element::Results) => Element::Message,
        _ => Element::Other,
    }
}

/// Adds to a list that input fills.
fn push<T>(list: &mut Vec<T>, item: T) -> Result<(), String> {
    if list.len() == PROPERTIES_MAX {
        return Err(format!("more than {PROPERTIES_MAX} elements of one kind"));
    }
    list.push(item);
    Ok(())
}

/// The attributes of an element.
struct Attributes(Vec<(String, String)>);

impl Attributes {
    fn new(start: &BytesStart<'_>) -> Result<Self, String> {
        let mut found = Vec::new();
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            push(&mut found, (attribute.key.local_name().into_inner().to_owned(), value.into_owned()))?;
        }
        Ok(Attributes(found))
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// `<property name= type= value= />` or `valueIsNull="True"`.
    fn property(&self) -> Property {
        let name = self.text("name").unwrap_or_default().to_owned();
        let is_null = self.text("valueIsNull").is_some_and(|null| null.eq_ignore_ascii_case("true"));
        let value = match self.text("value").filter(|_| !is_null) {
            Some(text) => object::value(&name, text),
            None => Value::Empty,
        };
        Property { name, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Document, Kind};

    fn reading(text: &str) -> Reading {
        let document = Document { name: "20220219_032402.xhcw", bytes: text.as_bytes() };
        assert!(super::super::HybridXml.recognise(&document), "{text}");
        let mut reading = Reading::default();
        super::super::HybridXml.read(&document, &mut reading);
        reading
    }

    fn invoke(cmdlet: &str, inside: &str) -> String {
        format!(
            r#"<invoke start="02/19/2022 03:26:39.61" duration="7" type="Tenant" cmdlet="{cmdlet}">{inside}</invoke>"#
        )
    }

    fn property(name: &str, attributes: &str) -> String {
        format!(r#"<property name="{name}" type="System.String" {attributes} />"#)
    }

    fn object(properties: &[String]) -> String {
        format!(r#"<results><object type="Deserialized.X">{}</object></results>"#, properties.concat())
    }

    #[test]
    fn connectors() {
        let properties = [
            property("Name", r#"value="Inbound &lt;1&gt;""#),
            property("RequireTls", r#"value="True""#),
            property("TlsSenderCertificateName", r#"valueIsNull="True""#),
            r#"<property name="SenderDomains"><item value="smtp:*;1"/><item>b.c</item></property>"#.to_owned(),
        ];
        let reading = reading(&invoke("Get-InboundConnector", &object(&properties)));
        let [found] = &reading.found[..] else { panic!("{reading:?}") };
        let Fact::Connector(connector) = &found.fact else { panic!("{reading:?}") };
        assert_eq!((connector.name.as_str(), connector.flag("RequireTLS")), ("Inbound <1>", Some(true)));
        assert_eq!(connector.value("TLSSenderCertificateName"), Some(&Value::Empty));
        assert_eq!(connector.value("SenderDomains").map(Value::items), Some(vec!["smtp:*;1", "b.c"]));
    }

    #[track_caller]
    fn check_call(inside: &str, names: &str, expected: Option<bool>) {
        let reading = reading(&invoke("Set-SendConnector", inside));
        let Some(Fact::Hybrid(hybrid)) = reading.found.first().map(|found| &found.fact) else { panic!("{reading:?}") };
        assert_eq!((hybrid.time.as_str(), hybrid.time_ms), ("02/19/2022 03:26:39.61", None));
        let HybridEntry::Call { parameters, succeeded, .. } = &hybrid.entry else { panic!("{hybrid:?}") };
        let found: Vec<&str> = parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        assert_eq!((found.join(" ").as_str(), *succeeded), (names, expected), "{inside}");
    }

    #[test]
    fn calls() {
        let comment = "<!--Set-SendConnector -Identity 'a' -TLSCertificateName '<I>CN=a<S>CN=b'-->";
        let parameters = r#"<parameters><parameter name="Identity" type="X" value="a" /></parameters>"#;
        check_call(&format!("{comment}{parameters}<results/>"), "Identity TLSCertificateName", Some(true));
        check_call(&format!("{parameters}<results />"), "Identity", Some(true));
        check_call(parameters, "Identity", None);
        check_call(&format!(r#"{parameters}<errors><error text="no" /></errors>"#), "Identity", Some(false));
    }

    #[test]
    fn warnings_are_messages_if_they_have_a_number() {
        let warning = "<warnings><warning>HCW8103 a &lt;b&gt; &#33;</warning><warning text=\"other\" /></warnings>";
        let reading = reading(&invoke("Get-X", warning));
        let [found] = &reading.found[..] else { panic!("{reading:?}") };
        let Fact::Hybrid(hybrid) = &found.fact else { panic!("{reading:?}") };
        assert!(
            matches!(&hybrid.entry, HybridEntry::Message { code, text, .. } if code == "HCW8103" && text == "HCW8103 a<b>!"),
            "{hybrid:?}"
        );
    }

    #[test]
    fn certificates_are_read_from_their_bytes() {
        let text = |raw: &str| {
            let parameters = r#"<parameters><parameter name="Server" value="EX01" /></parameters>"#;
            invoke("Get-ExchangeCertificate", &format!("{parameters}{}", object(&[property("RawData", raw)])))
        };
        let damaged = reading(&text(r#"value="%%%""#));
        assert_eq!((damaged.found.len(), damaged.rejected), (0, 1), "{damaged:?}");
        let without = reading(&text(r#"valueIsNull="True""#));
        assert_eq!(without.rejections, [(0, "a certificate without its bytes".to_owned())]);
    }

    #[test]
    fn a_damaged_fragment_costs_no_other() {
        let good = invoke("Get-Other", "");
        let reading = reading(&format!("\u{feff}{}\r\n<invoke start=\"\"><a></invoke>\r\n{good}", good));
        assert_eq!((reading.passed["call that gets"], reading.rejected), (2, 1), "{reading:?}");
    }

    #[test]
    fn entities_declarations_and_depth() {
        let entity = reading(&invoke("Get-InboundConnector", &object(&[property("Name", r#"value="&a;""#)])));
        assert_eq!((entity.found.len(), entity.rejected), (0, 1));
        let declared = reading(&invoke("Get-X", "<!DOCTYPE a [<!ENTITY a \"b\">]>"));
        assert_eq!((declared.found.len(), declared.rejected), (0, 1));
        let items = format!("<property name=\"L\">{}</property>", "<item>x</item>".repeat(PROPERTIES_MAX + 1));
        let many = reading(&invoke("Get-InboundConnector", &object(&[items])));
        assert_eq!((many.found.len(), many.rejected), (0, 1));
        let deep = reading(&invoke("Get-X", &format!("{}{}", "<a>".repeat(DEPTH_MAX), "</a>".repeat(DEPTH_MAX))));
        assert_eq!((deep.found.len(), deep.rejected), (0, 1));
        let less =
            reading(&invoke("Get-X", &format!("{}{}", "<a>".repeat(DEPTH_MAX - 1), "</a>".repeat(DEPTH_MAX - 1))));
        assert_eq!((less.found.len(), less.rejected), (0, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(<invoke start=\"|<results>|<object>|</|>|\"|<|<!--|-->|<property name=\"Name\" value=\"|&|;|[a-z]| |ü){0,60}") {
            let mut reading = Reading::default();
            read(&crate::text::decode(text.as_bytes()), &mut reading);
        }
    }
}
