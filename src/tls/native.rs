//! TLS by what the platform has.

use std::{
    io::{self, Read, Write},
    mem,
};

use native_tls::{
    Certificate, HandshakeError, Identity, MidHandshakeTlsStream, TlsConnector, TlsStream,
};

use super::{Names, config::Material};

/// What makes sessions.
pub(super) fn factory(material: &Material, names: &Names) -> Result<TlsConnector, String> {
    let mut builder = TlsConnector::builder();
    if let Some(ca) = &material.ca {
        builder.disable_built_in_roots(true);
        let found = Certificate::stack_from_pem(&ca.pem)
            .map_err(|error| ca.fault(format!("it is no PEM: {error}")))?;
        if found.is_empty() {
            return Err(ca.fault("no certificate in PEM is in it"));
        }
        for certificate in found {
            builder.add_root_certificate(certificate);
        }
    }
    if let Some((cert, key)) = &material.own {
        match Certificate::stack_from_pem(&cert.pem) {
            Err(error) => return Err(cert.fault(format!("it is no PEM: {error}"))),
            Ok(found) if found.is_empty() => {
                return Err(cert.fault("no certificate in PEM is in it"));
            }
            Ok(_) => {}
        }
        let identity = Identity::from_pkcs8(&cert.pem, pkcs8(&key.pem)).map_err(|error| {
            key.fault(format!(
                "no private key can be read from it: {error}; it has to be PKCS#8 in PEM \
                 (\"BEGIN PRIVATE KEY\") and not encrypted"
            ))
        })?;
        builder.identity(identity);
    }
    builder.build().map_err(|error| match &material.own {
        Some((_, key)) => key.fault(format!("not the key of {}: {error}", names.cert)),
        None => format!("{}: {error}", names.ca),
    })
}

/// Without what may stand before the key, such as a certificate or a comment.
fn pkcs8(pem: &[u8]) -> &[u8] {
    const BEGIN: &[u8] = b"-----BEGIN PRIVATE KEY-----";
    let begin = pem.windows(BEGIN.len()).position(|window| window == BEGIN);
    &pem[begin.unwrap_or(0)..]
}

pub(super) struct Native<S> {
    state: State<S>,
}

enum State<S> {
    New { connector: TlsConnector, name: String, transport: S },
    Handshake(MidHandshakeTlsStream<S>),
    Open(TlsStream<S>),
    Failed,
}

impl<S: Read + Write> Native<S> {
    pub(super) fn new(connector: &TlsConnector, name: &str, transport: S) -> Native<S> {
        let connector = connector.clone();
        Native { state: State::New { connector, name: name.to_owned(), transport } }
    }

    pub(super) fn handshake(&mut self) -> io::Result<()> {
        let outcome = match mem::replace(&mut self.state, State::Failed) {
            State::New { connector, name, transport } => connector.connect(&name, transport),
            State::Handshake(handshake) => handshake.handshake(),
            State::Open(stream) => Ok(stream),
            State::Failed => return Err(io::ErrorKind::NotConnected.into()),
        };
        match outcome {
            Ok(stream) => {
                self.state = State::Open(stream);
                Ok(())
            }
            Err(HandshakeError::WouldBlock(handshake)) => {
                self.state = State::Handshake(handshake);
                Err(io::ErrorKind::WouldBlock.into())
            }
            Err(HandshakeError::Failure(error)) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    fn stream(&mut self) -> io::Result<&mut TlsStream<S>> {
        match &mut self.state {
            State::Open(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.stream()?.read(into) {
            // OpenSSL takes an end without a farewell for a fault.
            Err(error) if error.to_string().contains("unexpected eof") => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::Other => {
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
            other => other,
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream()?.write(bytes)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stream()?.flush()
    }

    pub(super) fn transport(&mut self) -> Option<&mut S> {
        match &mut self.state {
            State::New { transport, .. } => Some(transport),
            State::Handshake(handshake) => Some(handshake.get_mut()),
            State::Open(stream) => Some(stream.get_mut()),
            State::Failed => None,
        }
    }
}
