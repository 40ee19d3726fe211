//! TLS by rustls.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::{Resumption, WebPkiServerVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::{
    Names,
    config::{Material, Source},
};

/// What makes sessions.
pub(super) fn factory(material: &Material, names: &Names) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots(material, names)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
        .build()
        .map_err(|error| format!("{}: {error}", names.ca))?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_webpki_verifier(verifier);
    let mut config = match &material.own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates(cert)?;
            let private = PrivateKeyDer::from_pem_slice(&key.pem).map_err(|_| {
                key.fault("no private key in PEM is in it that can be read (is it encrypted?)")
            })?;
            builder
                .with_client_auth_cert(chain, private)
                .map_err(|error| key.fault(format!("not the key of {}: {error}", names.cert)))?
        }
    };
    // Every connection gets a full handshake, as with the platform's library. A server that verifies
    // clients and keeps no sessions (`tls-session-caching no`) still issues tickets, and answers one
    // with a fatal alert; a resumed session also skips the check of a certificate that has changed.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn roots(material: &Material, names: &Names) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(ca) = &material.ca else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let why: String = found.errors.iter().map(|error| format!(" ({error})")).collect();
            return Err(format!(
                "{}: not set, and this system trusts no authorities{why}; name a file of them",
                names.ca
            ));
        }
        return Ok(roots);
    };
    for certificate in certificates(ca)? {
        roots
            .add(certificate)
            .map_err(|error| ca.fault(format!("a certificate in it cannot be used: {error}")))?;
    }
    Ok(roots)
}

fn certificates(source: &Source) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&source.pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(source.fault("no certificate in PEM is in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(source.fault(format!("it is no PEM: {error}"))),
    }
}

pub(super) struct Rustls<S> {
    connection: ClientConnection,
    transport: S,
    /// So many bytes were taken and are not all sent.
    taken: usize,
}

impl<S: Read + Write> Rustls<S> {
    pub(super) fn new(
        config: &Arc<ClientConfig>,
        name: &str,
        transport: S,
    ) -> io::Result<Rustls<S>> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            let why = format!("{name:?} is not a name that a certificate can be for");
            io::Error::new(io::ErrorKind::InvalidInput, why)
        })?;
        let connection = ClientConnection::new(config.clone(), name).map_err(fault)?;
        Ok(Rustls { connection, transport, taken: 0 })
    }

    pub(super) fn handshake(&mut self) -> io::Result<()> {
        loop {
            self.flush()?;
            if !self.connection.is_handshaking() {
                return Ok(());
            }
            if self.receive()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.connection.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            if self.receive()? == 0 {
                return Ok(0);
            }
            // An answer of the session's own that does not fit now goes out with the next write.
            match self.flush() {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.taken == 0 {
            self.flush()?;
            self.taken = self.connection.writer().write(bytes)?;
        }
        self.flush()?;
        Ok(std::mem::take(&mut self.taken))
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.transport) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn transport(&mut self) -> Option<&mut S> {
        Some(&mut self.transport)
    }

    /// Reads from the transport once.
    fn receive(&mut self) -> io::Result<usize> {
        let read = loop {
            match self.connection.read_tls(&mut self.transport) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if let Err(error) = self.connection.process_new_packets() {
            // The server is told, if it still listens.
            let _ = self.flush();
            return Err(fault(error));
        }
        Ok(read)
    }
}

fn fault(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
