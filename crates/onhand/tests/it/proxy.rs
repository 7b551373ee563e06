//! A line between a node and its database that is cut, slow, silent, or dead when it is told to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own, and passes on to whichever server it is pointed at.
pub struct Proxy {
    pub port: u16,
    line: Arc<Line>,
}

struct Line {
    server: AtomicU16,
    delay_ms: AtomicU64,
    lose_one_in: AtomicU64,
    answers: AtomicU64,
    lost: AtomicU64,
    silent: watch::Sender<bool>,
    cuts: watch::Sender<u64>,
    burials: watch::Sender<u64>,
}

impl Proxy {
    pub async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let line = Arc::new(Line {
            server: AtomicU16::new(server),
            delay_ms: AtomicU64::new(0),
            lose_one_in: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            silent: watch::channel(false).0,
            cuts: watch::channel(0).0,
            burials: watch::channel(0).0,
        });
        let listening = line.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(listening.clone(), client));
            }
        });
        Self { port, line }
    }

    /// Where new connections lead.
    pub fn point_at(&self, server: u16) {
        self.line.server.store(server, Ordering::SeqCst);
        self.cut();
    }

    /// Ends every connection at once, whatever is on its way.
    pub fn cut(&self) {
        self.line.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Every connection that there is stands, and nothing comes through it any more, until it is cut. New ones are as ever.
    pub fn bury(&self) {
        self.line.burials.send_modify(|burials| *burials += 1);
    }

    /// Of the server's answers one in so many never comes: the connection ends in its place. None are lost with 0.
    pub fn lose_one_in(&self, answers: u64) {
        self.line.lose_one_in.store(answers, Ordering::SeqCst);
    }

    /// How many answers were lost.
    pub fn lost(&self) -> u64 {
        self.line.lost.load(Ordering::SeqCst)
    }

    /// Every piece takes so long, and twice as long now and then.
    pub fn delay(&self, milliseconds: u64) {
        self.line.delay_ms.store(milliseconds, Ordering::SeqCst);
    }

    /// Connections stand, are taken, and nothing comes through.
    pub fn silence(&self, silent: bool) {
        self.line.silent.send_replace(silent);
    }
}

async fn connection(line: Arc<Line>, mut client: TcpStream) {
    let (mut cuts, mut burials) = (line.cuts.subscribe(), line.burials.subscribe());
    let buried = *burials.borrow_and_update();
    // A server that is away lets nobody in.
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", line.server.load(Ordering::SeqCst))).await else {
        return;
    };
    // Whoever is cut off hears it at once, and what was on its way is gone.
    let _ = (client.set_zero_linger(), server.set_zero_linger());
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    tokio::select! {
        () = pass_on(&line, from_client, to_server, false) => {}
        () = pass_on(&line, from_server, to_client, true) => {}
        _ = cuts.changed() => return,
        _ = burials.changed() => {}
    }
    if line.burials.borrow().to_owned() > buried {
        let _ = cuts.changed().await;
    }
}

async fn pass_on(line: &Line, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, answers: bool) {
    let mut silent = line.silent.subscribe();
    let mut bytes = vec![0; 65_536];
    for piece in 0_u64.. {
        let Ok(read @ 1..) = from.read(&mut bytes).await else { return };
        let lose_one_in = line.lose_one_in.load(Ordering::Relaxed);
        if answers
            && lose_one_in > 0
            && line.answers.fetch_add(1, Ordering::Relaxed).is_multiple_of(lose_one_in)
        {
            line.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let delay = line.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay * (1 + piece % 2))).await;
        }
        if silent.wait_for(|silent| !silent).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
