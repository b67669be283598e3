//! One file per message kind.

pub(crate) mod alert;
pub(crate) mod bar;
pub(crate) mod company_event;
pub(crate) mod feature;
pub(crate) mod header;
pub(crate) mod instrument;
pub(crate) mod intake;
pub(crate) mod live_plan;
pub(crate) mod market;
pub(crate) mod prediction;
pub(crate) mod quantiles;
pub(crate) mod score;
