//! What OCSF 1.7.0 says of the classes and objects that the sink writes, and a validator of documents.
//!
//! Attributes of profiles and those that are deprecated are left out, and so are objects that the sink never writes: in
//! a document they are faults.

use std::net::IpAddr;

use serde_json::{Map, Value};

/// The version of the schema.
pub(crate) const VERSION: &str = "1.7.0";

/// Classes and objects: name, attributes with their types (`!`: required, `[]`: a list), and attributes of which there
/// has to be one at least.
const SHAPES: &[(&str, &str, &str)] = &[
    (
        "network_activity",
        "activity_id! integer, activity_name string, app_name string, category_name string, category_uid! \
         integer, class_name string, class_uid! integer, connection_info network_connection_info, count \
         integer, dst_endpoint network_endpoint, duration long, end_time timestamp, \
         is_src_dst_assignment_known boolean, message string, metadata! metadata, observables observable[], \
         raw_data string, raw_data_hash fingerprint, raw_data_size long, severity string, severity_id! \
         integer, src_endpoint network_endpoint, start_time timestamp, status string, status_code string, \
         status_detail string, status_id integer, time! timestamp, timezone_offset integer, tls tls, \
         type_name string, type_uid! long, unmapped json",
        "dst_endpoint, src_endpoint",
    ),
    (
        "email_activity",
        "activity_id! integer, activity_name string, attempt integer, banner string, category_name string, \
         category_uid! integer, class_name string, class_uid! integer, command string, count integer, \
         direction string, direction_id! integer, dst_endpoint network_endpoint, duration long, email! email, \
         end_time timestamp, from address, message string, message_trace_uid string, metadata! metadata, \
         observables observable[], protocol_name string, raw_data string, raw_data_hash fingerprint, \
         raw_data_size long, severity string, severity_id! integer, src_endpoint network_endpoint, start_time \
         timestamp, status string, status_code string, status_detail string, status_id integer, time! \
         timestamp, timezone_offset integer, to address[], type_name string, type_uid! long, unmapped json",
        "",
    ),
    (
        "detection_finding",
        "activity_id! integer, activity_name string, category_name string, category_uid! integer, class_name \
         string, class_uid! integer, comment string, confidence string, confidence_id integer, \
         confidence_score integer, count integer, duration long, end_time timestamp, evidences evidences[], \
         finding_info! finding_info, impact_score integer, is_alert boolean, message string, metadata! \
         metadata, observables observable[], raw_data string, raw_data_hash fingerprint, raw_data_size long, \
         remediation remediation, resources resource_details[], risk_details string, risk_score integer, \
         severity string, severity_id! integer, start_time timestamp, status string, status_code string, \
         status_detail string, status_id integer, time! timestamp, timezone_offset integer, type_name string, \
         type_uid! long, unmapped json",
        "",
    ),
    (
        "metadata",
        "correlation_uid string, debug string[], event_code string, is_truncated boolean, labels string[], \
         log_format string, log_level string, log_name string, log_provider string, log_source string, \
         log_version string, logged_time timestamp, modified_time timestamp, original_event_uid string, \
         original_time string, processed_time timestamp, product! product, profiles string[], sequence \
         integer, source string, tenant_uid string, transmit_time timestamp, type string, uid string, \
         untruncated_size integer, version! string",
        "",
    ),
    (
        "product",
        "cpe_name string, lang string, name string, path string, uid string, url_string string, vendor_name \
         string, version string",
        "name, uid",
    ),
    (
        "network_endpoint",
        "domain string, hostname string, instance_uid string, interface_name string, interface_uid string, \
         intermediate_ips ip[], ip ip, isp string, isp_org string, mac string, name string, port port, \
         subnet_uid string, svc_name string, type string, type_id integer, uid string, vlan_uid string, \
         vpc_uid string, zone string",
        "ip, uid, name, hostname, svc_name, instance_uid, interface_uid, interface_name, domain",
    ),
    (
        "network_connection_info",
        "community_uid string, direction string, direction_id! integer, flag_history string, protocol_name \
         string, protocol_num integer, protocol_ver string, protocol_ver_id integer, tcp_flags integer, uid \
         string",
        "",
    ),
    (
        "tls",
        "alert integer, certificate certificate, certificate_chain string[], cipher string, client_ciphers \
         string[], handshake_dur integer, ja3_hash fingerprint, ja3s_hash fingerprint, key_length integer, \
         server_ciphers string[], sni string, version! string",
        "",
    ),
    (
        "certificate",
        "created_time timestamp, expiration_time timestamp, fingerprints fingerprint[], is_self_signed \
         boolean, issuer! string, sans san[], serial_number! string, subject string, uid string, version \
         string",
        "",
    ),
    ("fingerprint", "algorithm string, algorithm_id! integer, value! hash", ""),
    ("san", "name! string, type! string", ""),
    (
        "email",
        "cc address[], cc_mailboxes string[], delivered_to_list address[], from address, from_list address[], \
         from_mailbox string, from_mailboxes address[], is_read boolean, message_uid string, raw_header \
         string, reply_to_list address[], reply_to_mailboxes string[], return_path address, sender address, \
         sender_mailbox string, size long, subject string, to address[], to_mailboxes string[], uid string, \
         x_originating_ip ip[]",
        "from, to",
    ),
    ("observable", "event_uid string, name string, type string, type_id! integer, type_uid long, value string", ""),
    (
        "finding_info",
        "analytic analytic, created_time timestamp, data_sources string[], desc string, first_seen_time \
         timestamp, last_seen_time timestamp, modified_time timestamp, product product, related_analytics \
         analytic[], related_events_count integer, src_url string, title string, types string[], uid! string, \
         uid_alt string",
        "",
    ),
    (
        "analytic",
        "algorithm string, category string, desc string, name string, type string, type_id! integer, uid \
         string, version string",
        "name, uid",
    ),
    ("remediation", "desc! string, references string[]", ""),
    (
        "resource_details",
        "created_time timestamp, criticality string, data json, hostname string, ip ip, is_backed_up boolean, \
         labels string[], modified_time timestamp, name string, namespace string, type string, uid string, \
         uid_alt string, version string",
        "name, uid",
    ),
    (
        "evidences",
        "connection_info network_connection_info, data json, dst_endpoint network_endpoint, email email, name \
         string, resources resource_details[], src_endpoint network_endpoint, tls tls, uid string",
        "actor, api, connection_info, data, database, databucket, device, dst_endpoint, email, file, process, \
         query, src_endpoint, url, user, job, script, reg_key, reg_value, win_service",
    ),
];

