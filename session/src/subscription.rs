//! RFC 6121 section 3 and appendix A as tables.
