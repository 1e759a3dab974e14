//! One file for each XEP.
//!
//! | file | XEP |
//! |---|---|
//! | `disco.rs` | 0030, service discovery |
//! | `ping.rs` | 0199, XMPP ping |

/// Every module, in the order in which their hooks run.
pub fn standard() -> herald_session::Modules {
    herald_session::Modules::builder().build()
}