/// Numbers that stand for captions: of what, which attribute, the attribute with the caption, and the captions.
const ENUMS: &[(&str, &str, &str, &str)] = &[
    (
        "network_activity",
        "activity_id",
        "activity_name",
        "0 Unknown | 1 Open | 2 Close | 3 Reset | 4 Fail | 5 Refuse | 6 Traffic | 7 Listen | 99 Other",
    ),
    (
        "network_activity",
        "severity_id",
        "severity",
        "0 Unknown | 1 Informational | 2 Low | 3 Medium | 4 High | 5 Critical | 6 Fatal | 99 Other",
    ),
    ("network_activity", "status_id", "status", "0 Unknown | 1 Success | 2 Failure | 99 Other"),
    (
        "email_activity",
        "activity_id",
        "activity_name",
        "0 Unknown | 1 Send | 2 Receive | 3 Scan | 4 Trace | 5 MTA Relay | 99 Other",
    ),
    (
        "email_activity",
        "direction_id",
        "direction",
        "0 Unknown | 1 Inbound | 2 Outbound | 3 Internal | 4 Local | 99 Other",
    ),
    (
        "email_activity",
        "severity_id",
        "severity",
        "0 Unknown | 1 Informational | 2 Low | 3 Medium | 4 High | 5 Critical | 6 Fatal | 99 Other",
    ),
    ("email_activity", "status_id", "status", "0 Unknown | 1 Success | 2 Failure | 99 Other"),
    ("detection_finding", "activity_id", "activity_name", "0 Unknown | 1 Create | 2 Update | 3 Close | 99 Other"),
    ("detection_finding", "confidence_id", "confidence", "0 Unknown | 1 Low | 2 Medium | 3 High | 99 Other"),
    (
        "detection_finding",
        "severity_id",
        "severity",
        "0 Unknown | 1 Informational | 2 Low | 3 Medium | 4 High | 5 Critical | 6 Fatal | 99 Other",
    ),
    (
        "detection_finding",
        "status_id",
        "status",
        "0 Unknown | 1 New | 2 In Progress | 3 Suppressed | 4 Resolved | 5 Archived | 6 Deleted | 99 Other",
    ),
    (
        "network_connection_info",
        "direction_id",
        "direction",
        "0 Unknown | 1 Inbound | 2 Outbound | 3 Lateral | 4 Local | 99 Other",
    ),
    (
        "network_connection_info",
        "protocol_ver_id",
        "protocol_ver",
        "0 Unknown | 4 Internet Protocol version 4 (IPv4) | 6 Internet Protocol version 6 (IPv6) | 99 Other",
    ),
    (
        "fingerprint",
        "algorithm_id",
        "algorithm",
        "0 Unknown | 1 MD5 | 2 SHA-1 | 3 SHA-256 | 4 SHA-512 | 5 CTPH | 6 TLSH | 7 quickXorHash | 8 SHA-224 | \
         9 SHA-384 | 10 SHA-512/224 | 11 SHA-512/256 | 12 SHA3-224 | 13 SHA3-256 | 14 SHA3-384 | 15 SHA3-512 \
         | 16 xxHash H3 64-bit | 17 xxHash H3 128-bit | 99 Other",
    ),
    (
        "observable",
        "type_id",
        "type",
        "0 Unknown | 1 Hostname | 2 IP Address | 3 MAC Address | 4 User Name | 5 Email Address | 6 URL String \
         | 7 File Name | 8 Hash | 9 Process Name | 10 Resource UID | 11 Port | 12 Subnet | 13 Command Line | \
         14 Country | 15 Process ID | 16 HTTP User-Agent | 17 CWE Object: uid | 18 CVE Object: uid | 19 User \
         Credential ID | 20 Endpoint | 21 User | 22 Email | 23 Uniform Resource Locator | 24 File | 25 \
         Process | 26 Geo Location | 27 Container | 28 Registry Key | 29 Registry Value | 30 Fingerprint | 31 \
         User Object: uid | 32 Group Object: name | 33 Group Object: uid | 34 Account Object: name | 35 \
         Account Object: uid | 36 Script Content | 37 Serial Number | 38 Resource Details Object: name | 39 \
         Process Entity Object: uid | 40 Email Object: subject | 41 Email Object: uid | 42 Message UID | 43 \
         Registry Value Object: name | 44 Advisory Object: uid | 45 File Path | 46 Registry Key Path | 47 \
         Device Object: uid | 48 Network Endpoint Object: uid | 99 Other",
    ),
    (
        "analytic",
        "type_id",
        "type",
        "0 Unknown | 1 Rule | 2 Behavioral | 3 Statistical | 4 Learning (ML/DL) | 5 Fingerprinting | 6 \
         Tagging | 7 Keyword Match | 8 Regular Expressions | 9 Exact Data Match | 10 Partial Data Match | 11 \
         Indexed Data Match | 99 Other",
    ),
];

