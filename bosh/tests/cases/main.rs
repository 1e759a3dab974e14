//! The cases of the BOSH acceptance page that concern the machine: each a script, named by its number.

mod ahead;
mod creation;
mod ends;
mod limits;
mod order;
mod prebound;
mod script;
mod unread;
