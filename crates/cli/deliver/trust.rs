//! Whom a TLS connection trusts, and as whom it shows itself.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use ureq::tls::{ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// Certificates and keys of a connection.
pub(crate) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    own: Option<Own>,
}

/// One's own certificate.
struct Own {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The same for the HTTP client.
    http_key: PrivateKey<'static>,
}

impl Trust {
    /// Trust in the authorities of a PEM file, or in those of the system; with one's own certificate and its key.
    pub(crate) fn new(ca: Option<&Path>, own: Option<(&PathBuf, &PathBuf)>) -> anyhow::Result<Trust> {
        let roots = match ca {
            Some(path) => certificates(path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        if roots.is_empty() {
            bail!("the system knows no certificate authority; name the receiver's with --ca FILE");
        }
        let own = match own {
            Some((certificate, key)) => {
                let none = || format!("no PEM key in {}", key.display());
                let pem = fs::read(key).with_context(none)?;
                Some(Own {
                    chain: certificates(certificate)?,
                    key: PrivateKeyDer::from_pem_slice(&pem).with_context(none)?,
                    http_key: PrivateKey::from_pem(&pem).with_context(none)?,
                })
            }
            None => None,
        };
        Ok(Trust { roots, own })
    }

    /// For a connection of its own.
    pub(crate) fn client(&self) -> anyhow::Result<ClientConfig> {
        let mut store = RootCertStore::empty();
        let (added, _) = store.add_parsable_certificates(self.roots.iter().cloned());
        if added == 0 {
            bail!("none of the certificate authorities can be used");
        }
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store);
        Ok(match &self.own {
            Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
            None => builder.with_no_client_auth(),
        })
    }

    /// For the HTTP client.
    pub(crate) fn http(&self) -> TlsConfig {
        let certificate = |der: &CertificateDer<'static>| ureq::tls::Certificate::from_der(der).to_owned();
        let roots: Vec<_> = self.roots.iter().map(certificate).collect();
        let own = self.own.as_ref().map(|own| {
            let chain: Vec<_> = own.chain.iter().map(certificate).collect();
            ClientCert::new_with_certs(&chain, own.http_key.to_owned())
        });
        TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(provider())
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(own)
            .build()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let none = || format!("no PEM certificate in {}", path.display());
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).with_context(none)?.collect();
    let found = found.with_context(none)?;
    if found.is_empty() {
        bail!(none());
    }
    Ok(found)
}