/// Classes: name, number, category, and their captions.
const CLASSES: &[(&str, i64, &str, i64, &str)] = &[
    ("network_activity", 4001, "Network Activity", 4, "Network Activity"),
    ("email_activity", 4009, "Email Activity", 4, "Network Activity"),
    ("detection_finding", 2004, "Detection Finding", 2, "Findings"),
];

/// Every fault of a document.
pub(crate) fn faults(document: &Value) -> Vec<String> {
    let Some(class) = CLASSES.iter().find(|(_, uid, ..)| document["class_uid"] == *uid) else {
        return vec![format!("class_uid: {} is no class", document["class_uid"])];
    };
    let (name, uid, caption, category, category_caption) = *class;
    let mut faults = Vec::new();
    check_shape(name, document, "", &mut faults);
    let mut expect = |path: &str, found: &Value, expected: Value| {
        if *found != expected {
            faults.push(format!("{path}: {found}, not {expected}"));
        }
    };
    let activity = document["activity_id"].as_i64().unwrap_or(-1);
    let activity_caption = captions(name, "activity_id").and_then(|captions| captions.caption(activity)).unwrap_or("?");
    expect("class_name", &document["class_name"], caption.into());
    expect("category_uid", &document["category_uid"], category.into());
    expect("category_name", &document["category_name"], category_caption.into());
    expect("type_uid", &document["type_uid"], (uid * 100 + activity).into());
    expect("type_name", &document["type_name"], format!("{caption}: {activity_caption}").into());
    expect("metadata.version", &document["metadata"]["version"], VERSION.into());
    for observable in document["observables"].as_array().into_iter().flatten() {
        let name = observable["name"].as_str().unwrap_or_default();
        if !at(document, name).contains(&&observable["value"]) {
            faults.push(format!("observables: nothing at {name} is {}", observable["value"]));
        }
    }
    faults
}

