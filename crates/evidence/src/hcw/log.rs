//! The wizard's `.log`, entry by entry.

use std::collections::VecDeque;

use super::{
    command::{self, COMMAND_BYTES_MAX, command},
    entry::{ENTRY_LINES_MAX, Entry, Part, is_coded_head, parts},
    moment,
    object::{self, objects},
    run::{Run, When},
    tables::{Table, tables},
};
use crate::{
    fact::{Fact, HybridEntry},
    kinds::Reading,
    text::Decoded,
};

/// Lines by which a log is recognised.
const RECOGNISED_LINES: usize = 200;

/// Calls that have started and not finished, one a thread at most. The wizard has some tens of threads; past this the
/// oldest call is taken for one whose end the log does not show.
const OPEN_CALLS_MAX: usize = 1_024;

/// Whether the text is a log of the wizard.
pub(super) fn recognise(text: &str) -> bool {
    let mut lines = text.lines().take(RECOGNISED_LINES);
    let first = lines.clone().next().unwrap_or_default();
    first.contains(" Current Time Zone: ") && moment::stamp(first).is_some() || lines.any(is_coded_head)
}

/// Reads a log.
pub(super) fn read(decoded: &Decoded<'_>, reading: &mut Reading) {
    let mut log = Log { run: Run::new(decoded, reading), open: VecDeque::new() };
    for part in parts(&decoded.text) {
        match part {
            Part::Entry(entry) => log.entry(&entry),
            Part::Stray(at) => log.run.reject(at, "a line that belongs to no entry"),
        }
    }
}

struct Log<'a> {
    run: Run<'a>,
    open: VecDeque<Call>,
}

/// A call that has started.
struct Call {
    thread: String,
    cmdlet: String,
    /// Where it is among the facts, if it was kept.
    place: Option<usize>,
}

impl Log<'_> {
    fn entry(&mut self, entry: &Entry<'_>) {
        if entry.lines_dropped > 0 {
            self.run.reject(entry.at, format!("an entry of more than {ENTRY_LINES_MAX} lines"));
        }
        let Some(code) = entry.code else {
            if !self.run.zone(&entry.text()) {
                self.run.reading.pass("entry without code");
            }
            return;
        };
        let is_used = match code {
            "10276" => self.start(entry),
            "10277" | "10271" | "10273" => self.finish(entry),
            "10023" => self.certificates(entry),
            "10081" => self.comparisons(entry),
            _ => false,
        };
        if !self.message(entry, code) && !is_used {
            self.run.reading.pass(&format!("code {code}"));
        }
    }

    /// `START New-InboundConnector -Name ...`. Says, as the others do, whether something came of it.
    fn start(&mut self, entry: &Entry<'_>) -> bool {
        let text = entry.text();
        let text = text.trim_start_matches("START").trim();
        if text.len() > COMMAND_BYTES_MAX {
            self.run.reject(entry.at, format!("a call of more than {COMMAND_BYTES_MAX} bytes"));
            return true;
        }
        let named = entry.key("Cmdlet").and_then(command);
        let Some(command) = command(text).or(named) else {
            return false;
        };
        let cmdlet = command.cmdlet.clone();
        let mut place = None;
        let changes = command::changes_mail_flow(&cmdlet);
        if changes {
            let call = HybridEntry::Call {
                cmdlet: command.cmdlet,
                in_tenant: in_tenant(entry.key("Session")),
                parameters: command.parameters,
                succeeded: None,
            };
            place = self.run.hybrid(entry.at, when(entry), call);
        }
        self.open(Call { thread: entry.key("Thread").unwrap_or_default().to_owned(), cmdlet, place });
        changes
    }

    /// `FINISH Time=3658.9ms Results=1`, and the results, or why it failed.
    fn finish(&mut self, entry: &Entry<'_>) -> bool {
        let text = entry.text();
        let is_error = entry.severity == Some("ERROR");
        let cmdlet = entry.key("Cmdlet").unwrap_or_default();
        let place = self.close(entry.key("Thread").unwrap_or_default(), cmdlet);
        if let Some(found) = place.and_then(|place| self.run.reading.found.get_mut(place))
            && let Fact::Hybrid(hybrid) = &mut found.fact
            && let HybridEntry::Call { succeeded, .. } = &mut hybrid.entry
        {
            *succeeded = has_succeeded(&text, is_error);
        }
        let is_state = match object::subject(cmdlet) {
            Some(subject) if !is_error => self.results(entry, subject, &text),
            _ => false,
        };
        is_state || place.is_some()
    }

    fn results(&mut self, entry: &Entry<'_>, subject: object::Subject, text: &str) -> bool {
        if subject == object::Subject::Certificate {
            return false; // Shown without their bytes and thumbprints; table 10023 has these.
        }
        let (objects, unread) = objects(text);
        let is_used = !objects.is_empty() || unread > 0;
        for properties in objects {
            match object::fact(subject, properties) {
                Some(fact) => self.run.state(entry.at, fact),
                None => self.run.reject(entry.at, "a result without a name"),
            }
        }
        for _ in 0..unread {
            self.run.reject(entry.at, "a result that cannot be read");
        }
        is_used
    }

    fn certificates(&mut self, entry: &Entry<'_>) -> bool {
        let mut is_used = false;
        for table in tables(&entry.lines) {
            let Some(certificates) = table.certificates() else { continue };
            is_used = true;
            for names in certificates {
                self.run.state(entry.at, Fact::CertificateNames(names));
            }
            self.reject_rows(entry, &table, table.without_thumbprint());
        }
        is_used
    }

    fn comparisons(&mut self, entry: &Entry<'_>) -> bool {
        // The wizard compares before it changes something and again when it has; only the later tables show the end.
        let after = entry.key("Phase").is_some_and(|phase| phase.starts_with("Validate"));
        let mut is_used = false;
        for table in tables(&entry.lines) {
            let Some(comparisons) = table.comparisons(after) else { continue };
            is_used = true;
            self.reject_rows(entry, &table, table.row_count() - comparisons.len() as u64);
            for comparison in comparisons {
                self.run.hybrid(entry.at, when(entry), comparison);
            }
        }
        is_used
    }

    fn message(&mut self, entry: &Entry<'_>, code: &str) -> bool {
        match code {
            "10276" | "10023" | "10081" => false,
            // Results are no message, though they may hold any text.
            "10277" | "10271" | "10273" if entry.severity.is_none() => false,
            _ => self.run.message(entry.at, when(entry), code, entry.severity, &entry.text()),
        }
    }

    fn reject_rows(&mut self, entry: &Entry<'_>, table: &Table, unread: u64) {
        for _ in 0..table.rejected + unread {
            self.run.reject(entry.at, "a row that does not fit its table");
        }
    }

    /// A thread runs one call at a time, so one of the same cmdlet that has not finished never will.
    fn open(&mut self, call: Call) {
        self.open.retain(|open| (&open.thread, &open.cmdlet) != (&call.thread, &call.cmdlet));
        if self.open.len() == OPEN_CALLS_MAX {
            self.open.pop_front();
            self.run.reading.pass("call without an end");
        }
        self.open.push_back(call);
    }

    fn close(&mut self, thread: &str, cmdlet: &str) -> Option<usize> {
        let is_it = |call: &Call| call.thread == thread && call.cmdlet.eq_ignore_ascii_case(cmdlet);
        let at = self.open.iter().position(is_it)?;
        self.open.remove(at)?.place
    }
}

