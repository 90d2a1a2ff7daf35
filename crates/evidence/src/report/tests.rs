//! Reports in tiny form, one for each shape.

use proptest::prelude::*;

use super::*;

/// Attempts as `depth code status text | what else is known`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let report = report(text.as_bytes());
    let shown: Vec<String> = report.attempts.iter().map(shown).collect();
    assert_eq!(shown, expected, "{text:?}");
}

fn shown(attempt: &Attempt) -> String {
    let code = attempt.code.map_or("-".to_owned(), |code| code.to_string());
    let status = attempt.status.as_deref().unwrap_or("-");
    let mut shown = format!("{} {code} {status} {}", attempt.depth, attempt.text);
    let peer = attempt.peer.as_ref().map(|peer| peer.host.as_str());
    let known = [
        ("attr", attempt.attr.as_deref()),
        ("peer", peer),
        ("host", attempt.host.as_deref()),
        ("ip", attempt.ip.as_deref()),
        ("at", attempt.time_text.as_deref()),
    ];
    for (name, value) in known {
        shown += &value.map_or(String::new(), |value| format!(" | {name} {value}"));
    }
    shown
}

#[test]
fn pasted_replies() {
    check(
        "550 5.7.64 TenantAttribution; Denied ATTR36",
        &["0 550 5.7.64 TenantAttribution; Denied ATTR36 | attr ATTR36"],
    );
    check("550 Denied", &["0 550 - Denied"]);
    check("> 550-5.7.1 One\n> 550 5.7.1 Two", &["0 550 5.7.1 One", "0 550 5.7.1 Two"]);
    check("550-5.7.1 One\n550-5.7.1 two\n550 5.7.1 three\nMore", &["0 550 5.7.1 One two three"]);
    check("5.7.64 TenantAttribution; Denied", &["0 - 5.7.64 TenantAttribution; Denied"]);
    check("550+5.7.64+Denied+by+us", &["0 550 5.7.64 Denied by us"]);
    check("no reply at all", &[]);
    check("", &[]);
}

#[test]
fn words_for_people() {
    check(
        "7/7/2026 3:58:12 PM - Server at a.x.y returned '550 5.4.317 Message expired(No)'\n\
         7/7/2026 3:48:53 PM - Server at b.x.y (203.0.113.9) returned '450 4.4.317 User's [FE.x.y](No)'",
        &[
            "0 450 4.4.317 User's [FE.x.y](No) | peer FE.x.y | host b.x.y | ip 203.0.113.9 | at 7/7/2026 3:48:53 PM",
            "0 550 5.4.317 Message expired(No) | host a.x.y | at 7/7/2026 3:58:12 PM",
        ],
    );
    check(
        "Remote Server returned '550 5.7.64 Tenant\nAttribution; Denied'\nand so on",
        &["0 550 5.7.64 Tenant Attribution; Denied"],
    );
    check("Remoteserver gab '550 Zugriff verweigert' zurück", &["0 550 - Zugriff verweigert"]);
    check(
        "mail.x.y #<mx.x.y #5.7.1 smtp;530 5.7.1 Not authenticated> #SMTP#",
        &["0 530 5.7.1 Not authenticated | host mx.x.y"],
    );
    check(
        "Remote Server returned '< #4.4.7 smtp;550 4.4.7 QUEUE.Expired; message expired>'",
        &["0 550 4.4.7 QUEUE.Expired; message expired"],
    );
    check("said: \"550 5.7.1 Denied\" and went\n\nsays \"you\"", &["0 550 5.7.1 Denied"]);
}

#[test]
fn python() {
    check(
        "SMTPRecipientsRefused: {'a@x.y': (550, b'5.7.64 It\\'s\\nDenied [FE.x.y]'), 'b@x.y': (451, b\"4.4.4 Later\")}",
        &["0 550 5.7.64 It\\'s Denied [FE.x.y] | peer FE.x.y", "0 451 4.4.4 Later"],
    );
}

