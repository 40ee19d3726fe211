//! The table, and the same as JSON: [`Report`].

use std::{
    fmt::{self, Write},
    time::Duration,
};

use crate::harness::{Case, Part, Sample, Side};

/// Under what conditions was measured.
pub struct Conditions {
    /// Processors that this process may use; the servers run on them, too.
    pub cores: usize,
    /// Whether server and client share one of them.
    pub together: bool,
    /// The version of the server.
    pub server: String,
    /// Samples of each side.
    pub rounds: usize,
    /// How long each sample took.
    pub slice: Duration,
}

/// What came out.
pub struct Report {
    conditions: Conditions,
    rows: Vec<Row>,
}

/// One side of one case. Times are nanoseconds of one operation.
struct Row {
    case: &'static str,
    side: &'static str,
    wall: Option<Spread>,
    cpu: Option<Spread>,
    wall_to_library: Option<Spread>,
    wall_to_bare: Option<Spread>,
    cpu_to_library: Option<Spread>,
    cpu_to_bare: Option<Spread>,
}

/// The median over the rounds, and the quartiles.
#[derive(Clone, Copy)]
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

impl Spread {
    /// `None` when a value is missing, or all are.
    fn of(values: impl Iterator<Item = Option<f64>>) -> Option<Spread> {
        let mut values: Vec<f64> = values.collect::<Option<_>>()?;
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |share: f64| {
            let place = share * last as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Some(Spread { low: at(0.25), median: at(0.5), high: at(0.75) })
    }
}

impl Report {
    /// The medians of these cases.
    pub fn new(conditions: Conditions, cases: &[Case]) -> Report {
        let rows = cases.iter().flat_map(|case| case.sides.iter().map(|side| row(case, side)));
        Report { conditions, rows: rows.collect() }
    }

    /// As one line of JSON: the conditions, and `rows` with `[first quartile, median, third
    /// quartile]` of every time in nanoseconds and of every ratio; `null` where there is none.
    pub fn json(&self) -> String {
        let Conditions { cores, together, server, rounds, slice } = &self.conditions;
        let mut json = format!(
            r#"{{"cores":{cores},"one_core":{together},"server":"{server}","rounds":{rounds},"slice_ms":{},"rows":["#,
            slice.as_millis()
        );
        for (n, row) in self.rows.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let _ = write!(json, r#"{comma}{{"case":"{}","side":"{}""#, row.case, row.side);
            for (name, spread) in [
                ("wall_ns", row.wall),
                ("cpu_ns", row.cpu),
                ("wall_to_library", row.wall_to_library),
                ("wall_to_bare", row.wall_to_bare),
                ("cpu_to_library", row.cpu_to_library),
                ("cpu_to_bare", row.cpu_to_bare),
            ] {
                let _ = match spread {
                    Some(Spread { low, median, high }) => {
                        write!(json, r#","{name}":[{low:.4},{median:.4},{high:.4}]"#)
                    }
                    None => write!(json, r#","{name}":null"#),
                };
            }
            json.push('}');
        }
        json.push_str("]}");
        json
    }
}

fn row(case: &Case, side: &Side) -> Row {
    let wall = |sample: &Sample| Some(sample.wall);
    let cpu = |sample: &Sample| sample.cpu;
    Row {
        case: case.name,
        side: side.name,
        wall: Spread::of(side.samples.iter().map(wall)),
        cpu: Spread::of(side.samples.iter().map(cpu)),
        wall_to_library: ratio(case, side, Part::Library, wall),
        wall_to_bare: ratio(case, side, Part::Bare, wall),
        cpu_to_library: ratio(case, side, Part::Library, cpu),
        cpu_to_bare: ratio(case, side, Part::Bare, cpu),
    }
}

/// The ratios, round by round, of this side to the one that plays `part`; none to itself.
fn ratio(
    case: &Case,
    side: &Side,
    part: Part,
    value: impl Fn(&Sample) -> Option<f64>,
) -> Option<Spread> {
    let other = case.sides.iter().find(|other| other.part == part && side.part != part)?;
    let rounds = side.samples.iter().zip(&other.samples);
    Spread::of(rounds.map(|(one, other)| Some(value(one)? / value(other)?)))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conditions { cores, together, server, rounds, slice } = &self.conditions;
        let place = if *together { "one core of" } else { "the same" };
        let with_cpu = self.rows.iter().any(|row| row.cpu.is_some());
        writeln!(
            f,
            "Redis {server} on {place} {cores} cores; medians of {rounds} rounds of {slice:?} for \
             each side.\n\
             wall, CPU: of one operation; CPU is that of all threads of the client's process.\n\
             /lib: relative to r2d2 or redis::Connection. /bare: relative to the bare loop.\n"
        )?;
        write!(f, "{:<28}  {:<23}  {:>9}  {:>5}  {:>5}", "", "", "wall", "/lib", "/bare")?;
        if with_cpu {
            write!(f, "  {:>9}  {:>5}  {:>5}", "CPU", "/lib", "/bare")?;
        }
        let mut case = "";
        for row in &self.rows {
            let name = if row.case == case { "" } else { row.case };
            case = row.case;
            let mut line = format!("{name:<28}  {:<23}", row.side);
            let (library, bare) = (times(row.wall_to_library), times(row.wall_to_bare));
            let _ = write!(line, "  {:>9}  {library:>5}  {bare:>5}", time(row.wall));
            if with_cpu {
                let (library, bare) = (times(row.cpu_to_library), times(row.cpu_to_bare));
                let _ = write!(line, "  {:>9}  {library:>5}  {bare:>5}", time(row.cpu));
            }
            write!(f, "\n{}", line.trim_end())?;
        }
        writeln!(f)
    }
}

/// A time in the unit that suits it.
fn time(nanos: Option<Spread>) -> String {
    match nanos {
        None => String::new(),
        Some(Spread { median, .. }) if median < 1000.0 => format!("{median:.0} ns"),
        Some(Spread { median, .. }) => format!("{:.1} µs", median / 1000.0),
    }
}

fn times(ratio: Option<Spread>) -> String {
    ratio.map_or_else(String::new, |ratio| format!("{:.2}", ratio.median))
}
