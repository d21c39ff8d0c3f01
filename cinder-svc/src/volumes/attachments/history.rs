//! What the history of a volume says of its attachments.

use crate::volume::{Attachment, attachment::Move};

/// What happened to an attachment.
#[derive(Debug)]
pub(super) enum Said<'a> {
    /// It was created.
    Created,
    /// It moved.
    Moved(&'a Move),
    /// It was ended.
    Ended,
    /// It ended by itself.
    Lapsed,
}

/// One sentence about an attachment as it is after that, or was before its end.
pub(super) fn message(attachment: &Attachment, said: &Said<'_>) -> String {
    let Attachment { id, status, .. } = attachment;
    let user = attachment.instance_id.map(|id| format!(" of instance {id}")).unwrap_or_default();
    let host = match attachment.host.as_str() {
        "" => String::new(),
        host => format!(" on host {host}"),
    };
    let what = match said {
        Said::Created | Said::Moved(Move::Connect { .. }) => format!("{status}{host}"),
        Said::Moved(Move::Renew(lease)) => format!("{status} for {} s more", lease.num_seconds()),
        Said::Moved(Move::Confirm) => format!("{status}, confirmed"),
        Said::Moved(Move::Export { .. }) => format!("{status}{host}, which can reach the data"),
        Said::Moved(Move::Fail { message }) => {
            format!("{status} again, since its host cannot reach the data: {message}")
        }
        Said::Moved(Move::Complete { .. } | Move::BeginDetaching | Move::RollDetaching) => status.to_string(),
        Said::Ended => "ended".to_owned(),
        Said::Lapsed => "ended by itself, its lease was over".to_owned(),
    };
    format!("attachment {id}{user}: {what}")
}