fn when<'a>(entry: &Entry<'a>) -> When<'a> {
    When { text: entry.time, local_ms: moment::log_ms(entry.time) }
}

fn in_tenant(session: Option<&str>) -> Option<bool> {
    match session? {
        "Tenant" => Some(true),
        "OnPremises" => Some(false),
        _ => None,
    }
}

/// Whether a call did: results are counted or `PASSED`; otherwise the reason stands there.
fn has_succeeded(text: &str, is_error: bool) -> Option<bool> {
    if is_error {
        return Some(false);
    }
    let (_, results) = text.split_once("Results=")?;
    let word = results.split_whitespace().next()?;
    Some(word == "PASSED" || word.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fact::value,
        kinds::{Document, Kind},
    };

    const ZONE: &str =
        "2022.02.19 03:24:02.871               Current Time Zone: Coordinated Universal Time (3:24:02 AM)\r\n";
    const INDENT: &str = "                                      ";

    fn reading(text: &str) -> Reading {
        let document = Document { name: "20220219_032402.log", bytes: text.as_bytes() };
        assert!(super::super::HybridLog.recognise(&document), "{text}");
        let mut reading = Reading::default();
        super::super::HybridLog.read(&document, &mut reading);
        reading
    }

    /// An entry with a head like the wizard's.
    fn entry(severity: &str, code: &str, keys: &str, text: &str) -> String {
        format!("2022.02.19 03:26:09.172 {severity:7} {code} [Client=UX, {keys}, Thread=9] {text}\r\n")
    }

    fn only(reading: &Reading) -> &Fact {
        assert_eq!(reading.found.len(), 1, "{reading:?}");
        &reading.found[0].fact
    }

    #[track_caller]
    fn check_call(finish: &str, expected: Option<bool>) {
        let keys = "Session=Tenant, Cmdlet=New-InboundConnector";
        let start = "START New-InboundConnector -Name 'a' -TLSSenderCertificateName 'mail.contoso.com'";
        let reading = reading(&format!("{ZONE}{}{finish}", entry("", "10276", keys, start)));
        let Fact::Hybrid(hybrid) = &reading.found[0].fact else { panic!("{reading:?}") };
        assert_eq!(hybrid.time_ms, Some(1_645_241_169_172));
        let HybridEntry::Call { cmdlet, in_tenant, parameters, succeeded } = &hybrid.entry else {
            panic!("{hybrid:?}")
        };
        assert_eq!((cmdlet.as_str(), *in_tenant, *succeeded), ("New-InboundConnector", Some(true), expected));
        let name = value(parameters, "TlsSenderCertificateName").and_then(|value| value.text());
        assert_eq!(name, Some("mail.contoso.com"));
    }

    #[test]
    fn calls_succeed_or_not() {
        let keys = "Session=Tenant, Cmdlet=New-InboundConnector";
        let failure = "FINISH Time=1.0ms Results=PowerShell failed to invoke 'New-InboundConnector': no";
        check_call("", None);
        check_call(&entry("", "10277", keys, "FINISH Time=1.0ms Results=1"), Some(true));
        check_call(&entry("", "10271", keys, "FINISH Time=1.0ms Results=PASSED Id=1"), Some(true));
        check_call(&entry("*ERROR*", "10277", keys, failure), Some(false));
        check_call(&entry("", "10277", keys, failure), Some(false));
        check_call(&entry("", "10277", "Cmdlet=Get-InboundConnector", "FINISH Time=1.0ms Results=0"), None);
    }

    #[test]
    fn a_call_whose_text_is_empty_has_its_name_in_brackets() {
        let reading = reading(&entry("", "10276", "Session=OnPremises, Cmdlet=Set-HybridConfiguration", "START "));
        let Fact::Hybrid(hybrid) = only(&reading) else { panic!("{reading:?}") };
        assert_eq!((hybrid.time_ms, hybrid.time.as_str(), &hybrid.zone), (None, "2022.02.19 03:26:09.172", &None));
        assert!(
            matches!(&hybrid.entry, HybridEntry::Call { cmdlet, in_tenant: Some(false), .. } if cmdlet == "Set-HybridConfiguration")
        );
    }

    #[test]
    fn results_are_states_and_repeated_ones_are_kept_once() {
        let keys = "Session=Tenant, Cmdlet=Get-InboundConnector";
        let result = |tls: u8| {
            let text = format!("FINISH Time=1.0ms Results=1\r\n{INDENT}X.Connector {{Name='a' RequireTls={tls}}}");
            entry("", "10277", keys, &text)
        };
        let reading = reading(&[result(0), result(0), result(1), result(0)].concat());
        let flags: Vec<Option<bool>> = reading
            .found
            .iter()
            .map(|found| match &found.fact {
                Fact::Connector(connector) => connector.flag("RequireTLS"),
                _ => None,
            })
            .collect();
        assert_eq!(flags, [Some(false), Some(true), Some(false)]);
        assert_eq!(reading.passed["repeated state"], 1);
        assert_eq!(reading.found[1].offset as usize, 2 * result(0).len());
    }

    #[test]
    fn comparisons_say_whether_they_came_after_the_changes() {
        let table = format!(
            "\r\n{INDENT}Send Connector\r\n{INDENT}Name | Equals | Actual | Expected\r\n{INDENT}A | False | 1 | 2"
        );
        for (phase, expected) in [("CheckConfiguration", false), ("ValidateConfiguration", true)] {
            let reading = reading(&entry("", "10081", &format!("Phase={phase}"), &table));
            let Fact::Hybrid(hybrid) = only(&reading) else { panic!("{reading:?}") };
            assert!(matches!(&hybrid.entry, HybridEntry::Comparison { after, .. } if *after == expected), "{hybrid:?}");
        }
    }

    #[track_caller]
    fn check_message(text: &str, expected: Option<(&str, Option<&str>, &str)>) {
        let reading = reading(text);
        let message = reading.found.first().map(|found| match &found.fact {
            Fact::Hybrid(hybrid) => match &hybrid.entry {
                HybridEntry::Message { code, severity, text } => (code.as_str(), severity.as_deref(), text.as_str()),
                _ => panic!("{hybrid:?}"),
            },
            fact => panic!("{fact:?}"),
        });
        assert_eq!(message, expected, "{text}");
    }

    #[test]
    fn messages() {
        let text = "HCW8103 The certificate provided (mail.x) does not match a verified domain.";
        check_message(&entry("WARNING", "10026", "Page=A", text), Some(("HCW8103", Some("WARNING"), text)));
        check_message(
            &entry(
                "*ERROR*",
                "10224",
                "Page=A",
                &format!("E: no\r\n{INDENT}   at A.B()\r\n{INDENT}   --- End of inner"),
            ),
            Some(("10224", Some("ERROR"), "E: no")),
        );
        check_message(&entry("", "10165", "Page=A", "no"), Some(("10165", None, "no")));
        check_message(&entry("*ERROR*", "10042", "Page=A", "Exception Image: C:\\a.png"), None);
        check_message(&entry("", "10044", "Page=A", "Opening HCW log"), None);
    }

    #[test]
    fn the_rest_is_counted() {
        let reading =
            reading(&format!("stray\n{ZONE}{}{}", entry("", "10044", "A=1", "x"), entry("", "10044", "A=1", "y")));
        assert_eq!(reading.passed["code 10044"], 2);
        assert_eq!(reading.rejections, [(0, "a line that belongs to no entry".to_owned())]);
    }
}
