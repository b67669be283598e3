use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

use super::super::problem::Problem;
use crate::config::PublisherOptions;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Addresses that are remembered before those with a full quota are forgotten again.
const ADDRESSES_MAX: usize = 10_000;

/// What is limited; a WebSocket connection has limits of its own.
const LIMITED: &str = "/v1/";

type Limiter = RateLimiter<IpAddr, DefaultKeyedStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>;

/// How many requests each address may make.
#[derive(Clone)]
pub(super) struct Limits(Option<Arc<Active>>);

struct Active {
    limiter: Limiter,
    clock: DefaultClock,
    per_second: NonZeroU32,
    policy: HeaderValue,
}

impl Limits {
    /// A rate of 0 limits nobody.
    pub(super) fn new(options: &PublisherOptions) -> Self {
        Self(NonZeroU32::new(options.requests_per_second).map(|per_second| {
            let burst = NonZeroU32::new(options.requests_burst).unwrap_or(per_second);
            let limiter = RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst)).with_middleware();
            let window = burst.get().div_ceil(per_second.get());
            let policy = format!(r#""address";q={burst};w={window}"#);
            let policy = HeaderValue::try_from(policy).expect("digits and punctuation are a header value");
            Arc::new(Active { limiter, clock: DefaultClock::default(), per_second, policy })
        }))
    }
}

/// Refuses the requests of an address that asks too often, and tells every client where it stands, with the header
/// fields of the IETF draft `ratelimit-headers`.
pub(super) async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    let is_limited = request.uri().path().starts_with(LIMITED);
    let Some(active) = limits.0.filter(|_| is_limited) else { return next.run(request).await };
    // Without an address, as in a router that is not served, there is nobody to tell apart.
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
    let address = address.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    let (mut response, remaining, seconds) = match active.limiter.check_key(&address) {
        Ok(state) => {
            let remaining = state.remaining_burst_capacity();
            let spent = state.quota().burst_size().get().saturating_sub(remaining);
            (next.run(request).await, remaining, spent.div_ceil(active.per_second.get()))
        }
        Err(not_until) => {
            let wait = not_until.wait_time_from(active.clock.now());
            let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
            let detail = format!("more than {} requests a second from this address", active.per_second);
            let mut refusal = Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).into_response();
            refusal.headers_mut().insert(axum::http::header::RETRY_AFTER, HeaderValue::from(seconds));
            (refusal, 0, seconds)
        }
    };
    if active.limiter.len() > ADDRESSES_MAX {
        active.limiter.retain_recent();
    }
    let standing = HeaderValue::try_from(format!(r#""address";r={remaining};t={seconds}"#));
    response.headers_mut().insert(POLICY, active.policy.clone());
    response.headers_mut().insert(LIMIT, standing.expect("digits and punctuation are a header value"));
    response
}
