//! The figures that the table shows, and how a figure is written.

use rs2p_simnet::Outcome;

use super::numbers;

/// A column of the table.
pub(crate) struct Column {
    pub(crate) heading: &'static str,
    pub(crate) of: fn(&Outcome) -> Option<f64>,
    pub(crate) write: fn(f64) -> String,
}

/// In the order of the table; those that no run has are left out.
pub(crate) const COLUMNS: &[Column] = &[
    column("heard", |run| run.figure("heard"), numbers::share),
    column("p50", |run| run.figure("p50_ms"), millis),
    column("p99", |run| run.figure("p99_ms"), millis),
    column("copies", |run| run.figure("copies"), numbers::digits),
    column("hops", |run| run.figure("hops"), numbers::digits),
    column("parts", |run| run.figure("components"), numbers::short),
    column("links", |run| run.figure("links"), numbers::digits),
    column("events/s", events_per_second, numbers::short),
    column("memory/node", |run| run.speed.bytes_per_node.map(|bytes| bytes as f64), numbers::bytes),
];

const fn column(
    heading: &'static str,
    of: fn(&Outcome) -> Option<f64>,
    write: fn(f64) -> String,
) -> Column {
    Column { heading, of, write }
}

/// A figure of any name, with the unit at the name's end.
pub(crate) fn write(name: &str, figure: f64) -> String {
    match name.rsplit('_').next() {
        Some("s") => numbers::seconds(figure),
        Some("ms") => millis(figure),
        Some("bytes") => numbers::bytes(figure),
        // Three digits would hide that 0.9995 is less than 0.9999.
        _ if figure.abs() < 1.0 => format!("{}", (figure * 1e6).round() / 1e6),
        _ => numbers::short(figure),
    }
}

fn millis(figure: f64) -> String {
    numbers::seconds(figure / 1e3)
}

fn events_per_second(run: &Outcome) -> Option<f64> {
    let rate = run.speed.deliveries_per_second();
    (rate > 0.0).then_some(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_written_with_the_unit_of_its_name() {
        let texts = [
            write("one_again_s", 75.0),
            write("p99_ms", 75.0),
            write("queue_bytes", 2048.0),
            write("heard", 0.9995),
            write("links", 7.456),
        ];
        assert_eq!(texts, ["75 s", "75 ms", "2 KiB", "0.9995", "7.46"]);
    }
}
