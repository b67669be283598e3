//! The least that a fan-out over `tokio-tungstenite` costs: one loop over all sockets, no subscriptions, no protocol.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::serve::{Pace, go, update};

pub(super) async fn run(listener: TcpListener, rate: u32, tick: Duration) -> anyhow::Result<()> {
    let (sender, mut accepted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                if stream.set_nodelay(true).is_ok()
                    && let Ok(socket) = accept_async(stream).await
                {
                    let (sink, mut input) = socket.split();
                    tokio::spawn(async move { while input.next().await.is_some_and(|message| message.is_ok()) {} });
                    sender.send(sink).ok();
                }
            });
        }
    });
    go().await;
    let (mut clients, mut waiting, mut pace) = (Vec::new(), String::new(), Pace::new(rate));
    let mut flushed_at = Instant::now();
    loop {
        let n = pace.next().await;
        while let Ok(client) = accepted.try_recv() {
            clients.push(client);
        }
        waiting.push(if waiting.is_empty() { '[' } else { ',' });
        waiting.push_str(&text(n));
        if flushed_at.elapsed() < tick {
            continue;
        }
        flushed_at = Instant::now();
        waiting.push(']');
        let message = Message::Text(Utf8Bytes::from(std::mem::take(&mut waiting)));
        let mut at = 0;
        while at < clients.len() {
            match clients[at].send(message.clone()).await {
                Ok(()) => at += 1,
                Err(_) => drop(clients.swap_remove(at)),
            }
        }
    }
}

fn text(n: u32) -> String {
    let bar = update(n);
    format!(
        r#"{{"ev":"AM","sym":"{}","v":{:.1},"o":100.25,"c":{:.1},"h":108.75,"l":99.5,"s":1763596800000,"e":1763683200000,"tf":"1d","rev":{n},"final":false,"data":"synthetic"}}"#,
        bar.symbol, bar.bar.volume, bar.bar.close
    )
}
