//! CLIXML, as `Export-Clixml` writes objects of the Exchange Management Shell (FORMATS 5.1).
//!
//! Types are named once and referred to afterwards, enumerations carry name and number, lists are collections of
//! objects or texts, and a line end inside a text is `_x000D__x000A_`.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Object, Value, certificate_name};
use crate::{
    certificate::Certificate,
    clock::{self, Time},
};

/// A file of objects.
pub(crate) fn clixml(objects: &[Object], server: &str) -> String {
    let mut writer = Writer::default();
    for object in objects {
        let properties = &object.properties;
        let bases = ["Microsoft.Exchange.Data.Directory.ADObject", "Microsoft.Exchange.Data.ConfigurableObject"];
        writer.object(object.type_name, &bases, &object.text, server, |writer| {
            properties.iter().for_each(|(name, value)| writer.property(name, value));
        });
    }
    writer.finish()
}

/// `Get-ExchangeCertificate`: nothing but the DER and a text.
pub(crate) fn certificates(certificates: &[&Certificate], server: &str) -> String {
    let mut writer = Writer::default();
    for certificate in certificates {
        let bases = [
            "System.Security.Cryptography.X509Certificates.X509Certificate2",
            "System.Security.Cryptography.X509Certificates.X509Certificate",
        ];
        let kind = "Microsoft.Exchange.Management.SystemConfigurationTasks.ExchangeCertificate";
        writer.object(kind, &bases, &description(certificate), server, |writer| {
            writer.property("RawData", &Value::Bytes(certificate.der.clone()));
        });
    }
    writer.finish()
}

/// What `ToString()` of a certificate says.
fn description(certificate: &Certificate) -> String {
    let parts = [
        ("Subject", certificate.subject.clone()),
        ("Issuer", certificate.issuer.clone()),
        ("Serial Number", certificate.serial.clone()),
        ("Not Before", invariant_time(certificate.not_before)),
        ("Not After", invariant_time(certificate.not_after)),
        ("Thumbprint", certificate.thumbprint.clone()),
    ];
    let parts: Vec<String> = parts.iter().map(|(title, value)| format!("[{title}]\r\n  {value}\r\n")).collect();
    parts.join("\r\n")
}

/// `03/01/2024 18:00:06`.
fn invariant_time(ms: i64) -> String {
    let (year, month, day) = clock::date(ms);
    let time = Time(ms).to_string();
    format!("{month:02}/{day:02}/{year} {}", &time[11..19])
}

