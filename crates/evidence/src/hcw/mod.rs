//! Logs of the Hybrid Configuration Wizard (FORMATS section 4).
//!
//! A run leaves two of them: `.log`, lines of text, and `.xhcw`, the same calls as fragments of XML. Both say which
//! connectors the wizard found, what it compared and changed, and which certificates the servers had; so they tell
//! why a name in a connector is no longer the one that a server presents.
//!
//! ```text
//! 2022.02.19 03:26:09.172         10276 [Client=UX, Session=Tenant, Cmdlet=Get-InboundConnector, Thread=9] START Get-InboundConnector
//! <invoke start="02/19/2022 03:26:09.172" duration="714" type="Tenant" cmdlet="Get-InboundConnector">...</invoke>
//! ```

mod command;
mod entry;
mod log;
mod moment;
mod object;
mod run;
mod tables;
mod xhcw;

use crate::{
    kinds::{Document, Kind, Reading},
    text::decode,
};

/// Bytes of a file by which it is recognised: every line of a log and every fragment of XML shows what it is, but
/// pasted ones may have words before them.
const RECOGNISED_BYTES: usize = 64 << 10;

/// The wizard's `.log`.
pub(crate) struct HybridLog;

/// The wizard's `.xhcw`.
pub(crate) struct HybridXml;

impl Kind for HybridLog {
    fn name(&self) -> &'static str {
        "hcw-log"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        log::recognise(&decode(beginning(document.bytes)).text)
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        log::read(&decode(document.bytes), reading);
    }
}

impl Kind for HybridXml {
    fn name(&self) -> &'static str {
        "hcw-xhcw"
    }

    fn recognise(&self, document: &Document<'_>) -> bool {
        xhcw::recognise(&decode(beginning(document.bytes)).text)
    }

    fn read(&self, document: &Document<'_>, reading: &mut Reading) {
        xhcw::read(&decode(document.bytes), reading);
    }
}

fn beginning(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(RECOGNISED_BYTES)]
}
