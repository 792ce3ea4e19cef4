//! SIGINT and SIGTERM, as a flag that every long loop checks.
//!
//! A signal only raises the flag. Work is cut into pieces of well under a second, and [`Interrupt::check`] is
//! called between two pieces, so work always stops where nothing is half done. A second signal ends the
//! process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::{Error, Result};

/// Whether a signal asked the process to stop. Cheap to clone and to check.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
}

impl Interrupt {
    pub fn never() -> Self {
        Self::default()
    }

    /// Listens to SIGINT and SIGTERM for the rest of the process's life.
    pub fn on_signals() -> io::Result<Self> {
        let this = Self::default();
        let asked_before = Arc::new(AtomicBool::new(false));
        for (signal, code) in [(SIGINT, 130), (SIGTERM, 143)] {
            // The order matters: the first signal finds the flag down, then raises it for the second.
            flag::register_conditional_shutdown(signal, code, Arc::clone(&asked_before))?;
            flag::register(signal, Arc::clone(&asked_before))?;
            flag::register_usize(signal, Arc::clone(&this.signal), signal as usize)?;
        }
        Ok(this)
    }

    /// # Errors
    /// [`Error::Interrupted`] after SIGINT, [`Error::Terminated`] after SIGTERM.
    pub fn check(&self) -> Result<()> {
        match self.signal.load(Ordering::Relaxed) as i32 {
            0 => Ok(()),
            SIGTERM => Err(Error::Terminated),
            _ => Err(Error::Interrupted),
        }
    }
}
