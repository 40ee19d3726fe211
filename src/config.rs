//! What a factory is told: [`SwitchOn`] and the other choices.

/// What it takes to switch to another master.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SwitchOn {
    /// The promoted replica accepts writes, and the sentinels' own state proves that it was chosen.
    #[default]
    Promotion,
    /// One sentinel names the new master (`SENTINEL GET-MASTER-ADDR-BY-NAME`), about 0.8 s later.
    Confirmation,
    /// A majority of the known sentinels names the new master.
    Announcement,
}
