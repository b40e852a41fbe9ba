//! A drawing with its caption, and the axes of plots.

use std::fmt::{self, Display};

use super::axis::{Axis, Tick, text_width};
use super::escape::Escaped;

/// A drawing with a caption, and with words for those who do not see it.
pub(super) struct Figure<'a, T> {
    /// Unlike any other on the page.
    pub(super) id: &'a str,
    /// What it shows.
    pub(super) name: &'a str,
    /// What its values are in; empty where the labels say so.
    pub(super) unit: &'a str,
    /// What is worth saying beside the name.
    pub(super) note: &'a str,
    /// What a reader would see.
    pub(super) description: &'a str,
    /// How wide and how high the drawing is.
    pub(super) size: (f64, f64),
    /// The drawing.
    pub(super) drawing: T,
}

impl<T: Display> Display for Figure<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name, unit, note, description, size: (width, height), drawing } = self;
        let (name, unit) = (Escaped(name), Escaped(unit));
        let (note, description) = (Escaped(note), Escaped(description));
        write!(
            f,
            "<figure>\n<figcaption><b>{name} <i>{unit}</i></b> <span>{note}</span></figcaption>\n\
             <svg viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-title {id}-desc\">\n\
             <title id=\"{id}-title\">{name}</title>\n<desc id=\"{id}-desc\">{description}</desc>\n\
             {drawing}</svg>\n</figure>\n"
        )
    }
}

/// The grid and the labels of two axes.
pub(super) struct Frame<'a> {
    /// From left to right.
    pub(super) x: &'a Axis,
    /// What stands after the last value of it.
    pub(super) x_suffix: &'a str,
    /// From the bottom upwards.
    pub(super) y: &'a Axis,
    /// What stands after the last value of it.
    pub(super) y_suffix: &'a str,
}

impl Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((left, right), (bottom, _)) = (self.x.ends(), self.y.ends());
        f.write_str("<path class=\"grid\" d=\"")?;
        for tick in &self.y.ticks {
            write!(f, "M{} {}H{}", Place(left), Place(tick.at), Place(right))?;
        }
        for tick in &self.x.ticks {
            write!(f, "M{} {}v4", Place(tick.at), Place(bottom))?;
        }
        writeln!(f, "\"/>")?;
        for (tick, label) in labelled(self.y, self.y_suffix) {
            let (x, y) = (Place(left - 6.0), Place(tick.at + 4.0));
            writeln!(f, "<text class=\"end\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(label))?;
        }
        for (tick, label) in labelled(self.x, self.x_suffix) {
            // The last label ends with the paper rather than beyond it.
            let half = text_width(&label) / 2.0;
            let (class, x) = match tick.at + half > WIDTH {
                true => ("end", WIDTH),
                false => ("middle", tick.at),
            };
            let (x, y) = (Place(x), Place(bottom + 17.0));
            writeln!(f, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>", Escaped(label))?;
        }
        Ok(())
    }
}

/// The marks of an axis; the unit stands once, at the last of them.
fn labelled<'a>(axis: &'a Axis, suffix: &str) -> impl Iterator<Item = (&'a Tick, String)> {
    let last = axis.ticks.len().saturating_sub(1);
    axis.ticks.iter().enumerate().map(move |(index, tick)| {
        let has_suffix = index == last && !suffix.is_empty();
        let suffix = if has_suffix { format!("\u{a0}{suffix}") } else { String::new() };
        (tick, format!("{}{suffix}", tick.label))
    })
}

/// A place on the paper: a tenth of a pixel is as fine as eyes and files need.
pub(super) struct Place(pub(super) f64);

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0 * 10.0).round();
        // Adding nought takes the sign off a negative nought.
        write!(f, "{}", tenths / 10.0 + 0.0)
    }
}

/// How wide plots are.
pub(super) const WIDTH: f64 = 400.0;

/// Where they begin and end between the labels, the same in all, so that they compare.
pub(super) const ACROSS: (f64, f64) = (50.0, 384.0);

/// How high they are between the labels.
pub(super) const HEIGHT: f64 = 140.0;

/// Below them: the labels of their horizontal axis.
pub(super) const FOOT: f64 = 24.0;
