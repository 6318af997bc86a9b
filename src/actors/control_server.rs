//! The control server: HTTP over the Unix socket. Who is at the other end is the kernel's word.

use super::routes::{MOST_BYTES, Peer, Room, routes};
use actix_web::{App, HttpServer, dev::Server, rt::net::UnixStream, web};
use std::{any::Any, io, os::unix::net::UnixListener, time::Duration};

pub use super::routes::{Room as ControlRoom, Stop};

/// Clients that send nothing are let go after this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Simultaneous connections; more wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// A server on a bound listener. Nothing is served before it is awaited.
///
/// # Errors
/// Those of taking the listener over.
pub fn serve(listener: UnixListener, room: web::Data<Room>) -> io::Result<Server> {
    listener.set_nonblocking(true)?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(room.clone())
            .app_data(web::PayloadConfig::new(MOST_BYTES))
            .configure(routes)
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(PATIENCE)
    .shutdown_timeout(2)
    .disable_signals()
    .on_connect(|connection: &dyn Any, extensions| {
        if let Some(stream) = connection.downcast_ref::<UnixStream>() {
            let uid = stream.peer_cred().ok().map(|peer| peer.uid());
            extensions.insert(Peer { uid });
        }
    })
    .listen_uds(listener)?;
    Ok(server.run())
}