/// Every value at a path; `[]` goes through a list.
fn at<'a>(document: &'a Value, path: &str) -> Vec<&'a Value> {
    path.split('.').fold(vec![document], |values, step| match step.strip_suffix("[]") {
        Some(step) => values.into_iter().filter_map(|value| value[step].as_array()).flatten().collect(),
        None => values.into_iter().filter_map(|value| value.get(step)).collect(),
    })
}

fn check_shape(name: &str, value: &Value, path: &str, faults: &mut Vec<String>) {
    let Some((_, attributes, one_of)) = SHAPES.iter().find(|(shape, ..)| *shape == name) else {
        return faults.push(format!("{path}: of {name} nothing is known here"));
    };
    let Some(object) = value.as_object() else { return faults.push(format!("{path}: no object")) };
    let attributes: Vec<(&str, &str)> = attributes.split(", ").filter_map(|text| text.split_once(' ')).collect();
    for (attribute, _) in attributes.iter().filter_map(|(name, kind)| Some((name.strip_suffix('!')?, kind))) {
        if !object.contains_key(attribute) {
            faults.push(format!("{path}{attribute}: missing"));
        }
    }
    if !one_of.is_empty() && !one_of.split(", ").any(|attribute| object.contains_key(attribute)) {
        faults.push(format!("{path}: none of {one_of}"));
    }
    for (key, value) in object {
        let path = format!("{path}{key}");
        match attributes.iter().find(|(attribute, _)| attribute.trim_end_matches('!') == key) {
            Some((_, kind)) => check_type(kind, value, &path, faults),
            None => faults.push(format!("{path}: no attribute of {name}")),
        }
        if key.ends_with("_id") {
            check_caption(name, key, object, &path, faults);
        }
    }
}

fn check_type(kind: &str, value: &Value, path: &str, faults: &mut Vec<String>) {
    if let Some(kind) = kind.strip_suffix("[]") {
        let Some(values) = value.as_array().filter(|values| !values.is_empty()) else {
            return faults.push(format!("{path}: no list, or an empty one"));
        };
        return values.iter().for_each(|value| check_type(kind, value, path, faults));
    }
    let text = value.as_str();
    let is_right = match kind {
        "string" => text.is_some_and(|text| !text.is_empty()),
        "integer" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
        "long" => value.is_i64(),
        "boolean" => value.is_boolean(),
        // Seconds or nanoseconds would be in another century.
        "timestamp" => value.as_i64().is_some_and(|ms| (946_684_800_000..4_102_444_800_000).contains(&ms)),
        "ip" => text.is_some_and(|text| text.parse::<IpAddr>().is_ok()),
        "port" => value.as_u64().is_some_and(|port| port <= 65_535),
        "hash" => text.is_some_and(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "address" => text.and_then(|text| text.split_once('@')).is_some_and(|(_, domain)| domain.contains('.')),
        "json" => true,
        shape => return check_shape(shape, value, &format!("{path}."), faults),
    };
    if !is_right {
        faults.push(format!("{path}: {value} is no {kind}"));
    }
}

fn check_caption(name: &str, key: &str, object: &Map<String, Value>, path: &str, faults: &mut Vec<String>) {
    let Some(captions) = captions(name, key) else {
        return faults.push(format!("{path}: its captions are not known here"));
    };
    let number = object[key].as_i64().unwrap_or(-1);
    let found = object.get(captions.sibling).and_then(Value::as_str);
    match captions.caption(number) {
        None => faults.push(format!("{path}: {number} stands for nothing")),
        // The source names what has no number.
        Some("Other") if found.is_some() => {}
        caption if caption == found => {}
        caption => faults.push(format!("{}: {found:?}, not {caption:?}", captions.sibling)),
    }
}

struct Captions {
    sibling: &'static str,
    text: &'static str,
}

impl Captions {
    fn caption(&self, number: i64) -> Option<&'static str> {
        let number = number.to_string();
        self.text.split(" | ").filter_map(|one| one.split_once(' ')).find(|(id, _)| *id == number).map(|(_, text)| text)
    }
}

fn captions(name: &str, key: &str) -> Option<Captions> {
    let (.., sibling, text) = ENUMS.iter().find(|(of, attribute, ..)| (*of, *attribute) == (name, key))?;
    Some(Captions { sibling, text })
}
