//! That nobody else is doing the same at the same time: [`Claim`].

use switchmaster::{Address, direct::Dialer};

use super::replica::Node;

/// The name of a connection to the master that says so.
const NAME: &str = "switchmaster-failover";

/// Two of these commands on one master would each let writes go on that the other has paused. It is a
/// connection to the master, so it ends with this command, whatever becomes of it.
pub(super) struct Claim {
    node: Node,
}

impl Claim {
    /// Says why not where another command is at work on this master, or has begun just now.
    pub(super) fn stake(dialer: &Dialer, master: &Address) -> Result<Claim, String> {
        let mut claim = Claim { node: Node::new(dialer, master) };
        claim.hold()?;
        Ok(claim)
    }

    /// Checks the claim once more: the server may have ended the connection meanwhile (`timeout`, `CLIENT
    /// KILL`), and another command may have begun since.
    pub(super) fn hold(&mut self) -> Result<(), String> {
        let node = &mut self.node;
        let mut clients = || -> redis::RedisResult<(u64, String)> {
            let own = node.insist(&["CLIENT", "ID"])?;
            node.ask::<()>(&["CLIENT", "SETNAME", NAME])?;
            Ok((own, node.ask(&["CLIENT", "LIST", "TYPE", "normal"])?))
        };
        let Ok((own, clients)) = clients() else {
            // Whoever may not ask that has to know, and a master that is lost is found out by what follows.
            return Ok(());
        };
        match another(&clients, own) {
            None => Ok(()),
            Some(place) => Err(format!(
                "another `switchmaster failover` is at work on {}, from {place}; let it end, or if its \
                 machine is gone: CLIENT KILL ADDR {place} there",
                node.address
            )),
        }
    }
}

/// Where the connection comes from that has the name, and another id.
fn another(clients: &str, own: u64) -> Option<&str> {
    clients.lines().find_map(|client| {
        let field = |name: &str| {
            client.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let other = field("name") == Some(NAME) && field("id") != Some(&own.to_string());
        other.then(|| field("addr").unwrap_or("somewhere"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_connection_is_no_other() {
        let clients = "id=7 addr=h:1 laddr=h:9 fd=8 name=switchmaster-failover age=0\n\
            id=8 addr=h:2 laddr=h:9 fd=9 name=x age=1\n";
        assert_eq!((another(clients, 7), another(clients, 8)), (None, Some("h:1")));
        assert_eq!(another("", 7), None);
    }
}