/// Format-List breaks at the console's width, inside of words too.
#[test]
fn wrapped_errors_of_queues() {
    let record = "[{LED=550 5.7.64 TenantAttribution; Relay Access Denied [BL2NAM06FT046.mail.protection.outlook.com \
                  2024-03-06T23:59:59.933Z 08DC32A8377F1E20]};{MSG=};{FQDN=contoso-com.mail.protection.outlook.com};\
                  {IP=52.101.13.169};{LRT=3/6/2024 11:59:59 PM}]";
    let whole = report(format!("LastError : {record}\n").as_bytes());
    assert_eq!(whole.attempts[0].peer.as_ref().unwrap().session.as_deref(), Some("08DC32A8377F1E20"));
    for width in [45, 79, 80, 100, 119, 120] {
        let (label, room) = ("LastError      : ", width - 17);
        let letters: Vec<char> = record.chars().collect();
        let lines: Vec<String> = letters.chunks(room).map(String::from_iter).collect();
        let text =
            format!("Identity       : EX003\\1234\r\n{label}{}\r\nStatus2 : x", lines.join("\r\n                 "));
        let narrow = report(text.as_bytes());
        let utf16: Vec<u8> = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(report(&utf16), narrow, "{text}");
        if lines.len() > 2 || [79, 80, 119, 120].contains(&width) {
            assert_eq!(narrow.attempts, whole.attempts, "{text}");
        } else {
            assert_eq!(narrow.attempts[0].peer, whole.attempts[0].peer, "{text}");
        }
    }
}

#[test]
fn errors_of_queues() {
    check(
        "LastError : [{LED=451 4.4.395 Responded. -> 421 4.4.1 Timed out};{MSG=};{FQDN=mx.x.y}; {IP=};{LRT=5/2/2019 6:32:14 AM}]",
        &[
            "1 421 4.4.1 Timed out | host mx.x.y | at 5/2/2019 6:32:14 AM",
            "0 451 4.4.395 Responded. -> 421 4.4.1 Timed out | host mx.x.y | at 5/2/2019 6:32:14 AM",
        ],
    );
    check(
        "[{LRT=1/1/2020 1:00:00 AM};{LED=450 4.7.1 One};{FQDN=a.x};{IP=203.0.113.9}]\n[{LRT=1/2/2020 1:00:00 AM};{LED=451 4.4.4 Two};{FQDN=b.x};{IP=}]",
        &[
            "0 450 4.7.1 One | host a.x | ip 203.0.113.9 | at 1/1/2020 1:00:00 AM",
            "0 451 4.4.4 Two | host b.x | at 1/2/2020 1:00:00 AM",
        ],
    );
    check(
        "[<LRI-2019/11/4 13:31:03>; <led-451 4.4.0 Said: \"454 4.7.0 No.\" See <https://x.y/z>.>;<FQDN-M10.x.y>;<IP=10.0.0.1>]",
        &[
            "1 454 4.7.0 No. | host M10.x.y | ip 10.0.0.1 | at 2019/11/4 13:31:03",
            "0 451 4.4.0 Said: \"454 4.7.0 No.\" See <https://x.y/z>. | host M10.x.y | ip 10.0.0.1 | at 2019/11/4 13:31:03",
        ],
    );
    check("{LED=450 4.4.317 Cut [Message=Subject\n\nMismatch", &["0 450 4.4.317 Cut [Message=Subject Mismatch"]);
}

