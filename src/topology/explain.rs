//! Why there is no master to serve, for whoever waited for one in vain.

use crate::error::{Error, ErrorKind};

use super::{
    machine::Machine,
    roster::{Link, Said, Sentinel},
};

impl Machine {
    /// What each sentinel said, or why the address that they name cannot be served.
    pub(crate) fn why_no_master(&self) -> Error {
        let service = &self.rules.service;
        if let Some(error) = self.why_unverified() {
            return error;
        }
        let members = self.roster.members();
        let said: Vec<String> =
            members.iter().map(|own| format!("{}: {}", own.address, own.reason())).collect();
        let message = format!(
            "no sentinel of {} answered for service {service:?}: {}",
            members.len(),
            said.join("; ")
        );
        Error::new(kind(&members), message)
    }

    fn why_unverified(&self) -> Option<Error> {
        let service = &self.rules.service;
        let electorate = self.electorate();
        let address = match (&self.candidate, &self.master) {
            (Some(candidate), _) => &candidate.accepted.address,
            (None, Some(master)) => &master.address,
            (None, None) => electorate.addresses().first()?,
        };
        let epoch = match (&self.candidate, &self.master) {
            (Some(candidate), _) => candidate.accepted.epoch,
            (None, Some(master)) => master.epoch,
            (None, None) => None,
        };
        let epoch = epoch.map_or(String::new(), |epoch| format!(" at epoch {epoch}"));
        let reason = match &self.candidate {
            Some(candidate) => match &candidate.reason {
                Some(reason) => format!("it could not be verified: {reason}"),
                None => "it has not been verified yet".to_owned(),
            },
            None if self.master.is_some() => "no successor is named".to_owned(),
            None => "the other sentinels have not answered yet".to_owned(),
        };
        Some(Error::new(
            ErrorKind::NoMaster,
            format!(
                "no master to use for service {service:?}: {address} is named by {} of {} \
                 sentinels{epoch}; {reason}",
                electorate.count(address),
                electorate.known,
            ),
        ))
    }
}

impl Sentinel {
    fn reason(&self) -> String {
        match (&self.link, &self.said) {
            (Link::New, _) => "no answer yet".to_owned(),
            (Link::Down { reason }, _) => reason.clone(),
            (_, Said::Refused(text)) => text.clone(),
            (_, Said::Unknown) => match self.services.as_deref() {
                None => "unknown service".to_owned(),
                Some([]) => "unknown service (it monitors none)".to_owned(),
                Some(names) => {
                    let names: Vec<String> = names.iter().map(|n| format!("{n:?}")).collect();
                    format!("unknown service (it monitors {})", names.join(", "))
                }
            },
            (_, Said::Stranger) => self.strangeness(),
            (_, Said::Moving) => "its view keeps changing".to_owned(),
            (_, Said::Nothing | Said::Names) => "no answer yet".to_owned(),
        }
    }
}

/// An unknown service when any sentinel says so; a matter of credentials or rights when all of them
/// that were reached do.
fn kind(members: &[&Sentinel]) -> ErrorKind {
    if members.iter().any(|own| own.said == Said::Unknown) {
        return ErrorKind::UnknownService;
    }
    let reasons: Vec<String> = members.iter().map(|own| own.reason()).collect();
    let all = |words: &[&str]| {
        !reasons.is_empty()
            && reasons.iter().all(|reason| words.iter().any(|word| reason.contains(word)))
    };
    if all(&["NOAUTH", "WRONGPASS"]) {
        ErrorKind::Authentication
    } else if all(&["NOPERM"]) {
        ErrorKind::Permission
    } else {
        ErrorKind::NoSentinel
    }
}
