//! Whose certificate a TLS connection of ours takes where authorities do not decide: anybody's, or one.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

/// Takes a certificate by itself, whatever name it is for and whoever signed it. That its key is in the server's hands is verified.
#[derive(Debug)]
pub struct Believes {
    /// None: any.
    only: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Believes {
    /// Any certificate: no worse than speaking in clear, for where that is allowed too.
    pub const fn anybody(provider: Arc<CryptoProvider>) -> Self {
        Self { only: None, provider }
    }

    /// That certificate and no other, which is refused as [`CertificateError::ApplicationVerificationFailure`].
    pub const fn only(certificate: CertificateDer<'static>, provider: Arc<CryptoProvider>) -> Self {
        Self { only: Some(certificate), provider }
    }
}

impl ServerCertVerifier for Believes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.only.as_ref().is_none_or(|only| only == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
