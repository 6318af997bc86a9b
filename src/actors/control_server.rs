//! The control server: HTTP over the Unix socket. Who is at the other end is the kernel's word.

use super::{
    access::Peer,
    routes::{Room, routes},
};
use actix_web::{App, HttpServer, dev::Server, rt::net::UnixStream, web};
use std::{any::Any, io, os::unix::net::UnixListener, time::Duration};

pub use super::routes::{Room as ControlRoom, Stop};

/// Clients that send nothing are let go after this long.
const PATIENCE: Duration = Duration::from_secs(10);
/// Simultaneous connections; more wait in the kernel's queue.
const CONNECTIONS: usize = 4096;

/// A server on a bound listener. Nothing is served before it is awaited.
///
/// # Errors
/// Those of taking the listener over.
pub fn serve(listener: UnixListener, room: web::Data<Room>) -> io::Result<Server> {
    listener.set_nonblocking(true)?;
    let server = HttpServer::new(move || App::new().app_data(room.clone()).configure(routes))
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(PATIENCE)
        .shutdown_timeout(2)
        .disable_signals()
        .on_connect(|connection: &dyn Any, extensions| {
            if let Some(stream) = connection.downcast_ref::<UnixStream>() {
                // Without an entry nobody knows who it is, who then may only read.
                if let Ok(peer) = stream.peer_cred() {
                    let (uid, gid) = (peer.uid(), peer.gid());
                    extensions.insert(Peer { uid, gid });
                }
            }
        })
        .listen_uds(listener)?;
    Ok(server.run())
}
