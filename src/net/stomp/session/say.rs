//! What the client is told.

use super::Session;
use crate::net::feed::Item;
use crate::net::frame;
use crate::net::stomp::codec::{self, Bad, Version};
use crate::net::stomp::letters::{self, Refused, Shown};
use crate::net::stomp::subscription::{Ack, Source, Subscription};
use herald_session::Close;

impl Session {
    pub(super) fn item(&mut self, subscription: &Subscription, item: &Item, now_ms: i64) {
        match item {
            Item::Gap { after, before } => self.gap(&subscription.id, *after, *before),
            Item::Message { id, at_ms, stanza } => {
                let Some(mut shown) = letters::message(stanza, at_ms.unwrap_or(now_ms), &self.settings.domain) else {
                    return;
                };
                let message_id = match id {
                    Some(id) => id.to_string(),
                    None => {
                        self.unnumbered += 1;
                        format!("live-{}", self.unnumbered)
                    }
                };
                if subscription.ack != Ack::Auto && self.version == Version::V12 {
                    shown.headers.push(("ack", format!("{}/{message_id}", subscription.number)));
                }
                self.message(&subscription.id, subscription.source, &message_id, &shown);
            }
        }
    }

    /// Messages between these two were removed by retention.
    pub(super) fn gap(&mut self, subscription: &str, after: u64, before: u64) {
        let body = serde_json::json!({ "gap": { "after": after, "before": before, "epoch": &*self.settings.epoch } })
            .to_string();
        let headers = vec![("type", "gap".to_owned()), ("content-type", "application/json".to_owned())];
        self.message(subscription, Source::Push, &format!("gap-{after}"), &Shown { headers, body });
    }

    /// To all who want to hear of it; were there any?
    pub(super) fn tell(&mut self, source: Source, shown: &Shown) -> bool {
        let ids: Vec<String> = self.subscriptions.iter().filter(|s| s.source == source).map(|s| s.id.clone()).collect();
        for id in &ids {
            self.unnumbered += 1;
            self.message(id, source, &format!("live-{}", self.unnumbered), shown);
        }
        !ids.is_empty()
    }

    fn message(&mut self, subscription: &str, source: Source, message_id: &str, shown: &Shown) {
        let mut headers =
            vec![("subscription", subscription), ("message-id", message_id), ("destination", source.destination())];
        headers.extend(shown.headers.iter().map(|(name, value)| (*name, value.as_str())));
        self.write("MESSAGE", &headers, &shown.body);
    }

    pub(super) fn receipt(&mut self, receipt: Option<&str>, more: &[(&str, &str)]) {
        if let Some(receipt) = receipt {
            let headers: Vec<_> = [("receipt-id", receipt)].into_iter().chain(more.iter().copied()).collect();
            self.write("RECEIPT", &headers, "");
        }
    }

    /// Something is not carried out. It is the end, unless the client listens to errors and this one is not about the
    /// protocol.
    pub(super) fn refuse(&mut self, refused: Refused, receipt: Option<&str>) {
        let Refused { code, detail } = refused;
        if !matches!(code, "invalid" | "version" | "no_such_host" | "not_connected") {
            let mut headers = vec![("content-type", "text/plain".to_owned()), ("message", code.to_owned())];
            headers.extend(receipt.map(|receipt| ("receipt-id", receipt.to_owned())));
            if self.tell(Source::Errors, &Shown { headers, body: detail.clone() }) {
                return;
            }
        }
        self.error(code, &detail, receipt, 1008);
    }

    /// The bytes that came are no frame.
    pub(in crate::net::stomp) fn bad(&mut self, Bad(why): Bad) {
        self.error("invalid", why, None, 1008);
    }

    /// The user ends the connection.
    pub(in crate::net::stomp) fn close(&mut self, why: &Close) {
        let (code, detail, number) = match why {
            Close::Conflict => ("conflict", "the resource was bound again", 4002),
            Close::Kicked(words) => ("kicked", words.as_str(), 4003),
            Close::Shutdown => ("shutdown", "the server goes down", 1012),
            Close::ResourceFull => ("slow", "what was sent was not taken", 4008),
            Close::Internal => ("internal", "something broke here", 1011),
        };
        self.error(code, detail, None, number);
    }

    /// The last word.
    pub(in crate::net::stomp) fn error(&mut self, code: &str, detail: &str, receipt: Option<&str>, number: u16) {
        if self.end.is_none() {
            let mut headers = vec![("message", code), ("content-type", "text/plain")];
            headers.extend(receipt.map(|receipt| ("receipt-id", receipt)));
            self.write("ERROR", &headers, detail);
            self.end = Some(number);
        }
    }

    pub(super) fn write(&mut self, command: &str, headers: &[(&str, &str)], body: &str) {
        let mark = frame::begin_text(&mut self.out);
        codec::write(command, headers, body, self.version, &mut self.out);
        frame::end_text(mark, &mut self.out);
    }
}
