//! A distinguished name put together from its parts, as .NET prints it: `CN=mail.contoso.com, O="Contoso, Ltd."`.
//!
//! The logs have names in that form, so a name from an event must be equal to it. Windows quotes a value with a
//! character that parts names, or with blanks at an end, and doubles the quotes in it (`CertNameToStr`).

/// A name that grows part by part, the most specific first.
#[derive(Debug, Default)]
pub(super) struct DistinguishedName {
    text: String,
}

impl DistinguishedName {
    /// A part begins: `CN`, `OU`, `DC`.
    pub(super) fn begin_part(&mut self, name: &str) {
        if !self.text.is_empty() {
            self.text += ", ";
        }
        self.text += name;
        self.text.push('=');
    }

    /// Its value.
    pub(super) fn end_part(&mut self, value: &str) {
        const PARTING: &[char] = &[',', '+', '=', '"', '\n', '\r', '<', '>', '#', ';'];
        if value.is_empty() || value.contains(PARTING) || value.trim() != value {
            self.text.push('"');
            self.text += &value.replace('"', "\"\"");
            self.text.push('"');
        } else {
            self.text += value;
        }
    }

    /// The name.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(parts: &[(&str, &str)], expected: &str) {
        let mut name = DistinguishedName::default();
        for (part, value) in parts {
            name.begin_part(part);
            name.end_part(value);
        }
        assert_eq!(name.into_text(), expected);
    }

    #[test]
    fn names() {
        check(&[], "");
        check(&[("CN", "mail.contoso.com")], "CN=mail.contoso.com");
        check(&[("CN", "a b"), ("OU", "Copyright (c) 1997"), ("C", "US")], "CN=a b, OU=Copyright (c) 1997, C=US");
        check(&[("O", "thawte, Inc.")], "O=\"thawte, Inc.\"");
        check(&[("O", "The \"Contoso\" Company")], "O=\"The \"\"Contoso\"\" Company\"");
        check(&[("SERIALNUMBER", "31595+4faf")], "SERIALNUMBER=\"31595+4faf\"");
        check(&[("CN", "")], "CN=\"\"");
    }
}
