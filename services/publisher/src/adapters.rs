pub(crate) mod bus;
mod guard;
mod handshake;
pub(crate) mod http;
mod observed;
mod page;
mod problem;
mod websocket;
