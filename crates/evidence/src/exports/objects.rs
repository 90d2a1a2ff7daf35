//! Exported objects in the form that all shapes of an export share: properties in order, and what tells the type.
//!
//! Readers of the shapes give [`Part`]s with places in the text; what an object means is decided elsewhere.

use crate::fact::{Property, Value, value};

/// Properties of an object. A receive connector, the largest, has some 90.
pub(crate) const PROPERTIES_MAX: usize = 1_024;

/// Bytes of a property's name. The longest of Exchange have some 50.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// Bytes of a text. Domain lists of the largest tenants stay below; what is longer is no setting.
pub(crate) const TEXT_BYTES_MAX: usize = 64 << 10;

/// Bytes of a certificate in Base64, for certificates of [`crate::fact::DER_BYTES_MAX`].
pub(crate) const RAW_TEXT_BYTES_MAX: usize = crate::fact::DER_BYTES_MAX.div_ceil(3) * 4;

/// Items of a list: as many as the bytes of a certificate, which JSON shows as a list of numbers.
pub(crate) const ITEMS_MAX: usize = crate::fact::DER_BYTES_MAX;

/// What a reader of a shape finds, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// An object.
    Object(Object),
    /// Something that cannot be read.
    Rejected {
        /// Its place in the text.
        at: usize,
        /// What is wrong.
        why: String,
    },
    /// Something of no use: what it is.
    Passed(&'static str),
}

/// An exported object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Object {
    /// Where it begins in the text.
    pub(crate) at: usize,
    /// Its type as the export names it.
    pub(crate) type_name: Option<String>,
    /// What stands around it and hints at its type: the cmdlet of a prompt line, the key that holds it.
    pub(crate) source: Option<String>,
    /// The `-Server` of the prompt line.
    pub(crate) server: Option<String>,
    /// What the object calls itself (`ToString` of CLIXML).
    pub(crate) text: Option<String>,
    /// Its properties in order; a name occurs once.
    pub(crate) properties: Vec<Property>,
    /// Properties and parts of values that the limits cut away.
    pub(crate) cut: u64,
}

/// Names of properties that are secret or may lead to a secret, in lower case: such text is never kept.
const SECRETS: [&str; 6] = ["password", "credential", "privatekey", "secret", "securestring", "serializationdata"];

/// Properties that describe the export's own PowerShell session, not the object.
const SESSION: [&str; 5] =
    ["RunspaceId", "PSComputerName", "PSShowComputerName", "PSSourceJobInstanceId", "PSRemotingProtocolVersion"];

impl Object {
    /// An object that begins there.
    pub(crate) fn new(at: usize) -> Object {
        Object { at, ..Object::default() }
    }

    /// Adds a property; of several with one name the first counts. Past a limit it is cut or left out, and counted.
    pub(crate) fn set(&mut self, name: &str, value: Value) {
        if is_left_out(name, &value) {
            return;
        }
        if self.properties.len() == PROPERTIES_MAX || name.len() > NAME_BYTES_MAX {
            self.cut += 1;
            return;
        }
        if self.has(name) {
            return;
        }
        let bytes_max = match name.eq_ignore_ascii_case("RawData") {
            true => RAW_TEXT_BYTES_MAX,
            false => TEXT_BYTES_MAX,
        };
        let (value, cut) = bounded(value, bytes_max);
        self.cut += cut;
        self.properties.push(Property { name: name.to_owned(), value });
    }

    /// A property's value, by its name without case.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        value(&self.properties, name)
    }

    /// The text of a property that is set to one.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.value(name)?.text()
    }

    /// Whether it has a property of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }
}

fn is_left_out(name: &str, value: &Value) -> bool {
    if SESSION.iter().any(|session| session.eq_ignore_ascii_case(name)) {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    // `HasPrivateKey : True` is no secret.
    !matches!(value, Value::Flag(_) | Value::Empty) && SECRETS.iter().any(|secret| lower.contains(secret))
}

/// The value within its limits, and how many parts of it were cut.
fn bounded(value: Value, bytes_max: usize) -> (Value, u64) {
    match value {
        Value::Text(mut text) => {
            let cut = truncate(&mut text, bytes_max);
            (Value::Text(text), cut)
        }
        Value::List { mut items, cut } => {
            let left_out = items.len().saturating_sub(ITEMS_MAX);
            items.truncate(ITEMS_MAX);
            let shortened: u64 = items.iter_mut().map(|item| truncate(item, bytes_max)).sum();
            (Value::List { items, cut: cut || left_out > 0 }, shortened + left_out as u64)
        }
        other => (other, 0),
    }
}

/// Shortens the text to whole characters of so many bytes; how many texts that cut.
fn truncate(text: &mut String, bytes_max: usize) -> u64 {
    if text.len() <= bytes_max {
        return 0;
    }
    text.truncate(text.floor_char_boundary(bytes_max));
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, value: Value, kept: bool) {
        let mut object = Object::new(0);
        object.set(name, value);
        assert_eq!(object.has(name), kept, "{name}");
        assert_eq!(object.cut, 0, "what is left out on purpose is not cut: {name}");
    }

    #[test]
    fn secrets_and_the_session_are_left_out() {
        let text = || Value::Text("AAEAAAD".to_owned());
        check("SerializationData", text(), false);
        check("serializationdata", text(), false);
        check("AuthenticationCredential", text(), false);
        check("AuthenticationCredential", Value::Empty, true);
        check("SmartHostPassword", text(), false);
        check("PrivateKey", text(), false);
        check("HasPrivateKey", Value::Flag(true), true);
        check("RunspaceId", text(), false);
        check("PSComputerName", text(), false);
        check("TlsCertificateName", text(), true);
        check("RequireTLS", Value::Flag(true), true);
    }

    #[test]
    fn the_first_of_two_counts() {
        let mut object = Object::new(0);
        object.set("Name", Value::Text("a".to_owned()));
        object.set("name", Value::Text("b".to_owned()));
        assert_eq!((object.properties.len(), object.property("NAME")), (1, Some("a")));
    }

    #[track_caller]
    fn check_cut(value: Value, expected: Value, cut: u64) {
        let mut object = Object::new(0);
        object.set("Comment", value);
        assert_eq!((object.value("Comment"), object.cut), (Some(&expected), cut));
    }

    #[test]
    fn what_is_too_long_is_cut_and_counted() {
        let longest = "ü".repeat(TEXT_BYTES_MAX / 2);
        check_cut(Value::Text(longest.clone()), Value::Text(longest.clone()), 0);
        check_cut(Value::Text(format!("{longest}ü")), Value::Text(longest.clone()), 1);
        check_cut(Value::Text(format!("x{longest}")), Value::Text(format!("x{}", &longest[2..])), 1);
        let items = |count| vec!["1".to_owned(); count];
        let list = |count, cut| Value::List { items: items(count), cut };
        check_cut(list(ITEMS_MAX, false), list(ITEMS_MAX, false), 0);
        check_cut(list(ITEMS_MAX + 2, false), list(ITEMS_MAX, true), 2);

        let mut object = Object::new(0);
        object.set(&"n".repeat(NAME_BYTES_MAX + 1), Value::Empty);
        (0..PROPERTIES_MAX + 3).for_each(|at| object.set(&format!("p{at}"), Value::Empty));
        assert_eq!((object.properties.len(), object.cut), (PROPERTIES_MAX, 4));
    }
}
