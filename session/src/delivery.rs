//! RFC 6121 section 8.5 as one pure function.
