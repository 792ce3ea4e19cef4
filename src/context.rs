//! What every command has at hand.

use std::path::Path;

use crate::config::Config;
use crate::console::Console;
use crate::database::Database;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// The settings, whom to tell, and who may stop it. Made once, and handed on.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The settings of today.
    pub config: &'a Config,
    /// Where to tell.
    pub console: &'a Console,
    /// Asked between pieces of work.
    pub interrupt: &'a Interrupt,
}

impl Context<'_> {
    /// Opens the application's database.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(&self, db: &Path) -> Result<Database> {
        Database::open(db, self.config.output.patience(), self.interrupt.clone())
    }
}
