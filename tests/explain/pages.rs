//! The pages that people read, and what a wrong question gets.

use std::path::Path;

use crate::program::{done, run};

fn fleet(path: &Path) {
    done(path, &["generate", "fleet", "--scenario", "certificate-name-mismatch", "--seed", "3", "-q"]);
    done(path, &["index", "fleet", "-q"]);
}

#[test]
fn a_case_as_text_markdown_and_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fleet(path);
    let asked = ["explain", "status:5.7.64", "--since", "2024-03-01"];
    insta::assert_snapshot!("text", done(path, &asked).out);
    insta::assert_snapshot!("why", done(path, &[&asked[..], &["--why"]].concat()).out);
    insta::assert_snapshot!("markdown", done(path, &[&asked[..], &["--markdown"]].concat()).out);
    insta::assert_snapshot!("json", done(path, &[&asked[..], &["--json"]].concat()).out);
}

#[test]
fn without_times_the_last_day_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fleet(path);
    let page = done(path, &["explain"]).out;
    assert!(page.contains("the 24 hours before the newest record"), "{page}");
    // Somebody who names a session of last week wants to hear of that one.
    let first = done(path, &["search", "status:5.7.64", "--sort", "oldest", "--limit", "1", "--json"]).out;
    let id = first.split('"').nth(5).unwrap();
    let page = done(path, &["explain", id]).out;
    assert!(page.contains("the 24 hours before the last refusal") && page.contains("1 refused session"), "{page}");
}

#[test]
fn rules_have_their_documentation() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    insta::assert_snapshot!("list", done(path, &["explain", "--list"]).out);
    insta::assert_snapshot!("rule", done(path, &["explain", "--rule", "chain-incomplete"]).out);
    let unknown = run(path, &["explain", "--rule", "chain"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("the rules are not-a-certificate-fault,"), "{}", unknown.err);
}

#[test]
fn nothing_refused_is_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let without = run(path, &["explain"]);
    assert_eq!(without.code, Some(2));
    assert!(without.err.contains("run 'smtptrail index PATH' first"), "{}", without.err);
    fleet(path);
    let nothing = run(path, &["explain", "presented:0000000000000000000000000000000000000000"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (Some(1), ""), "{}", nothing.err);
}

#[test]
fn a_bounce_leads_to_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let reply = "550 5.7.64 TenantAttribution; Relay Access Denied mail.contoso.com is untrustedroot.";
    std::fs::write(path.join("reply.txt"), reply).unwrap();
    let alone = done(path, &["explain", "--from", "reply.txt"]);
    assert!(alone.out.contains("chain-incomplete") && alone.out.contains("the sending server"), "{}", alone.out);
    assert!(alone.err.contains("the store has none of these sessions"), "{}", alone.err);

    fleet(path);
    let found = done(path, &["search", "status:5.7.64", "--sort", "oldest", "--limit", "0", "--json"]).out;
    let sessions = found.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let session = sessions.into_iter().find(|session| session["replies"][0]["peer"]["session"].is_string()).unwrap();
    let peer = &session["replies"][0]["peer"];
    let [host, time, id] = ["host", "time", "session"].map(|key| peer[key].as_str().unwrap());
    // Folded in the middle, as mail systems do.
    let bounce = format!(
        "Subject: Undeliverable\r\nContent-Type: text/plain\r\n\r\nRemote Server returned '550 5.7.64\r\n \
         TenantAttribution; Relay Access Denied [{host}\r\n {time} {id}]'\r\n"
    );
    std::fs::write(path.join("bounce.eml"), bounce).unwrap();
    let page = done(path, &["explain", "--from", "bounce.eml"]).out;
    assert!(page.contains(&format!("found by the peer's session id {id}")), "{page}");
    assert!(page.contains("1. certificate-name-mismatch (high confidence)"), "{page}");

    std::fs::write(path.join("letter.txt"), "Dear all, mail does not work.\n").unwrap();
    let nothing = run(path, &["explain", "--from", "letter.txt"]);
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.err.contains("letter.txt: no SMTP reply and no message id found in it"), "{}", nothing.err);
}

#[test]
fn behind_a_proxy_a_transcript_names_the_certificate_that_was_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(path, &["generate", "fleet", "--scenario", "certificate-name-mismatch-proxied", "--seed", "3", "-q"]);
    done(path, &["index", "fleet", "-q"]);
    let case = done(path, &["explain", "status:5.7.64", "--since", "2024-01-01", "--json"]).out;
    let case: serde_json::Value = serde_json::from_str(case.lines().next().unwrap()).unwrap();
    let [seen, front_end] = ["presented", "front_end"].map(|key| case[key].as_str().unwrap());
    let evidence = case["causes"][0]["evidence"].as_array().unwrap();
    let refused = evidence.iter().find_map(|item| item["session"].as_str()).unwrap();
    let shown = done(path, &["show", refused]).out;
    let expected =
        format!("the certificate that the other side saw is {seen} (smtp.contoso.com), presented by {front_end}");
    assert!(shown.contains(&expected), "{shown}");
    // Its own certificates are those between hub and front end.
    assert!(!shown.contains("▶ presented") && !shown.contains("\npresented"), "{shown}");
    assert!(shown.contains("\ninternal     presented ") && shown.contains("· internal"), "{shown}");
}

#[test]
fn exports_that_say_nothing_are_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::create_dir(path.join("exports")).unwrap();
    let table = "Name            Enabled ConnectorType TlsSenderCertificateName\r\n\
                 ----            ------- ------------- ------------------------\r\n\
                 Inbound from HQ True    OnPremises    mail.contoso.com\r\n";
    std::fs::write(path.join("exports/x.txt"), table).unwrap();
    std::fs::write(path.join("exports/Get-SendConnector.json"), "\u{feff}\r\n").unwrap();
    let empty = "<Objs Version=\"1.1.0.1\" xmlns=\"http://schemas.microsoft.com/powershell/2004/04\"></Objs>";
    std::fs::write(path.join("exports/Get-InboundConnector.xml"), empty).unwrap();
    let first = run(path, &["index", "exports"]);
    assert_eq!(first.code, Some(3), "{}", first.err);
    let warnings: Vec<&str> = first.err.lines().filter(|line| line.starts_with("warning: ")).collect();
    let said = [
        "Get-InboundConnector.xml is refused: an export without any object",
        "Get-SendConnector.json is refused: an export without any object, which proves nothing: run Get-SendConnector",
        "x.txt is refused: looks like a PowerShell table, which cuts values; export it again with | Format-List",
    ];
    assert_eq!(warnings.len(), said.len(), "{}", first.err);
    warnings.iter().zip(said).for_each(|(line, said)| assert!(line.contains(said), "{line}"));
    let second = done(path, &["index", "exports"]);
    assert!(!second.err.contains("x.txt"), "{}", second.err);
}
