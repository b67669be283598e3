pub(crate) mod bus;
pub(crate) mod cache;
mod guard;
mod handshake;
pub(crate) mod http;
mod observed;
mod page;
mod problem;
mod websocket;
