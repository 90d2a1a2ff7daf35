//! Events of Windows' certificate checks: the log `Microsoft-Windows-CAPI2/Operational` (FORMATS section 3).
//!
//! A sending server whose own certificate is checked with `800B0109` does not send its chain, and that is one cause of
//! `550 5.7.64`.
//! The log comes as the binary file that Windows writes, or as XML that some tool made of it; both become one stream of
//! elements ([`event`]), of which the checks of a certificate (11, 30, 41) and the names of certificates (90) are kept.

mod binary_xml;
mod codes;
mod distinguished_name;
mod event;
mod evtx;
mod fold;
mod tag;
mod time;
mod value;
mod xml;

pub(crate) use self::{evtx::Capi2Evtx, xml::Capi2Xml};
