//! From milliseconds to places in a picture: [`Axis`].

/// A stretch of time, and where it is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Milliseconds.
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Units of the picture.
    pub(crate) left: f64,
    pub(crate) width: f64,
}

/// Not more ticks than this have room for their names.
const TICKS: f64 = 9.0;

impl Axis {
    pub(crate) fn x(&self, ms: f64) -> f64 {
        let part = (ms - self.from) / (self.to - self.from);
        self.left + self.width * part.clamp(0.0, 1.0)
    }

    /// How long a unit of the picture is.
    pub(crate) fn unit(&self) -> f64 {
        (self.to - self.from) / self.width
    }

    /// Round times, equally far from each other, with zero among them.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        let least = (self.to - self.from) / TICKS;
        let power = 10f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or(least);
        let (first, last) = ((self.from / step).ceil() as i64, (self.to / step).floor() as i64);
        (first..=last).map(|number| number as f64 * step).collect()
    }

    /// A time as ticks name it: in seconds where there are several of them.
    pub(crate) fn name(&self, ms: f64) -> String {
        match self.to - self.from {
            length if length > 3000.0 => format!("{} s", ms / 1000.0),
            _ => format!("{ms} ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIS: Axis = Axis { from: -2000.0, to: 1500.0, left: 100.0, width: 700.0 };

    #[test]
    fn times_are_placed_and_stay_inside() {
        let places = [-2000.0, 0.0, 1500.0, -3000.0, 9000.0].map(|ms| AXIS.x(ms));
        assert_eq!(places, [100.0, 500.0, 800.0, 100.0, 800.0]);
        assert_eq!(AXIS.unit(), 5.0);
    }

    #[test]
    fn ticks_are_round_and_have_room() {
        let ticks = AXIS.ticks();
        assert_eq!(ticks, [-2000.0, -1500.0, -1000.0, -500.0, 0.0, 500.0, 1000.0, 1500.0]);
        for length in [7.0, 90.0, 1234.0, 55_000.0] {
            let axis = Axis { from: -length / 3.0, to: length, ..AXIS };
            let ticks = axis.ticks();
            assert!((3..=13).contains(&ticks.len()), "{length}: {ticks:?}");
            assert!(ticks.contains(&0.0), "{length}: {ticks:?}");
        }
        let names = |axis: Axis| [-2000.0, 0.0, 500.0].map(|ms| axis.name(ms));
        assert_eq!(names(AXIS), ["-2 s", "0 s", "0.5 s"]);
        assert_eq!(names(Axis { to: 900.0, ..AXIS }), ["-2000 ms", "0 ms", "500 ms"]);
    }
}