#[test]
fn fields_for_programs() {
    check(
        "Reporting-MTA: dns; a.x\n\nFinal-Recipient: rfc822;u@x.y\nStatus: 4.4.4\nRemote-MTA: dns; mx.x.y.\n (2001:db8::2, the server)\n\
         Diagnostic-Code: smtp;451 4.4.4 Mail\n received ATTR5\nLast-Attempt-Date: Thu, 13 Aug 2026 06:12:35 -0700\n",
        &[
            "0 451 4.4.4 Mail received ATTR5 | attr ATTR5 | host mx.x.y | ip 2001:db8::2 | at Thu, 13 Aug 2026 06:12:35 -0700",
        ],
    );
    check("Final-Recipient: rfc822;u@x.y\nAction: failed\nStatus: 5.7.64\n", &["0 - 5.7.64 "]);
    check(
        "Final-Recipient: rfc822;u@x.y\nStatus: 5.7.64\nDiagnostic-Code: smtp; 550 Denied\n",
        &["0 550 5.7.64 Denied"],
    );
    check("Final-Recipient: rfc822;u@x.y\nAction: delivered\nStatus: 2.0.0\n", &[]);
    check("Final-Recipient: rfc822;u@x.y\nDiagnostic-Code: smtp;\n", &[]);
    check("Diagnostic-Code: x-unix; no room\nStatus: 5.2.2\n", &["0 - 5.2.2 no room"]);
}

#[test]
fn the_same_reply_twice_is_one() {
    check(
        "Server at mx.x.y returned '550 5.7.64 Denied [FE.x.y](extra)'\n\nRemote-MTA: dns;mx.x.y\nDiagnostic-Code: smtp;550 5.7.64 Denied\n",
        &["0 550 5.7.64 Denied [FE.x.y](extra) | peer FE.x.y | host mx.x.y"],
    );
    check(
        "550 5.7.64 Denied [A.x.y]\n550 5.7.64 Denied [B.x.y]",
        &["0 550 5.7.64 Denied [A.x.y] | peer A.x.y", "0 550 5.7.64 Denied [B.x.y] | peer B.x.y"],
    );
}

#[track_caller]
fn check_names(text: &str, ids: &[&str], recipients: &[&str], hosts: &[&str]) {
    let report = report(text.as_bytes());
    assert_eq!(report.message_ids, ids, "{text:?}");
    assert_eq!(report.recipients, recipients, "{text:?}");
    assert_eq!(report.reporting_hosts, hosts, "{text:?}");
}

#[test]
fn names_of_a_text() {
    check_names(
        "Message-ID: <own@x>\nIn-Reply-To: <answered@x>\n\nMessage-ID: <original@x>\n",
        &["<answered@x>", "<original@x>", "<own@x>"],
        &[],
        &[],
    );
    check_names(
        "X-Original-Message-ID: <o@x>\nFinal-Recipient: rfc822; u@x.y\nReporting-MTA: dns;h.x\n",
        &["<o@x>"],
        &["u@x.y"],
        &["h.x"],
    );
    check_names(
        "Generierender Server: EX1.x.y\nEmpfangsserver: mx.x.y\n\nu@x.y\nA (B)<mailto:V@x.y>\n",
        &[],
        &["u@x.y", "V@x.y"],
        &["EX1.x.y"],
    );
    check_names("{'a@x.y': (550, b'5.7.1 x'), 'b@x.y': (550, b'5.7.1 x')}", &[], &["a@x.y", "b@x.y"], &[]);
}

/// `Diagnostic-Code: smtp;550 5.7.64 Denied` and a recipient, in Base64 as some gateways write the part.
const BASE64_STATUS: &str =
    "RmluYWwtUmVjaXBpZW50OiByZmM4MjI7dUB4LnkNCkRpYWdub3N0aWMtQ29kZTogc210cDs1NTAg\nNS43LjY0IERlbmllZA0K";

fn message(human: &str, status: &str, original: &str) -> String {
    format!(
        "From: postmaster@x.y\nMessage-ID: <own@x>\nIn-Reply-To: <original@x>\nMIME-Version: 1.0\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=\"b\"\n\n\
         --b\n{human}\n--b\n{status}\n--b\n{original}\n--b--\n"
    )
}

