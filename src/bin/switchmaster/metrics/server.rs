//! The HTTP server for one page: [`start`].

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::failure::Failure;

/// So many are served at a time; others are told to come again.
const CLIENTS: usize = 16;
/// The longest request.
const REQUEST: usize = 8 * 1024;
/// How long a client may take to send its request, and to take the reply.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error of the listener itself, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the page at `/metrics` from now on, and says where.
pub(super) fn start(
    address: SocketAddr,
    page: impl Fn() -> String + Send + Sync + 'static,
) -> Result<SocketAddr, Failure> {
    let fault = |error: io::Error| {
        Failure::new(format!("--listen {address}: {error}; choose another address or port"))
    };
    let listener = TcpListener::bind(address).map_err(fault)?;
    let bound = listener.local_addr().map_err(fault)?;
    thread::Builder::new()
        .name("http".to_owned())
        .spawn(move || accept(&listener, &Arc::new(page)))
        .map_err(|error| Failure::new(format!("cannot start a thread: {error}")))?;
    Ok(bound)
}

fn accept<P: Fn() -> String + Send + Sync + 'static>(listener: &TcpListener, page: &Arc<P>) {
    let clients = Arc::new(AtomicUsize::new(0));
    loop {
        let Ok((client, _)) = listener.accept() else {
            thread::sleep(PAUSE);
            continue;
        };
        let place = Place::take(&clients);
        if place.0.load(Ordering::SeqCst) > CLIENTS {
            // So small that it fits into what the kernel keeps for it.
            let _ = client.set_nonblocking(true);
            let _ = answer(&client, "503 Service Unavailable", "too many clients\n", true);
            continue;
        }
        let page = page.clone();
        let serve = move || {
            // A client that is gone, or too slow, needs no answer.
            let _ = serve(&client, &*page);
            drop(place);
        };
        // Where there is no thread to be had, the client sees its connection end.
        let _ = thread::Builder::new().name("http client".to_owned()).spawn(serve);
    }
}

/// One of the places for clients.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(clients: &Arc<AtomicUsize>) -> Place {
        clients.fetch_add(1, Ordering::SeqCst);
        Place(clients.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn serve(client: &TcpStream, page: &dyn Fn() -> String) -> io::Result<()> {
    client.set_write_timeout(Some(PATIENCE))?;
    let request = match request(client)? {
        Some(request) => request,
        None => return answer(client, "431 Request Header Fields Too Large", "too long\n", true),
    };
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = path.split('?').next().unwrap_or("");
    let version = words.next().unwrap_or("");
    match (method, path) {
        _ if !version.starts_with("HTTP/1.") => answer(client, "400 Bad Request", "what?\n", true),
        ("GET" | "HEAD", "/metrics") => answer(client, "200 OK", &page(), method == "GET"),
        ("GET" | "HEAD", _) => {
            answer(client, "404 Not Found", "there is only /metrics\n", method == "GET")
        }
        _ => answer(client, "405 Method Not Allowed", "only GET and HEAD\n", true),
    }
}

/// The first line of a request, when all of its head has come; `None` when it is too long.
fn request(mut client: &TcpStream) -> io::Result<Option<String>> {
    let deadline = Instant::now() + PATIENCE;
    let (mut head, mut part) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > REQUEST {
            return Ok(None);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        client.set_read_timeout(Some(left))?;
        match client.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => head.extend_from_slice(&part[..count]),
        }
    }
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(line).into_owned()))
}

fn answer(mut client: &TcpStream, status: &str, body: &str, with_body: bool) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    if with_body {
        client.write_all(body.as_bytes())?;
    }
    Ok(())
}
