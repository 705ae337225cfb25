//! Columns that are worked out from other fields, or from where the record was found.

use super::batch::Rows;
use super::time;
use crate::schema::known;

const EVENT_TIME: usize = known("event_time");
const AWS_REGION: usize = known("aws_region");
const ACCOUNT: usize = known("account");
const REGION: usize = known("region");
const PRINCIPAL: usize = known("principal");
const BY_ROOT_OR_IAM_USER: usize = known("by_root_or_iam_user");
const BY_TEMPORARY_CREDENTIALS: usize = known("by_temporary_credentials");
const BY_AWS_SERVICE: usize = known("by_aws_service");
const SOURCE_IP_ADDRESS: usize = known("source_ip_address");
const RECIPIENT_ACCOUNT_ID: usize = known("recipient_account_id");
const ACCOUNT_ID: usize = known("account_id");
const IDENTITY_TYPE: usize = known("user_identity_type");
const IDENTITY_ARN: usize = known("user_identity_arn");
const IDENTITY_PRINCIPAL_ID: usize = known("user_identity_principal_id");
const IDENTITY_ACCOUNT_ID: usize = known("user_identity_account_id");
const IDENTITY_INVOKED_BY: usize = known("user_identity_invoked_by");
const ISSUER_ARN: usize = known("user_identity_session_context_session_issuer_arn");
const ROW_SOURCE_OBJECT: usize = known("row_source_object");
const WINDOW_START: usize = known("time_window_window_start");

/// What a record is found with, the same for all records of an object: the texts' numbers in their columns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Provenance {
    account: u32,
    region: u32,
    object: u32,
}

impl Provenance {
    /// Puts the object's URL and what its key says into `rows`, for all rows that come from it; `arena` is the text
    /// that the rows before it came from.
    pub fn new(
        rows: &mut Rows,
        arena: &[u8],
        url: &str,
        account: Option<&str>,
        region: Option<&str>,
    ) -> Self {
        let mut store = |column: usize, text: &str| {
            let view = rows.side(|side| {
                side.extend_from_slice(text.as_bytes());
                true
            });
            view.map_or(0, |view| rows.number_for(column, arena, view))
        };
        let provenance = Provenance {
            object: store(ROW_SOURCE_OBJECT, url),
            account: account.map_or(0, |account| store(ACCOUNT, account)),
            region: region.map_or(0, |region| store(REGION, region)),
        };
        rows.keep_side();
        provenance
    }
}

/// Sets the derived columns of the row being written, whose delivered ones are set. Returns whether `event_time`, which
/// was not delivered, was filled in.
pub(super) fn derive(arena: &[u8], provenance: &Provenance, rows: &mut Rows) -> bool {
    let row = rows.len();
    let mut filled_in = false;
    // Aggregated events have no time of their own, only a window.
    if rows.number(EVENT_TIME, row).is_none()
        && let Some(time) = rows.text(arena, WINDOW_START, row).and_then(|start| time::parse(start.bytes()))
    {
        rows.set_number(EVENT_TIME, time.micros());
        filled_in = true;
    }
    let first_of = |rows: &Rows, columns: &[usize]| {
        columns.iter().find_map(|&column| {
            // A view's first bytes are the text's length.
            rows.view(column, row).filter(|view| *view as u32 > 0).map(|_| column)
        })
    };
    let account = first_of(rows, &[RECIPIENT_ACCOUNT_ID, ACCOUNT_ID]);
    let region = first_of(rows, &[AWS_REGION]);
    let kind = worked_out(rows, 0, IDENTITY_TYPE, arena, |kind| match kind {
        b"Root" | b"IAMUser" => BY_USER,
        b"AssumedRole" => BY_SESSION | ASSUMED,
        b"FederatedUser" => BY_SESSION,
        b"AWSService" => BY_SERVICE,
        _ => 0,
    });
    let assumed = kind & ASSUMED > 0;
    let issuer = if assumed { first_of(rows, &[ISSUER_ARN]) } else { None };
    let principal = issuer.or_else(|| {
        first_of(rows, &[IDENTITY_ARN, IDENTITY_PRINCIPAL_ID, IDENTITY_INVOKED_BY, IDENTITY_ACCOUNT_ID])
    });
    let derived = [(ACCOUNT, account, provenance.account), (REGION, region, provenance.region)];
    for (column, source, otherwise) in derived.into_iter().chain([(PRINCIPAL, principal, 0)]) {
        match source {
            Some(source) => rows.copy(arena, source, column),
            None => rows.set_text_number(column, otherwise),
        }
    }
    rows.set_text_number(ROW_SOURCE_OBJECT, provenance.object);
    // Unlike the user agent, the source address is not the caller's to choose.
    let address = worked_out(rows, 1, SOURCE_IP_ADDRESS, arena, |address| {
        if address.ends_with(b".amazonaws.com") { BY_SERVICE } else { 0 }
    });
    let by_service = (kind | address) & BY_SERVICE > 0 || first_of(rows, &[IDENTITY_INVOKED_BY]).is_some();
    rows.set_bool(BY_ROOT_OR_IAM_USER, kind & BY_USER > 0);
    rows.set_bool(BY_TEMPORARY_CREDENTIALS, kind & BY_SESSION > 0);
    rows.set_bool(BY_AWS_SERVICE, by_service);
    filled_in
}

const BY_USER: u8 = 1;
const BY_SESSION: u8 = 2;
const ASSUMED: u8 = 4;
const BY_SERVICE: u8 = 8;

/// What `says` makes of the text that a column has in the row being written, nothing where it has none; asked once as
/// long as the text is the same.
fn worked_out(
    rows: &mut Rows,
    slot: usize,
    column: usize,
    arena: &[u8],
    says: impl FnOnce(&[u8]) -> u8,
) -> u8 {
    let number = rows.text_number(column);
    if rows.worked_out[slot].0 != number {
        let flags = rows.text(arena, column, rows.len()).map_or(0, |text| says(text.bytes()));
        rows.worked_out[slot] = (number, flags);
    }
    rows.worked_out[slot].1
}
