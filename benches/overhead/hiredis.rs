//! The same through hiredis, where its headers and a C compiler are installed: [`Hiredis`].

use std::{
    cell::RefCell,
    env, fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio, id},
    rc::Rc,
    time::Duration,
};

use crate::harness::{Done, Part, Side};

/// A process that measures as it is told, so that a C library is not linked to this program.
#[derive(Clone)]
pub struct Hiredis(Rc<RefCell<Process>>);

struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Hiredis {
    /// Compiles and starts it; the reason why not, where it cannot be.
    pub fn start(server: SocketAddr) -> Result<Hiredis, String> {
        let program = compile()?;
        let mut child = Command::new(&program)
            .arg(server.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let _ = fs::remove_file(program);
        let orders = child.stdin.take().ok_or("it takes no orders")?;
        let answers = BufReader::new(child.stdout.take().ok_or("it gives no answers")?);
        let hiredis = Hiredis(Rc::new(RefCell::new(Process { child, orders, answers })));
        // A library that is missing at run time shows here.
        hiredis.measure("get", Duration::ZERO).map(|_| hiredis)
    }

    /// The process.
    pub fn process_id(&self) -> u32 {
        self.0.borrow().child.id()
    }

    /// The side of a case.
    pub fn side(&self, case: &'static str) -> Side {
        let hiredis = self.clone();
        let work = move |length| hiredis.measure(case, length).expect("hiredis goes on");
        Side::new("hiredis", Part::Other, Box::new(work))
    }

    fn measure(&self, case: &str, length: Duration) -> Result<Done, String> {
        let process = &mut *self.0.borrow_mut();
        let mut line = String::new();
        writeln!(process.orders, "{case} {}", length.as_millis())
            .and_then(|()| process.answers.read_line(&mut line))
            .map_err(|error| error.to_string())?;
        let mut numbers = line.split_whitespace().map_while(|word| word.parse().ok());
        match (numbers.next(), numbers.next()) {
            (Some(operations), Some(nanos)) => {
                Ok(Done { operations, cpu: Some(Duration::from_nanos(nanos)) })
            }
            _ => Err(format!("it answered {line:?}")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compile() -> Result<PathBuf, String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/overhead/hiredis.c");
    let program = env::temp_dir().join(format!("switchmaster-hiredis-{}", id()));
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output = Command::new(&compiler)
        .args(["-O2", "-o"])
        .args([&program, &source])
        .arg("-lhiredis")
        .output()
        .map_err(|error| format!("{compiler}: {error}"))?;
    if output.status.success() {
        return Ok(program);
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    let first =
        complaint.lines().find(|line| line.contains("error") || line.contains("cannot find"));
    Err(first.unwrap_or("it does not compile").trim().to_owned())
}