#[derive(Default)]
struct Writer {
    lines: Vec<String>,
    depth: usize,
    objects: usize,
    types: Vec<&'static str>,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.lines.push(format!("{}{line}", "  ".repeat(self.depth + 1)));
    }

    fn next_object(&mut self) -> usize {
        self.objects += 1;
        self.objects - 1
    }

    /// An object of the file, with what the shell adds to it.
    fn object(
        &mut self,
        kind: &'static str,
        bases: &[&str],
        text: &str,
        server: &str,
        properties: impl FnOnce(&mut Writer),
    ) {
        let reference = self.next_object();
        self.line(&format!("<Obj RefId=\"{reference}\">"));
        self.depth += 1;
        self.type_names(kind, bases);
        self.line(&format!("<ToString>{}</ToString>", escaped(text)));
        self.line("<Props>");
        self.depth += 1;
        properties(self);
        self.depth -= 1;
        self.line("</Props>");
        self.line("<MS>");
        self.depth += 1;
        self.line(&format!("<S N=\"PSComputerName\">{}</S>", escaped(server)));
        self.line("<G N=\"RunspaceId\">6e2d5f5a-0c64-4a35-9d0e-1f0a7c3b9a44</G>");
        self.line("<B N=\"PSShowComputerName\">false</B>");
        self.depth -= 1;
        self.line("</MS>");
        self.depth -= 1;
        self.line("</Obj>");
    }

    fn property(&mut self, name: &str, value: &Value) {
        match value {
            Value::Nothing => self.line(&format!("<Nil N=\"{name}\" />")),
            Value::Flag(flag) => self.line(&format!("<B N=\"{name}\">{flag}</B>")),
            Value::Number(number) => self.line(&format!("<I32 N=\"{name}\">{number}</I32>")),
            Value::Text(text) => self.line(&format!("<S N=\"{name}\">{}</S>", escaped(text))),
            Value::Time(ms) => {
                let time = Time(*ms).to_string().replace(".000Z", "Z");
                self.line(&format!("<DT N=\"{name}\">{time}</DT>"));
            }
            Value::Bytes(bytes) => {
                self.line(&format!("<BA N=\"{name}\">{}</BA>", BASE64_STANDARD.encode(bytes)));
            }
            Value::Choice(kind, text, number) => {
                self.open(name, kind, &["System.Enum", "System.ValueType"]);
                self.line(&format!("<ToString>{text}</ToString>"));
                self.line(&format!("<I32>{number}</I32>"));
                self.close();
            }
            Value::Object(kind, text) => {
                self.open(name, kind, &[]);
                self.described(text);
                self.close();
            }
            Value::List(items) => self.list(name, items),
            Value::Objects(kind, items) => self.objects(name, kind, items),
            Value::CertificateName(issuer, subject) => self.certificate_name(name, issuer, subject),
        }
    }

    fn list(&mut self, name: &str, items: &[String]) {
        self.open(
            name,
            "Microsoft.Exchange.Data.MultiValuedProperty`1[[System.String, mscorlib]]",
            &["Microsoft.Exchange.Data.MultiValuedPropertyBase"],
        );
        if items.is_empty() {
            self.line("<LST />");
            return self.close();
        }
        self.line("<LST>");
        self.depth += 1;
        items.iter().for_each(|item| self.line(&format!("<S>{}</S>", escaped(item))));
        self.depth -= 1;
        self.line("</LST>");
        self.close();
    }

    /// A collection of objects, each with its text and parts. A part is called `Name`, as the whole object's name is.
    fn objects(&mut self, name: &str, kind: &'static str, items: &[String]) {
        let collection = "Microsoft.Exchange.Data.MultiValuedProperty`1[[Microsoft.Exchange.Data]]";
        self.open(name, collection, &["Microsoft.Exchange.Data.MultiValuedPropertyBase"]);
        if items.is_empty() {
            self.line("<LST />");
            return self.close();
        }
        self.line("<LST>");
        self.depth += 1;
        for item in items {
            let reference = self.next_object();
            self.line(&format!("<Obj RefId=\"{reference}\">"));
            self.depth += 1;
            self.type_names(kind, &[]);
            self.described(item);
            self.close();
        }
        self.depth -= 1;
        self.line("</LST>");
        self.close();
    }

    /// What an object inside another says of itself.
    fn described(&mut self, text: &str) {
        let text = escaped(text);
        self.line(&format!("<ToString>{text}</ToString>"));
        self.line("<Props>");
        self.depth += 1;
        self.line("<B N=\"IsDeleted\">false</B>");
        self.line(&format!("<S N=\"Name\">{text}</S>"));
        self.depth -= 1;
        self.line("</Props>");
    }

    fn certificate_name(&mut self, name: &str, issuer: &str, subject: &str) {
        self.open(name, "Microsoft.Exchange.Data.SmtpX509Identifier", &[]);
        self.line(&format!("<ToString>{}</ToString>", escaped(&certificate_name(issuer, subject))));
        self.line("<Props>");
        self.depth += 1;
        self.line(&format!("<S N=\"CertificateSubject\">{}</S>", escaped(subject)));
        self.line(&format!("<S N=\"CertificateIssuer\">{}</S>", escaped(issuer)));
        self.depth -= 1;
        self.line("</Props>");
        self.close();
    }

    fn open(&mut self, name: &str, kind: &'static str, bases: &[&str]) {
        let reference = self.next_object();
        self.line(&format!("<Obj N=\"{name}\" RefId=\"{reference}\">"));
        self.depth += 1;
        self.type_names(kind, bases);
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line("</Obj>");
    }

    /// The names of a type and its bases, or a reference to them.
    fn type_names(&mut self, kind: &'static str, bases: &[&str]) {
        if let Some(reference) = self.types.iter().position(|known| *known == kind) {
            return self.line(&format!("<TNRef RefId=\"{reference}\" />"));
        }
        self.line(&format!("<TN RefId=\"{}\">", self.types.len()));
        self.types.push(kind);
        self.depth += 1;
        let names = [&[kind], bases, &["System.Object"]].concat();
        names.iter().for_each(|name| self.line(&format!("<T>{}</T>", escaped(name))));
        self.depth -= 1;
        self.line("</TN>");
    }

    fn finish(self) -> String {
        let head = "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\">";
        format!("{head}\r\n{}\r\n</Objs>", self.lines.join("\r\n"))
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('\r', "_x000D_").replace('\n', "_x000A_")
}
