//! Certificates for a federation on one machine: a throwaway authority and one certificate per
//! server, good for `localhost` and `127.0.0.1` only.
//!
//! The authority's key is never written: once the certificates are made, nobody can make more.
//! Main entry: [`ensure_certificates`].

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::files::{write_private, write_public};

/// Age after which certificates are made anew.
const AGE_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Validity, longer than [`AGE_MAX`] so that a server may stay up.
const VALID_DAYS: u64 = 90;

/// Why certificates could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A key or certificate could not be made.
    #[error("failed to make a certificate")]
    Make(#[from] rcgen::Error),
    /// The calendar ends: the system's clock is wrong.
    #[error("failed to make a certificate: the system's clock shows no usable date")]
    Clock,
    /// A file could not be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes sure that there are `authority.pem` and, for each server, `SERVER/server.pem` and
/// `SERVER/server.key`, not older than 30 days. Where anything is missing or old, all are made
/// anew. The servers' folders must be there.
///
/// # Errors
/// [`CertificateError`] when a certificate cannot be made or written.
pub fn ensure_certificates(folder: &Path, servers: &[String]) -> Result<(), CertificateError> {
    let files =
        |server: &String| ["server.pem", "server.key"].map(|file| folder.join(server).join(file));
    let mut needed = vec![folder.join("authority.pem")];
    needed.extend(servers.iter().flat_map(files));
    if needed.iter().all(|path| is_fresh(path)) {
        return Ok(());
    }
    let authority = Authority::new()?;
    let authority_path = folder.join("authority.pem");
    // Written last, it says that all of them belong together.
    match fs::remove_file(&authority_path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(CertificateError::Write { path: authority_path, source });
        }
        Ok(()) | Err(_) => {}
    }
    for server in servers {
        let (certificate, key) = authority.issue(server)?;
        let [certificate_path, key_path] = files(server);
        write(&certificate_path, &certificate)?;
        write_private(&key_path, &key)
            .map_err(|source| CertificateError::Write { path: key_path, source })?;
    }
    write(&authority_path, &authority.pem)
}

fn is_fresh(path: &Path) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age < AGE_MAX))
}

fn write(path: &Path, text: &str) -> Result<(), CertificateError> {
    write_public(path, text)
        .map_err(|source| CertificateError::Write { path: path.to_owned(), source })
}

/// A throwaway authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Result<Self, CertificateError> {
        let mut params = params("Hedgerow demo authority", vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Certificate and key of one server, as PEM.
    fn issue(&self, server: &str) -> Result<(String, String), CertificateError> {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = params(server, names)?;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

fn params(name: &str, names: Vec<String>) -> Result<CertificateParams, CertificateError> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    let today = Utc::now().date_naive();
    let first = today.checked_sub_days(Days::new(1)).ok_or(CertificateError::Clock)?;
    let last = today.checked_add_days(Days::new(VALID_DAYS)).ok_or(CertificateError::Clock)?;
    let midnight = |date: NaiveDate| {
        let [month, day] = [date.month(), date.day()].map(|part| u8::try_from(part).unwrap_or(1));
        rcgen::date_time_ymd(date.year(), month, day)
    };
    params.not_before = midnight(first);
    params.not_after = midnight(last);
    Ok(params)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "test")]
mod tests {
    use super::*;

    /// Whether `needle` is in the DER of a PEM text.
    fn der_contains(pem: &str, needle: &[u8]) -> bool {
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(pem.as_bytes());
        let der: rustls::pki_types::CertificateDer<'_> = der.unwrap();
        der.windows(needle.len()).any(|window| window == needle)
    }

    #[test]
    fn certificates_are_good_for_this_machine_only() {
        let authority = Authority::new().unwrap();
        let (certificate, _) = authority.issue("northmoor").unwrap();
        // Subject alternative names: DNS name (tag 2) and IP address (tag 7).
        assert!(der_contains(&certificate, b"\x82\x09localhost"));
        assert!(der_contains(&certificate, b"\x87\x04\x7f\x00\x00\x01"));
    }

    #[test]
    fn certificates_are_kept_until_something_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let servers = ["a".to_owned(), "b".to_owned()];
        for server in &servers {
            fs::create_dir(path.join(server)).unwrap();
        }
        let read = || fs::read_to_string(path.join("authority.pem")).unwrap();
        ensure_certificates(path, &servers).unwrap();
        let first = read();
        ensure_certificates(path, &servers).unwrap();
        assert_eq!(first, read());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let key = fs::metadata(path.join("a/server.key")).unwrap();
            assert_eq!(key.permissions().mode() & 0o777, 0o600);
        }
        fs::remove_file(path.join("b/server.key")).unwrap();
        ensure_certificates(path, &servers).unwrap();
        assert_ne!(first, read());
        assert!(path.join("b/server.key").exists());
    }
}
