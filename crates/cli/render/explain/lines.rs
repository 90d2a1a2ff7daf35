//! Lines of a terminal: where commands and paths may be broken, and what is cut.
//!
//! ```text
//! Set-InboundConnector -Identity 'Inbound from HQ' `
//!   -TlsSenderCertificateName 'smtp.contoso.com'
//! ```

use unicode_width::UnicodeWidthStr;

/// Blanks before a command's further lines.
const INDENT: &str = "  ";

/// A place at which a command may go on in the next line.
struct Break {
    /// The first byte of the next line.
    next: usize,
    /// What the line before has to end with.
    end: &'static str,
}

/// A command on lines of so many columns, as far as it can be broken so that it can still be pasted: PowerShell goes on
/// behind a pipe, a semicolon, and a backtick at the very end of a line. Other shells have other signs.
pub(super) fn of_command(text: &str, columns: usize) -> Vec<String> {
    let breaks = if is_powershell(text) { breaks(text) } else { Vec::new() };
    let mut lines = Vec::new();
    let mut begin = 0;
    loop {
        let indent = if begin == 0 { "" } else { INDENT };
        let line = |to: usize, end: &str| format!("{indent}{}{end}", text[begin..to].trim_end());
        let mut next = breaks.iter().filter(|one| one.next > begin);
        if line(text.len(), "").width() <= columns {
            next.by_ref().for_each(drop);
        }
        let fits = |one: &&Break| line(one.next, one.end).width() <= columns;
        let first = next.clone().next();
        let Some(Break { next, end }) = next.take_while(fits).last().or(first) else {
            lines.push(line(text.len(), ""));
            return lines;
        };
        lines.push(line(*next, end));
        begin = *next;
    }
}

/// `Get-SendConnector | ...` and `$c = ...`.
fn is_powershell(text: &str) -> bool {
    let word = text.split(' ').next().unwrap_or_default();
    let is_cmdlet = |(verb, noun): (&str, &str)| {
        [verb, noun].iter().all(|part| part.starts_with(|c: char| c.is_ascii_uppercase()))
            && word.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
    };
    text.starts_with('$') || word.split_once('-').is_some_and(is_cmdlet)
}

fn breaks(text: &str) -> Vec<Break> {
    let mut breaks = Vec::new();
    let mut quote = None;
    for (at, char) in text.char_indices() {
        // PowerShell takes typographic quotes for plain ones.
        let kind = match char {
            '\'' | '\u{2018}'..='\u{201b}' => Some('\''),
            '"' | '\u{201c}'..='\u{201e}' => Some('"'),
            _ => None,
        };
        match (quote, kind) {
            (None, Some(kind)) => quote = Some(kind),
            (Some(open), Some(kind)) if open == kind => quote = None,
            _ => {}
        }
        let before = &text[..at];
        if char != ' ' || quote.is_some() || before.ends_with('`') {
            continue;
        }
        let next = at + 1;
        if before.ends_with([' ', '|', ';']) {
            breaks.push(Break { next, end: "" });
        } else if text[next..].starts_with('-') {
            breaks.push(Break { next, end: " `" });
        }
    }
    breaks
}

/// A path, and maybe words behind it, on lines of so many columns: broken between words, else behind a slash.
pub(super) fn of_path(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.width() > columns {
        let fits = |at: &usize| rest[..*at].trim_end().width() <= columns;
        let behind = |sign: char| rest.match_indices(sign).map(move |(at, sign)| at + sign.len());
        // Sources are paths with a place behind them; a path is kept whole if it fits.
        let Some(at) = behind(' ').rfind(fits).or_else(|| behind('/').rfind(fits)) else { break };
        lines.push(rest[..at].trim_end().to_owned());
        rest = &rest[at..];
    }
    lines.push(rest.to_owned());
    lines
}

/// As many words of a line as fit; an ellipsis says that there are more.
pub(super) fn cut(line: &str, columns: usize) -> String {
    if line.width() <= columns {
        return line.to_owned();
    }
    let mut ends = line.match_indices(' ').map(|(at, _)| line[..at].trim_end());
    let fits = ends.rfind(|part| !part.is_empty() && part.width() + " ...".len() <= columns);
    format!("{} ...", fits.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, columns: usize, expected: &[&str]) {
        assert_eq!(of_command(text, columns), expected, "{text}");
    }

    #[test]
    fn commands_are_broken_where_they_can_be_pasted() {
        let set =
            "Set-InboundConnector -Identity 'Inbound from HQ -x | y' -TlsSenderCertificateName 'smtp.contoso.com'";
        check(set, 200, &[set]);
        check(
            set,
            70,
            &[
                "Set-InboundConnector -Identity 'Inbound from HQ -x | y' `",
                "  -TlsSenderCertificateName 'smtp.contoso.com'",
            ],
        );
        let get = "Get-InboundConnector | ConvertTo-Json -Depth 5 | Out-File Get-InboundConnector.json -Encoding utf8";
        check(
            get,
            60,
            &[
                "Get-InboundConnector | ConvertTo-Json -Depth 5 |",
                "  Out-File Get-InboundConnector.json -Encoding utf8",
            ],
        );
        let pin =
            "$c = Get-ExchangeCertificate 97355; Set-SendConnector 'A' -TlsCertificateName \"<I>$($c.Issuer) <S>\"";
        check(
            pin,
            60,
            &[
                "$c = Get-ExchangeCertificate 97355; Set-SendConnector 'A' `",
                "  -TlsCertificateName \"<I>$($c.Issuer) <S>\"",
            ],
        );
        // Typographic quotes end a text, and doubled ones do not.
        let typographic = "Set-InboundConnector -Identity 'a \u{2018}\u{2018}x\u{2019}\u{2019} -b c' -Enabled $true";
        check(
            typographic,
            50,
            &["Set-InboundConnector -Identity 'a \u{2018}\u{2018}x\u{2019}\u{2019} -b c' `", "  -Enabled $true"],
        );
    }

    #[test]
    fn other_shells_commands_stay_whole() {
        for text in
            ["wevtutil epl Microsoft-Windows-CAPI2/Operational EX001-capi2.evtx", "smtptrail search 'a' --by code"]
        {
            check(text, 20, &[text]);
        }
        check("Get-SendConnector-without-any-place-to-break", 20, &["Get-SendConnector-without-any-place-to-break"]);
    }

    #[test]
    fn paths_are_broken_between_words_or_behind_slashes() {
        let text = "EX001/TransportRoles/Logs/Hub/ProtocolLog/SmtpSend/SEND20240306-1.LOG.zst at byte 5510";
        let file = "EX001/TransportRoles/Logs/Hub/ProtocolLog/SmtpSend/SEND20240306-1.LOG.zst";
        assert_eq!(of_path(text, 100), [text]);
        assert_eq!(of_path(text, 75), [file, "at byte 5510"]);
        let folder = "EX001/TransportRoles/Logs/Hub/ProtocolLog/SmtpSend/";
        assert_eq!(of_path(text, 71), [folder, "SEND20240306-1.LOG.zst at byte 5510"]);
        assert_eq!(of_path("abcdef", 3), ["abcdef"]);
    }

    #[test]
    fn cut_lines_end_with_a_word() {
        assert_eq!(cut("550 5.1.1  12  User unknown", 99), "550 5.1.1  12  User unknown");
        assert_eq!(cut("550 5.1.1  12  User unknown", 26), "550 5.1.1  12  User ...");
        assert_eq!(cut("550 5.1.1  12  User unknown", 20), "550 5.1.1  12 ...");
    }
}
