//! Connectors as the Hybrid Configuration Wizard's logs show them: set by its calls, or seen in its comparisons.
//!
//! The log of a wizard that ran last year can be all that is left of what an inbound connector expects.

use std::{collections::BTreeMap, sync::Arc};

use evidence::{
    Fact,
    fact::{Connector, ConnectorKind, Hybrid, HybridEntry, Property, Value, value},
};

use crate::background::Exhibit;

/// The cmdlets that set connectors, with the kind of connector and whether they say all of it.
const CALLS: [(&str, ConnectorKind, bool); 6] = [
    ("New-InboundConnector", ConnectorKind::Inbound, true),
    ("Set-InboundConnector", ConnectorKind::Inbound, false),
    ("New-SendConnector", ConnectorKind::Send, true),
    ("Set-SendConnector", ConnectorKind::Send, false),
    ("New-OutboundConnector", ConnectorKind::Outbound, true),
    ("Set-OutboundConnector", ConnectorKind::Outbound, false),
];

/// Titles of comparison tables, with the kind of connector.
const TABLES: [(&str, ConnectorKind); 3] = [
    ("Inbound Connector", ConnectorKind::Inbound),
    ("Outbound Connector", ConnectorKind::Outbound),
    ("Send Connector", ConnectorKind::Send),
];

/// Every state of a connector that the exhibits tell of, and whether it is a part of its settings.
pub(crate) fn connectors(exhibits: &[Exhibit]) -> Vec<(Exhibit, bool)> {
    let mut found: Vec<(Exhibit, bool)> = exhibits.iter().filter_map(called).collect();
    found.extend(compared(exhibits).into_iter().map(|exhibit| (exhibit, true)));
    found
}

fn hybrid(exhibit: &Exhibit) -> Option<&Hybrid> {
    match &exhibit.fact {
        Fact::Hybrid(entry) => Some(entry),
        _ => None,
    }
}

fn called(exhibit: &Exhibit) -> Option<(Exhibit, bool)> {
    let HybridEntry::Call { cmdlet, parameters, succeeded, .. } = &hybrid(exhibit)?.entry else { return None };
    let (_, kind, is_whole) = CALLS.into_iter().find(|(name, ..)| name.eq_ignore_ascii_case(cmdlet))?;
    if *succeeded == Some(false) {
        return None;
    }
    let name = ["Name", "Identity"].iter().find_map(|name| value(parameters, name)?.text())?.to_owned();
    let connector = Connector { kind, name, server: None, properties: parameters.clone() };
    Some((Exhibit { fact: Fact::Connector(connector), ..exhibit.clone() }, !is_whole))
}

/// A comparison table: its file, its title, and whether it shows what is after the wizard's changes.
type Table<'a> = (String, &'a str, bool);

/// A row of a table, and the property that it shows.
type Row<'a> = (&'a Exhibit, Property);

/// Tables show one property a row; those of one table lie together.
fn compared(exhibits: &[Exhibit]) -> Vec<Exhibit> {
    let mut tables: BTreeMap<Table<'_>, Vec<Row<'_>>> = BTreeMap::new();
    for exhibit in exhibits {
        let Some(HybridEntry::Comparison { title, after, name, actual, .. }) = hybrid(exhibit).map(|one| &one.entry)
        else {
            continue;
        };
        let value = match actual.as_str() {
            "" | "(empty)" => Value::Empty,
            text => Value::Text(text.to_owned()),
        };
        let rows = tables.entry((exhibit.origin.file.clone(), title, *after)).or_default();
        rows.push((exhibit, Property { name: name.clone(), value }));
    }
    tables.into_iter().filter_map(|((_, title, _), rows)| table(title, rows)).collect()
}

