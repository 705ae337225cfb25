//! The threads that do the work between reading and writing.
//!
//! They live as long as the run and each has one chunk: the memory of one task serves the next, where threads of a
//! general pool would each keep what some task has once needed.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::event::chunk::Chunk;

type Work = Box<dyn FnOnce(&mut Chunk) + Send>;

/// A fixed number of worker threads.
pub struct Workers {
    queue: Sender<Work>,
}

impl Workers {
    /// Starts `count` threads, each with a chunk for `chunk_bytes` of text. They end when this is dropped and their
    /// work is done.
    ///
    /// # Errors
    /// Where the system gives no more threads.
    pub fn start(count: usize, chunk_bytes: usize) -> Result<Workers> {
        let (queue, work) = channel::<Work>();
        let work = Arc::new(Mutex::new(work));
        for number in 0..count.max(1) {
            let work = Arc::clone(&work);
            std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || {
                    let mut chunk = Chunk::new(chunk_bytes);
                    while let Some(work) = next(&work) {
                        work(&mut chunk);
                    }
                })
                .map_err(|error| Error::failed("starting a worker thread").caused_by(error))?;
        }
        Ok(Workers { queue })
    }

    /// Runs `work` on a worker thread as soon as one is free.
    ///
    /// # Errors
    /// What `work` fails with, and where its thread died.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Chunk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (send, done) = oneshot::channel();
        let work: Work = Box::new(move |chunk| {
            // Nobody waits any more where the run was ended.
            send.send(work(chunk)).ok();
        });
        let died = || Error::failed("a worker thread died");
        self.queue.send(work).map_err(|_| died())?;
        done.await.map_err(|_| died())?
    }
}

fn next(work: &Mutex<Receiver<Work>>) -> Option<Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
