//! What an error of TLS means, and what to do about it.

use std::io;

use super::Names;

/// What went wrong, as far as something can be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    Untrusted,
    OtherName,
    Expired,
    /// The server wants a certificate of ours, or another one.
    NotAdmitted,
    NotTls,
    Ended,
    Other,
}

/// One sentence, and the next step. `name` is the one that the certificate was to be for.
pub(super) fn explain(error: &io::Error, name: &str, names: &Names) -> String {
    let Names { ca, cert, key, server_name } = names;
    let text = error.to_string();
    match cause(error, &text) {
        Cause::Untrusted => {
            format!(
                "{text}; no trusted authority stands for its certificate: set {ca} to the right one"
            )
        }
        Cause::OtherName => format!(
            "{text}; its certificate is not for {name:?}: set {server_name} to a name that it is for"
        ),
        Cause::Expired => format!("{text}; renew its certificate, or set this system's clock"),
        Cause::NotAdmitted => format!(
            "{text}; the server admits only whom it knows: set {cert} and {key} to a certificate of \
             an authority that it trusts"
        ),
        Cause::NotTls => {
            format!("what it sent is not TLS ({text}); check that this port speaks TLS")
        }
        Cause::Ended => {
            "the server closed the connection; check that this port speaks TLS".to_owned()
        }
        Cause::Other => text,
    }
}

fn cause(error: &io::Error, text: &str) -> Cause {
    if matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    ) {
        return Cause::Ended;
    }
    #[cfg(feature = "tls-rustls")]
    if let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        return of_rustls(error);
    }
    of_openssl(text)
}

#[cfg(feature = "tls-rustls")]
fn of_rustls(error: &rustls::Error) -> Cause {
    use rustls::{AlertDescription as Alert, CertificateError, Error};
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Cause::Expired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Cause::OtherName
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Cause::Untrusted,
            _ => Cause::Other,
        },
        Error::AlertReceived(
            Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::DecryptError
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied
            | Alert::HandshakeFailure,
        ) => Cause::NotAdmitted,
        Error::InvalidMessage(_) => Cause::NotTls,
        _ => Cause::Other,
    }
}

/// By the words of OpenSSL; other libraries' messages stand for themselves.
fn of_openssl(text: &str) -> Cause {
    const WORDS: [(&str, Cause); 15] = [
        ("Hostname mismatch", Cause::OtherName),
        ("hostname mismatch", Cause::OtherName),
        ("IP address mismatch", Cause::OtherName),
        ("has expired", Cause::Expired),
        ("not yet valid", Cause::Expired),
        ("unable to get", Cause::Untrusted),
        ("self-signed", Cause::Untrusted),
        ("self signed", Cause::Untrusted),
        ("certificate verify failed", Cause::Untrusted),
        ("alert", Cause::NotAdmitted),
        ("wrong version number", Cause::NotTls),
        ("packet length too long", Cause::NotTls),
        ("unexpected eof", Cause::Ended),
        ("unexpected EOF", Cause::Ended),
        ("reset by peer", Cause::Ended),
    ];
    let found = WORDS.iter().find(|(words, _)| text.contains(words));
    found.map_or(Cause::Other, |(_, cause)| *cause)
}
