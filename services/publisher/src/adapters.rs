pub(crate) mod bus;
mod handshake;
pub(crate) mod http;
mod observed;
mod page;
mod problem;
mod websocket;
