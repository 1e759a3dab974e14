//! `<stream:features/>` (RFC 6120 section 4.3.2).

use super::login::Login;
use super::{Settings, StartTls, TransportKind};
use crate::ns;
use crate::sasl::Mechanism;
use crate::sasl::scram::TLS_EXPORTER;
use std::fmt::Write;

/// Before the login: TLS, mechanisms, channel bindings (XEP-0440).
pub(super) fn of_stranger(settings: &Settings, login: &Login) -> String {
    let mut out = begin();
    if login.starttls_offered(settings) {
        let required = if settings.starttls == StartTls::Required { "<required/>" } else { "" };
        push(&mut out, format_args!("<starttls xmlns='{}'>{required}</starttls>", ns::TLS));
    }
    let offered = || offered(settings, login);
    if offered().next().is_some() {
        push(&mut out, format_args!("<mechanisms xmlns='{}'>", ns::SASL));
        offered().for_each(|m| push(&mut out, format_args!("<mechanism>{m}</mechanism>")));
        out.push_str("</mechanisms>");
    }
    if offered().any(Mechanism::plus) {
        push(
            &mut out,
            format_args!(
                "<sasl-channel-binding xmlns='{}'><channel-binding type='{TLS_EXPORTER}'/></sasl-channel-binding>",
                ns::SASL_CB
            ),
        );
    }
    end(out)
}

/// After the login: binding, and what a bound client may use.
pub(super) fn of_user(settings: &Settings, manageable: bool) -> String {
    let mut out = begin();
    push(&mut out, format_args!("<bind xmlns='{}'/>", ns::BIND));
    push(&mut out, format_args!("<session xmlns='{}'><optional/></session>", ns::SESSION));
    if settings.roster_versions {
        push(&mut out, format_args!("<ver xmlns='{}'/>", ns::ROSTERVER));
    }
    if settings.preapproval {
        push(&mut out, format_args!("<sub xmlns='{}'/>", ns::PREAPPROVAL));
    }
    if manageable {
        push(&mut out, format_args!("<sm xmlns='{}'/>", ns::SM));
    }
    out.push_str(&settings.features_bound);
    end(out)
}

/// The mechanisms that this stream may use now.
pub(super) fn offered<'a>(settings: &'a Settings, login: &'a Login) -> impl Iterator<Item = Mechanism> + 'a {
    settings.mechanisms.iter().copied().filter(|m| allowed(*m, settings, login))
}

fn allowed(mechanism: Mechanism, settings: &Settings, login: &Login) -> bool {
    let transport = login.transport;
    !login.tls_first(settings)
        && match mechanism {
            _ if mechanism.in_the_clear() => transport.secure || transport.plain_allowed,
            _ if mechanism.plus() => {
                transport.secure && login.exporter.is_some() && transport.kind != TransportKind::Bosh
            }
            _ => true,
        }
}

/// The prefix `stream` is declared here for WebSocket and BOSH, and not `xmlns=` used instead, because
/// there are clients that look for the name as written.
fn begin() -> String {
    format!("<stream:features xmlns:stream='{}'>", ns::STREAM)
}

fn end(mut out: String) -> String {
    out.push_str("</stream:features>");
    out
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(text); // into a String, which takes all
}
