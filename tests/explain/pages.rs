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
    assert!(alone.err.contains("there is no store at smtptrail-store; what the report itself says"), "{}", alone.err);
    // Nobody is to believe that the rest is explained, too.
    let several = format!("{reply}\n\n550 5.1.10 RESOLVER.ADR.RecipientNotFound\n\n{reply}\n");
    std::fs::write(path.join("several.txt"), several).unwrap();
    let several = done(path, &["explain", "--from", "several.txt"]);
    assert!(several.err.contains("only 550 5.7.64 is explained; also in it: 550 5.1.10"), "{}", several.err);

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
    assert!(page.contains("1. certificate-name-mismatch (medium confidence)"), "{page}");
    let shown = done(path, &["show", id]);
    assert!(shown.err.contains(&format!("{id} is what the other side calls this session")), "{}", shown.err);
    assert!(shown.out.starts_with(session["id"].as_str().unwrap()), "{}", shown.out);

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

#[test]
fn a_bare_reply_tells_what_it_may_mean() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let replies = [
        "550 5.7.64 TenantAttribution; Relay Access Denied",
        "550 5.7.64 TenantAttribution; Relayzugriff verweigert SMTP.",
        "451 4.4.0 Primary target IP address responded with: \"550 5.7.64 TenantAttribution; Relay Access Denied \
         [XX9NAM06FT046.mail.protection.outlook.com 2025-01-06T23:59:59.933Z 08DD32A8377F1E20].\" Attempted failover",
    ];
    for (number, reply) in replies.iter().enumerate() {
        let name = format!("{number}.txt");
        std::fs::write(path.join(&name), reply).unwrap();
        let page = done(path, &["explain", "--from", &name]).out;
        assert!(page.contains("5.7.64 means: Exchange Online could not tell whose server this was"), "{page}");
        assert!(page.contains("\n    certificate-name-mismatch: No name of the presented certificate"), "{page}");
        assert!(page.contains("smtptrail index PATH"), "{page}");
        assert!(
            !page.contains("unknown") && !page.contains("wevtutil") && !page.contains("Looked at: since"),
            "{page}"
        );
    }
    fleet(path);
    let page = done(path, &["explain", "--from", "0.txt"]).out;
    assert!(page.contains("with status:5.7.64, the last at 2024-03-06 "), "{page}");
    assert!(page.contains("\n  smtptrail explain status:5.7.64\n"), "{page}");
    insta::assert_snapshot!("bare_markdown", done(path, &["explain", "--from", "0.txt", "--markdown"]).out);
    let case = done(path, &["explain", "--from", "0.txt", "--json"]).out;
    let case: serde_json::Value = serde_json::from_str(&case).unwrap();
    assert_eq!(case["possible"][0], "certificate-name-mismatch", "{case:#}");
    assert!(case["similar"].as_u64().unwrap() > 10, "{case:#}");
}

#[test]
fn times_hold_for_what_a_report_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fleet(path);
    let found = done(path, &["search", "status:5.7.64 peer_session:*", "--limit", "1", "--json"]).out;
    let session: serde_json::Value = serde_json::from_str(&found).unwrap();
    let [host, time, id] = ["host", "time", "session"].map(|key| session["replies"][0]["peer"][key].as_str().unwrap());
    std::fs::write(path.join("reply.txt"), format!("550 5.7.64 TenantAttribution [{host} {time} {id}]")).unwrap();
    let asked = |since: &str| done(path, &["explain", "--from", "reply.txt", "--since", since]);
    assert!(asked("2024-03-01").out.contains("found by the peer's session id"));
    let later = asked("2024-03-08");
    assert!(later.err.contains("the store has none of these sessions in this time"), "{}", later.err);
    assert!(later.out.contains("since 2024-03-08 00:00:00 UTC: the report reply.txt"), "{}", later.out);
    assert!(later.out.contains("The store holds no status:5.7.64"), "{}", later.out);
}

#[test]
fn exports_that_contradict_each_other_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    done(
        path,
        &["generate", "fleet", "--scenario", "certificate-name-mismatch", "--seed", "3", "--evidence", "none", "-q"],
    );
    std::fs::create_dir(path.join("fleet/exports")).unwrap();
    for (name, expects, day) in [("b.txt", "mail.contoso.com", 1), ("a.txt", "smtp.contoso.com", 2)] {
        let text = format!(
            "\r\nName                     : Inbound from HQ\r\nEnabled                  : True\r\n\
             ConnectorType            : OnPremises\r\nTlsSenderCertificateName : {expects}\r\n"
        );
        let file = path.join("fleet/exports").join(name);
        std::fs::write(&file, text).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_709_251_200 + day * 86_400);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
    }
    done(path, &["index", "fleet", "-q"]);
    let page = done(path, &["explain", "status:5.7.64"]).out.replace('\n', " ");
    let expected = "Two exports contradict each other about TlsSenderCertificateName of Inbound from HQ: \
                    exports/a.txt (smtp.contoso.com, changed 2024-03-03 00:00:00 UTC) and exports/b.txt \
                    (mail.contoso.com, changed 2024-03-02 00:00:00 UTC). The first counts, because it was changed last;";
    assert!(page.contains(expected), "{page}");
}

#[test]
fn the_summary_tells_what_was_before_and_what_is_no_fault_of_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fleet(path);
    let page = done(path, &["explain", "status:5.7.64"]).out;
    assert!(page.contains("  first seen 2024-03-0") && page.contains(" UTC, before this window\n"), "{page}");
    let page = done(path, &["explain", "status:5.7.64", "--since", "2024-03-01"]).out;
    assert!(!page.contains("first seen"), "{page}");

    // The command at the page's end asks about the same time.
    let page = done(path, &["explain"]).out;
    let command = page.lines().find(|line| line.contains("smtptrail search 'code:")).unwrap().trim();
    assert!(
        command.starts_with("smtptrail search 'code:[400 TO 599]' --by code,status --since 2024-03-0"),
        "{command}"
    );
    let (_, since) = command.rsplit_once(' ').unwrap();
    done(path, &["search", "code:[400 TO 599]", "--by", "code,status", "--since", since]);

    done(path, &["generate", "blocked", "--scenario", "not-a-certificate-fault", "-q"]);
    done(path, &["--store", "blocked-store", "index", "blocked", "-q"]);
    let page = done(path, &["--store", "blocked-store", "explain", "code:550"]).out;
    let summary = page.lines().next().unwrap();
    assert!(summary.starts_with("No refusal is about certificates, TLS or attribution."), "{summary}");
    assert!(page.contains(" cases about blocks,"), "{page}");
}

#[test]
fn evidence_without_logs_explains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fleet(path);
    let indexed = done(path, &["--store", "evidence", "index", "fleet/evidence"]).out;
    let line = indexed.lines().find(|line| line.starts_with("evidence")).unwrap();
    assert!(line.contains("1 Get-InboundConnector export") && line.contains("certificate file"), "{line}");
    let ran = run(path, &["--store", "evidence", "explain"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("no logs are indexed yet; run 'smtptrail index PATH'"), "{}", ran.err);
}
