//! Who is listened to, and for how long: any program of this computer can connect, let in or not, and must not use up
//! what the service needs for its work.

use axum::serve::Listener;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time. A browser has six to a page, and few people sit at one computer.
const MOST: usize = 128;
/// A browser that connects has asked by then.
const FIRST: Duration = Duration::from_secs(10);
/// One that was let in may wait for an answer, or ask again, for so long: a large synchronization that a person agreed to
/// takes minutes. A page that listens for news is told something more often.
const NEXT: Duration = Duration::from_secs(15 * 60);

/// Takes so many connections at a time; the others wait.
#[derive(Debug)]
pub(super) struct Few {
    listener: TcpListener,
    room: Arc<Semaphore>,
    first: Duration,
}

impl Few {
    pub(super) fn new(listener: TcpListener) -> Few {
        Few { listener, room: Arc::new(Semaphore::new(MOST)), first: FIRST }
    }
}

impl Listener for Few {
    type Io = Guest;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guest, SocketAddr) {
        loop {
            // It is never closed.
            let Ok(place) = self.room.clone().acquire_owned().await else { continue };
            match self.listener.accept().await {
                Ok((stream, from)) => return (Guest { stream, until: Box::pin(sleep(self.first)), _place: place }, from),
                // Out of descriptors, say: later there may be some again.
                Err(_) => sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends when nothing was said on it for too long.
#[derive(Debug)]
pub(super) struct Guest {
    stream: TcpStream,
    until: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl AsyncRead for Guest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            return Poll::Ready(done);
        }
        ready!(self.until.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Guest {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        // Only what it was told counts: who asks a letter at a time has not asked.
        self.until.as_mut().reset(Instant::now() + NEXT);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn who_never_ends_a_question_makes_room_for_who_asks() {
        let few = Few { first: Duration::from_millis(300), ..Few::new(TcpListener::bind("127.0.0.1:0").await.unwrap()) };
        let at = few.local_addr().unwrap();
        tokio::spawn(axum::serve(few, Router::new().route("/", get(async || "here"))).into_future());
        let mut slow = Vec::new();
        for _ in 0..MOST + 20 {
            let mut s = TcpStream::connect(at).await.unwrap();
            s.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.unwrap();
            slow.push(s);
        }
        let mut s = TcpStream::connect(at).await.unwrap();
        s.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut said = String::new();
        tokio::time::timeout(Duration::from_secs(30), s.read_to_string(&mut said)).await.expect("there is room again").unwrap();
        assert!(said.ends_with("here"), "{said}");
        drop(slow);
    }
}
