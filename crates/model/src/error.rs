//! The errors of this crate. They carry no advice; the program adds it where it talks to people.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A number became infinite or NaN in this stage.
    Diverged(String),
    /// A usable device failed, with this message.
    DeviceFailed(String),
    /// A device that was asked for by name cannot be used, for this reason.
    NoDevice(String),
    /// No device has this name.
    UnknownDevice(String),
    /// SIGINT came.
    Interrupted,
    /// SIGTERM came.
    Terminated,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Diverged(stage) => write!(f, "{stage}: the numbers ran away (NaN or infinity)"),
            Error::DeviceFailed(what) => write!(f, "the device failed: {what}"),
            Error::NoDevice(why) => f.write_str(why),
            Error::UnknownDevice(name) => write!(f, "{name:?} is no device"),
            Error::Interrupted => f.write_str("interrupted"),
            Error::Terminated => f.write_str("terminated"),
        }
    }
}

impl std::error::Error for Error {}
