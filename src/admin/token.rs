//! The bearer token: who has it is the operator.

use crate::files::write_private;
use anyhow::{Context, Result, anyhow, bail};
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Random bytes in a token that we make; it has twice as many characters.
const RANDOM_BYTES: usize = 32;
/// A token of an operator's own making has at least so many characters.
const LENGTH_MIN: usize = 16;

/// What a request must bring as `Authorization: Bearer TOKEN`.
pub struct Token(String);

impl Token {
    /// Reads the token, or makes one (mode 0600). A file that others may read is closed to them.
    pub fn load(file: &Path) -> Result<Token> {
        let name = file.display();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Token::make(file),
            Err(e) => return Err(e).with_context(|| format!("{name}: the operator's token cannot be read")),
        };
        let token = text.trim();
        if token.len() < LENGTH_MIN || !token.bytes().all(|b| b.is_ascii_graphic()) {
            bail!(
                "{name}: a token is one line of at least {LENGTH_MIN} visible ASCII characters (remove the file, and one is made)"
            );
        }
        let mode = std::fs::metadata(file)?.permissions().mode();
        if mode & 0o077 != 0 {
            tracing::warn!("{name}: others could read the operator's token (mode {:o}); they cannot now", mode & 0o777);
            std::fs::set_permissions(file, Permissions::from_mode(0o600))
                .with_context(|| format!("{name}: chmod 0600"))?;
        }
        Ok(Token(token.to_owned()))
    }

    fn make(file: &Path) -> Result<Token> {
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).map_err(|e| anyhow!("no randomness for the operator's token: {e}"))?;
        let token: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
        write_private(file, format!("{token}\n").as_bytes())?;
        Ok(Token(token))
    }

    /// Is this it? Takes the same time however much of it is right.
    pub fn is(&self, secret: &[u8]) -> bool {
        secret.ct_eq(self.0.as_bytes()).into()
    }
}
