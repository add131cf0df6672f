//! The way between a worker and its master, which a test can cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// Passes connections on to a master while it is whole.
#[derive(Debug)]
pub(crate) struct Link {
    address: String,
    whole: watch::Sender<bool>,
    refused: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Link {
    /// A whole way to this address.
    pub(crate) async fn to(master: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (whole, state) = watch::channel(true);
        let refused = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(serve(listener, master.to_owned(), state, Arc::clone(&refused)));
        Self { address, whole, refused, task }
    }

    /// What the worker is to call, `ip:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Ends every connection, and each new one as soon as it is made.
    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    /// Lets connections pass again.
    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }

    /// How many connections were ended as soon as they were made.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, master: String, whole: watch::Receiver<bool>, refused: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((worker, _)) = listener.accept().await {
        if *whole.borrow() {
            connections.spawn(pass(worker, master.clone(), whole.clone()));
        } else {
            refused.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Until either end is done, or the way is cut.
async fn pass(mut worker: TcpStream, master: String, mut whole: watch::Receiver<bool>) {
    let Ok(mut master) = TcpStream::connect(master).await else { return };
    tokio::select! {
        _ = whole.wait_for(|whole| !whole) => {}
        _ = copy_bidirectional(&mut worker, &mut master) => {}
    }
}
