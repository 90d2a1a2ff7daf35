//! Verifying kept rows: every stretch is read back.

use std::fs;

use super::{SUFFIX, merge, read::lines};
use crate::{Fault, StoreError, Verified, parallel, store::Store};

impl Store {
    /// Reads all kept rows, and adds what is wrong.
    pub(crate) fn verify_rows(&self, verified: &mut Verified) -> Result<(), StoreError> {
        let mut files = Vec::new();
        let known = merge::files(&self.catalog())?;
        for file in known {
            let stretches = merge::stretches_of(&self.catalog(), file.id)?;
            files.push((file, stretches));
        }
        let checked = parallel::each(&files, |(file, stretches)| {
            let path = self.transcripts().join(format!("{}.{SUFFIX}", file.name));
            let mut faults = Vec::new();
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() == file.bytes => {}
                Ok(metadata) => {
                    faults.push(format!("has {} bytes, the catalog says {}", metadata.len(), file.bytes));
                }
                Err(error) => return vec![error.to_string()],
            }
            for stretch in stretches {
                match lines(&path, stretch.offset, stretch.length) {
                    Ok(lines) if lines.len() as u64 == stretch.end - stretch.start => {}
                    Ok(_) => faults.push(format!("kept rows at byte {} have another length", stretch.offset)),
                    Err(error) => faults.push(error.to_string()),
                }
            }
            faults
        });
        for ((file, _), faults) in files.iter().zip(checked) {
            verified.kept_bytes += file.bytes;
            let fault = |text| Fault { place: file.name.clone(), text };
            verified.faults.extend(faults.into_iter().map(fault));
        }
        Ok(())
    }
}
