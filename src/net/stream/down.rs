//! Down: what the user's actor has for the client is written, and acknowledged once it is.

use super::{Conn, Framing};
use crate::net::login::stream_error;
use crate::net::outbox::Mail;
use herald_xmpp::stream::c2s;
use std::io;

/// Deliveries are written together up to about this many bytes.
const WRITE_BYTES_SOFT: usize = 64 * 1024;

impl<F: Framing> Conn<F> {
    /// Writes what the user's actor has for the client. False when the socket did not take all of it.
    fn write_mail(&mut self, mail: &mut Mail) -> io::Result<bool> {
        while let Some(delivery) = mail.deliveries.pop_front() {
            self.talk.framing.write_stanza(&delivery, &mut self.talk.out);
            self.writing.push_back(delivery);
            if self.talk.out.len() >= WRITE_BYTES_SOFT && !self.flush_now()? {
                return Ok(false);
            }
        }
        self.flush_now()
    }

    /// Writes it all; false when the socket did not take it at once and [`Conn::deliver`] has to go on.
    pub(super) fn deliver_now(&mut self, mail: &mut Mail) -> io::Result<bool> {
        match self.write_mail(mail) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(e) => {
                self.writing.append(&mut mail.deliveries);
                return Err(e);
            }
        }
        self.acknowledge();
        if let Some(why) = mail.close.take() {
            self.talk.tell(c2s::Input::Fail(stream_error(&why)));
        }
        Ok(true)
    }

    pub(super) async fn deliver(&mut self, mut mail: Mail) -> io::Result<()> {
        loop {
            if let Err(e) = self.wire.flush().await {
                self.writing.append(&mut mail.deliveries);
                return Err(e);
            }
            self.acknowledge();
            if self.deliver_now(&mut mail)? {
                return Ok(());
            }
        }
    }

    /// All that was being written is written.
    fn acknowledge(&mut self) {
        self.outbox.wrote(self.writing.len());
        for delivery in std::mem::take(&mut self.writing) {
            if let (Some(seat), Some(receipt)) = (&self.seat, delivery.receipt) {
                seat.acked(receipt);
            }
        }
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.flush_now()? { Ok(()) } else { self.wire.flush().await }
    }

    /// Hands everything to the wire; false when the socket does not take it all at once.
    pub(super) fn flush_now(&mut self) -> io::Result<bool> {
        if self.talk.out.is_empty() {
            return self.wire.flush_now();
        }
        let out = std::mem::take(&mut self.talk.out);
        self.wire.write_now(&out)
    }
}
