//! What can go wrong between numbers and lists.

use std::fmt;

/// What an operation of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, without advice: whoever talks to people adds that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A number became infinite or NaN, in this stage.
    Diverged(String),
    /// The device was there and failed.
    DeviceFailed(String),
    /// A device that was asked for by name cannot be used, and why.
    NoDevice(String),
    /// No device has such a name.
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
