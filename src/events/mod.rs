//! What happens, told to operators as it happens.
mod kind;

pub use kind::{Kind, Kinds};
