//! PLAIN (RFC 4616): the password as it is. Only where nobody listens.

use super::{Condition, Failure, Identity, MESSAGE_BYTES_MAX, Password};

/// Reads `[authzid] NUL authcid NUL passwd`.
pub fn parse(message: &[u8]) -> Result<(Identity, Password), Failure> {
    let malformed = |text| Failure::new(Condition::MalformedRequest, text);
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(malformed("The message is too long."));
    }
    let text = std::str::from_utf8(message).map_err(|_| malformed("The message is not UTF-8."))?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(malformed("The message is not made of three parts."));
    };
    if authcid.is_empty() || password.is_empty() {
        return Err(malformed("The user name or the password is empty."));
    }
    Ok((Identity { authcid: authcid.into(), authzid: authzid.into() }, Password::new(password.to_owned())))
}
