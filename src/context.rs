//! [`Context`]: the settings, the console and the interrupt, which every command is given.

use std::path::Path;

use crate::config::Config;
use crate::console::Console;
use crate::database::Database;
use crate::error::Result;
use crate::interrupt::Interrupt;

/// Made once for a command, and passed down to everything that it calls.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Those of this command; the published run may have had others.
    pub config: &'a Config,
    pub console: &'a Console,
    /// Checked between pieces of work.
    pub interrupt: &'a Interrupt,
}

impl Context<'_> {
    pub fn open(&self, db: &Path) -> Result<Database> {
        Database::open(db, self.config.output.patience(), self.interrupt.clone())
    }
}
