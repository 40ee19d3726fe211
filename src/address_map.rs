//! Announced addresses into reachable ones: [`AddressMap`], and the way to one of them, [`Route`].

use std::{
    collections::BTreeMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::address::Address;

type Function = dyn Fn(&Address) -> Address + Send + Sync;

/// What the sentinels announce, translated into what this program can reach (NAT, Docker, tunnels).
///
/// The table is asked first. The function sees only what the table does not hold, so that one entry
/// can correct a function that is right for the rest. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct AddressMap {
    table: Arc<BTreeMap<Address, Address>>,
    function: Option<Arc<Function>>,
}

impl AddressMap {
    /// Where to connect for an announced address; the address itself when nothing is said about it.
    ///
    /// Blocks as long as the user's function does. A panic in it is logged, and the address stays as
    /// it is announced: the watch must not die of it.
    pub(crate) fn map(&self, announced: &Address) -> Address {
        if let Some(reachable) = self.table.get(announced) {
            return reachable.clone();
        }
        let Some(function) = &self.function else { return announced.clone() };
        catch_unwind(AssertUnwindSafe(|| function(announced))).unwrap_or_else(|_| {
            log::error!("the address mapper panicked on {announced}, which is used as it is");
            announced.clone()
        })
    }

    /// Adds a row to the table; `Err` with the address it already leads to when that is another one.
    pub(crate) fn insert(&mut self, announced: Address, reachable: Address) -> Result<(), Address> {
        match self.table.get(&announced) {
            Some(known) if *known != reachable => Err(known.clone()),
            Some(_) => Ok(()),
            None => {
                Arc::make_mut(&mut self.table).insert(announced, reachable);
                Ok(())
            }
        }
    }

    pub(crate) fn set_function(
        &mut self,
        function: impl Fn(&Address) -> Address + Send + Sync + 'static,
    ) {
        self.function = Some(Arc::new(function));
    }

    /// Returns true when an address may lead to another place later, as only a function allows.
    pub(crate) fn may_change(&self) -> bool {
        self.function.is_some()
    }

    /// The rows of the table, in the order of the announced addresses.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Address, &Address)> {
        self.table.iter()
    }
}

/// The way to a server: where its announced address leads at this moment.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) announced: Address,
    pub(crate) map: AddressMap,
}

impl Route {
    /// Where to dial now. What the user's function says may change, so it is asked for each dial.
    pub(crate) fn now(&self) -> Address {
        self.map.map(&self.announced)
    }
}

impl PartialEq for AddressMap {
    /// Functions are equal when they are the same one.
    fn eq(&self, other: &AddressMap) -> bool {
        let same_function = match (&self.function, &other.function) {
            (None, None) => true,
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            _ => false,
        };
        same_function && self.table == other.table
    }
}

impl fmt::Debug for AddressMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressMap")
            .field("table", &self.table)
            .field("function", &self.function.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn the_table_comes_before_the_function() {
        let mut map = AddressMap::default();
        assert_eq!(map.map(&address("10.0.0.1:1")), address("10.0.0.1:1"));
        map.insert(address("10.0.0.1:1"), address("127.0.0.1:7001")).unwrap();
        map.set_function(|announced| Address::new("gateway", announced.port() + 1000).unwrap());
        assert_eq!(map.map(&address("10.0.0.1:1")), address("127.0.0.1:7001"));
        assert_eq!(map.map(&address("10.0.0.2:2")), address("gateway:1002"));
    }

    #[test]
    fn a_row_cannot_lead_to_two_places() {
        let mut map = AddressMap::default();
        map.insert(address("a:1"), address("b:1")).unwrap();
        map.insert(address("A:1"), address("b:1")).unwrap();
        assert_eq!(map.insert(address("a:1"), address("c:1")), Err(address("b:1")));
        assert_eq!(map.rows().count(), 1);
    }

    #[test]
    fn a_mapper_that_panics_leaves_the_address_as_it_is() {
        let mut map = AddressMap::default();
        map.set_function(|_| panic!("a fault in the user's function"));
        assert_eq!(map.map(&address("a:1")), address("a:1"));
    }
}