fn table(title: &str, rows: Vec<Row<'_>>) -> Option<Exhibit> {
    let (_, kind) = TABLES.into_iter().find(|(end, _)| title.ends_with(end))?;
    let (first, _) = *rows.first().map(|(exhibit, property)| (exhibit, property)).as_ref()?;
    let (origin, offset) = (Arc::clone(&first.origin), first.offset);
    let properties: Vec<Property> = rows.into_iter().map(|(_, property)| property).collect();
    let name = value(&properties, "Name").and_then(Value::text)?.to_owned();
    Some(Exhibit { origin, offset, fact: Fact::Connector(Connector { kind, name, server: None, properties }) })
}

#[cfg(test)]
mod tests {
    use smtplog::Timestamp;

    use super::*;
    use crate::background::{Background, Origin};

    fn exhibit(changed: i64, offset: u64, fact: Fact) -> Exhibit {
        let origin = Origin { file: format!("{changed}.log"), server: None, changed: Timestamp(changed) };
        Exhibit { origin: Arc::new(origin), offset, fact }
    }

    fn entry(entry: HybridEntry) -> Fact {
        Fact::Hybrid(Hybrid { time_ms: None, time: String::new(), zone: None, entry })
    }

    fn call(cmdlet: &str, parameters: &[(&str, &str)], succeeded: Option<bool>) -> Fact {
        let property =
            |(name, text): &(&str, &str)| Property { name: (*name).into(), value: Value::Text((*text).into()) };
        let parameters = parameters.iter().map(property).collect();
        entry(HybridEntry::Call { cmdlet: cmdlet.into(), in_tenant: Some(true), parameters, succeeded })
    }

    fn row(after: bool, name: &str, actual: &str) -> Fact {
        let (title, actual) = ("Standard Inbound Connector".into(), actual.into());
        entry(HybridEntry::Comparison { title, after, name: name.into(), equals: after, actual, expected: "x".into() })
    }

    /// Names of inbound connectors and what they expect.
    #[track_caller]
    fn check(exhibits: Vec<Exhibit>, expected: &[(&str, &str)]) {
        let mut background = Background::default();
        background.exhibits = exhibits;
        background.prepare();
        let connectors = background.inbound();
        let found: Vec<(&str, &str)> = connectors
            .iter()
            .map(|one| (one.fact.name.as_str(), one.fact.text("TlsSenderCertificateName").unwrap_or("-")))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_the_wizard_set_holds_until_it_sets_it_again() {
        let new = call("New-InboundConnector", &[("Name", "In"), ("TLSSenderCertificateName", "a.example")], None);
        let set = call("Set-InboundConnector", &[("Identity", "In"), ("TLSSenderCertificateName", "b.example")], None);
        let failed =
            call("Set-InboundConnector", &[("Identity", "In"), ("TLSSenderCertificateName", "c")], Some(false));
        let other = call("Set-InboundConnector", &[("Identity", "In"), ("Enabled", "true")], Some(true));
        check(vec![exhibit(1, 0, new.clone())], &[("In", "a.example")]);
        check(vec![exhibit(1, 9, set.clone()), exhibit(1, 0, new.clone())], &[("In", "b.example")]);
        check(vec![exhibit(1, 0, new.clone()), exhibit(2, 0, failed)], &[("In", "a.example")]);
        check(vec![exhibit(1, 0, new.clone()), exhibit(2, 0, other)], &[("In", "a.example")]);
        check(vec![exhibit(1, 0, set), exhibit(2, 0, new)], &[("In", "a.example")]);
    }

    #[test]
    fn the_state_after_the_changes_counts() {
        let table = |after: bool, actual: &str, begin: u64| {
            [
                exhibit(1, begin, row(after, "Name", "In")),
                exhibit(1, begin, row(after, "TLSSenderCertificateName", actual)),
            ]
        };
        check(table(false, "(empty)", 10).to_vec(), &[("In", "-")]);
        let both: Vec<Exhibit> =
            table(false, "*.old.example", 10).into_iter().chain(table(true, "new.example", 90)).collect();
        check(both, &[("In", "new.example")]);
    }
}
