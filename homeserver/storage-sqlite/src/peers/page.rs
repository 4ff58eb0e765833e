//! The list of peers, a page at a time, with what waits for each.

use qpq_core::Domain;
use qpq_storage::{OutboxWeight, Page, Pause, PeerFilter, PeerLine, PeersQuery, Stored};

use super::peer;
use crate::{
    bans,
    fields::{each, one},
    transaction::{Transaction, composed_sql, int, size, time},
};

/// Each peer meets the ban that counts now (`?1` the time, `?2` the searched text, `?3` a JSON list of names).
const FROM: &str = " FROM peers p LEFT JOIN bans b
     ON b.subject = p.domain AND (b.until IS NULL OR b.until > ?1)
     LEFT JOIN peer_pauses w ON w.domain = p.domain
     LEFT JOIN outbox_queues q ON q.destination = p.domain
     WHERE (?2 = '' OR instr(p.domain, ?2) > 0) AND ?3 = ?3";

const COLUMNS: &str =
    "SELECT p.domain, p.state, p.address, p.pin, p.federation_key, p.incarnation, p.refused,
            p.since, p.note, p.ca_certificate,
            w.reason AS pause_reason, w.at AS paused_at,
            b.subject, b.kind, b.reason, b.banned_by, b.since AS ban_since, b.until,
            COALESCE(q.rows, 0) AS waiting, COALESCE(q.bytes, 0) AS bytes,
            (SELECT MIN((SELECT o.at FROM outbox o
                         WHERE o.stream_pk = s.pk AND o.seq > s.acknowledged_seq ORDER BY o.seq LIMIT 1))
             FROM outbox_streams s
             WHERE s.destination = p.domain AND s.acknowledged_seq < s.last_seq) AS oldest_at";

const fn condition(filter: PeerFilter<'_>) -> &'static str {
    match filter {
        PeerFilter::All => "",
        PeerFilter::Blocked => " AND b.subject IS NOT NULL",
        PeerFilter::AwaitingConfirmation => " AND b.subject IS NULL AND p.state = 1",
        PeerFilter::Refused => " AND b.subject IS NULL AND p.state = 0 AND p.refused IS NOT NULL",
        PeerFilter::Paused => {
            " AND b.subject IS NULL AND p.state = 0 AND p.refused IS NULL AND w.domain IS NOT NULL"
        }
        PeerFilter::Among(_) => {
            " AND b.subject IS NULL AND p.state = 0 AND p.refused IS NULL AND w.domain IS NULL
              AND p.domain IN (SELECT value FROM json_each(?3))"
        }
        PeerFilter::Besides(_) => {
            " AND b.subject IS NULL AND p.state = 0 AND p.refused IS NULL AND w.domain IS NULL
              AND p.domain NOT IN (SELECT value FROM json_each(?3))"
        }
    }
}

/// Names as a JSON list; no name needs an escape.
fn names(filter: PeerFilter<'_>) -> String {
    let these: &[Domain] = match filter {
        PeerFilter::Among(these) | PeerFilter::Besides(these) => these,
        PeerFilter::All
        | PeerFilter::Blocked
        | PeerFilter::AwaitingConfirmation
        | PeerFilter::Refused
        | PeerFilter::Paused => &[],
    };
    let quoted: Vec<String> = these.iter().map(|domain| format!("\"{domain}\"")).collect();
    format!("[{}]", quoted.join(","))
}

impl Transaction {
    pub(super) async fn page_of_peers(&mut self, query: &PeersQuery<'_>) -> Stored<Page<PeerLine>> {
        let what = "peers_page";
        let (condition, names) = (condition(query.filter), names(query.filter));
        let count = composed_sql(&["SELECT COUNT(*) AS total", FROM, condition])
            .bind(time(query.now))
            .bind(query.search.to_owned())
            .bind(names.clone());
        let row = self.row(what, count).await?;
        let total = one("peers", row.as_ref(), |row| row.number("total"))?.unwrap_or(0);
        let page = composed_sql(&[COLUMNS, FROM, condition, " ORDER BY p.domain LIMIT ?4 OFFSET ?5"])
            .bind(time(query.now))
            .bind(query.search.to_owned())
            .bind(names)
            .bind(size(query.window.limit))
            .bind(int(query.window.offset));
        let rows = each("peers", &self.rows(what, page).await?, |row| {
            Ok(PeerLine {
                peer: peer(row)?,
                ban: bans::joined_as(row, "ban_since")?,
                pause: match row.optional_time("paused_at")? {
                    Some(at) => Some(Pause { reason: row.text("pause_reason")?, at }),
                    None => None,
                },
                waiting: OutboxWeight { rows: row.number("waiting")?, bytes: row.number("bytes")? },
                oldest_at: row.optional_time("oldest_at")?,
            })
        })?;
        Ok(Page { rows, total })
    }
}
