pub(crate) mod bus;
pub(crate) mod http;
mod page;
mod problem;
mod websocket;