#[test]
fn messages_with_parts() {
    let human = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
                 Zur=FCck: 'mx.x.y' gab '550 5.7.64 Den=\nied' zur=FCck\n";
    let status =
        format!("Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n{BASE64_STATUS}\n");
    let headers = "Content-Type: text/rfc822-headers\n\nMessage-ID: <original@x>\nSubject: 550 5.1.1 not a reply\n";
    let whole = "Content-Type: message/rfc822\n\nMessage-ID: <original@x>\nSubject: s\n\n550 5.1.1 not a reply\n";
    for original in [headers, whole] {
        let text = message(human, &status, original);
        check(&text, &["0 550 5.7.64 Denied | host mx.x.y"]);
        check_names(&text, &["<original@x>", "<own@x>"], &["u@x.y"], &[]);
        let (_, body) = text.split_once("\n\n").unwrap();
        check(body, &["0 550 5.7.64 Denied | host mx.x.y"]);
    }
}

#[test]
fn markup_is_read_where_there_is_no_text() {
    let text = "Content-Type: text/html\n\n<p>Server at mx.x.y returned &#39;550 5.7.64 Denied&#39;</p>";
    check(text, &["0 550 5.7.64 Denied | host mx.x.y"]);
}

#[test]
fn limits_are_counted() {
    let lines: String = (0..ATTEMPTS_MAX + 3).map(|number| format!("550 5.7.1 {number:05}\n")).collect();
    let many = report(lines.as_bytes());
    assert_eq!((many.attempts.len(), many.dropped), (ATTEMPTS_MAX, 3));
    let long = report(&vec![b'\n'; REPORT_BYTES_MAX + 7]);
    assert_eq!(long.bytes_dropped, 7);
}

#[test]
fn messages_built_to_do_harm_are_read_as_text() {
    let nested = "Content-Type: message/rfc822\n\n".repeat(20_000);
    check(&format!("{nested}550 5.7.64 Denied"), &["0 550 5.7.64 Denied"]);
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(\n| |550|451|5\\.7\\.64|'|\"|<|>|\\[|\\]|\\{LED=|\\}|;|smtp;|Diagnostic-Code: |--b|Content-Type: message/|#|, b'|[a-z]|ü){0,60}") {
        report(text.as_bytes());
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        report(&bytes);
    }

    #[test]
    fn any_cut_is_read(cut in 0_usize..1_200) {
        let status = format!("Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n{BASE64_STATUS}\n");
        let text = message("\n550 5.7.64 a", &status, "Content-Type: message/rfc822\n\nMessage-ID: <original@x>\n");
        report(&text.as_bytes()[..text.len().min(cut)]);
    }

    /// A reply in a field means the same wherever it is folded.
    #[test]
    fn folding_changes_nothing(words in prop::collection::vec("[a-zA-Z;]{1,12}", 1..30), folds in prop::collection::vec(any::<bool>(), 30)) {
        let field = |fold: &dyn Fn(usize) -> bool| {
            let mut text = "Diagnostic-Code: smtp;550 5.7.64".to_owned();
            for (at, word) in words.iter().enumerate() {
                text.push_str(if fold(at) { "\r\n " } else { " " });
                text.push_str(word);
            }
            text
        };
        let plain = report(field(&|_| false).as_bytes());
        prop_assert_eq!(plain.attempts.len(), 1);
        prop_assert_eq!(plain, report(field(&|at| folds[at]).as_bytes()));
    }

    /// Bytes written over a whole message, where a parser of mail keeps its places.
    #[test]
    fn any_damage_is_read(changes in prop::collection::vec((0_usize..1_000, "[-\\r\\n:;=\" bB/a-z]{1,12}", any::<bool>()), 0..12)) {
        let status = format!("Content-Type: message/delivery-status\nContent-Transfer-Encoding: base64\n\n{BASE64_STATUS}\n");
        let original = "Content-Type: message/rfc822\n\nMessage-ID: <original@x>\nContent-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--c--\n";
        let mut bytes = message("\n550 5.7.64 a", &status, original).into_bytes();
        for (at, text, is_inserted) in changes {
            let at = at % bytes.len();
            let end = if is_inserted { at } else { bytes.len().min(at + text.len()) };
            bytes.splice(at..end, text.bytes());
        }
        report(&bytes);
    }
}
