//! A line through points that a few outliers don't bend: the median of all slopes (Theil 1950, Sen 1968).
//!
//! Up to 29 % of the points may lie anywhere. Cost: n²/2 slopes; callers keep n at 32 or below.

/// `y = y_mid + slope · (x - x_mid)`, and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub x_mid: f64,
    pub y_mid: f64,
    /// Standard deviation of the points about the line, outliers apart.
    pub scatter: f64,
    pub points: usize,
    /// Sum of squares of x about its mean.
    pub x_squares: f64,
}

impl Line {
    /// `None` below four points, or where all share one x.
    pub fn through(points: &[(f64, f64)]) -> Option<Line> {
        if points.len() < 4 {
            return None;
        }
        let mut slopes = Vec::with_capacity(points.len() * (points.len() - 1) / 2);
        for (i, a) in points.iter().enumerate() {
            for b in &points[i + 1..] {
                if a.0 != b.0 {
                    slopes.push((b.1 - a.1) / (b.0 - a.0));
                }
            }
        }
        if slopes.is_empty() {
            return None;
        }
        let slope = median(&mut slopes);
        let n = points.len() as f64;
        let x_mid = points.iter().map(|p| p.0).sum::<f64>() / n;
        let mut levels: Vec<f64> = points.iter().map(|p| p.1 - slope * (p.0 - x_mid)).collect();
        let y_mid = median(&mut levels);
        for level in &mut levels {
            *level = (*level - y_mid).abs();
        }
        // 1.4826 makes the median deviation of normal noise its standard deviation; a miss beyond five of
        // those is an outlier and counts as five. The fit took two degrees of freedom.
        let most = 5.0 * 1.4826 * median(&mut levels);
        let squares: f64 = levels.iter().map(|miss| miss.min(most) * miss.min(most)).sum();
        let scatter = (squares / (n - 2.0)).sqrt();
        let x_squares = points.iter().map(|p| (p.0 - x_mid) * (p.0 - x_mid)).sum();
        Some(Line { slope, x_mid, y_mid, scatter, points: points.len(), x_squares })
    }

    pub fn at(&self, x: f64) -> f64 {
        self.y_mid + self.slope * (x - self.x_mid)
    }

    /// Whether the slope stands out of the scatter: one line of noise in a thousand would.
    pub fn is_trend(&self) -> bool {
        let t = T_999[self.freedom() - 1];
        self.slope * self.slope * self.x_squares > t * t * self.scatter * self.scatter
    }

    /// Whether `older` points, as a whole, lie where the line was before its own: their median miss is
    /// within the standard error twice, or within a fiftieth of the line's height.
    pub fn continues(&self, older: &[(f64, f64)]) -> bool {
        // Two standard errors, more where few points tell the scatter.
        let errors = T_999[self.freedom() - 1] / 1.6;
        let n = older.len() as f64;
        let x_mean = older.iter().map(|p| p.0).sum::<f64>() / n;
        let away = x_mean - self.x_mid;
        let variance = 1.0 / n + 1.0 / self.points as f64 + away * away / self.x_squares;
        let mut misses: Vec<f64> = older.iter().map(|p| p.1 - self.at(p.0)).collect();
        let height = (self.slope * away).abs();
        !misses.is_empty()
            && median(&mut misses).abs() <= errors * self.scatter * variance.sqrt() + 0.02 * height
    }

    fn freedom(&self) -> usize {
        (self.points - 2).min(T_999.len())
    }
}

/// The middle of `values`, the upper of two; not empty.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Quantiles of Student's t at 0.999 for 1..=30 degrees of freedom. A table, since computing them takes
/// functions that differ in the last bit from one processor to the next.
const T_999: [f64; 30] = [
    318.3088, 22.3271, 10.2145, 7.1732, 5.8934, 5.2076, 4.7853, 4.5008, 4.2968, 4.1437, 4.0247, 3.9296,
    3.8520, 3.7874, 3.7328, 3.6862, 3.6458, 3.6105, 3.5794, 3.5518, 3.5272, 3.5050, 3.4850, 3.4668, 3.4502,
    3.4350, 3.4210, 3.4082, 3.3962, 3.3852,
];

#[cfg(test)]
mod tests {
    use super::*;
    use statrs::distribution::{ContinuousCDF, StudentsT};

    #[test]
    fn the_table_is_students() {
        for freedom in 1..=30 {
            let t = StudentsT::new(0.0, 1.0, freedom as f64).unwrap();
            let want = t.inverse_cdf(0.999);
            assert!((T_999[freedom - 1] - want).abs() < 2e-4 * want, "{freedom}: {want}");
        }
    }

    #[test]
    fn a_quarter_of_outliers_bends_nothing() {
        let points: Vec<(f64, f64)> = (0..16)
            .map(|x| (f64::from(x), if x % 4 == 1 { 1e6 } else { 3.0 + 2.0 * f64::from(x) }))
            .collect();
        let line = Line::through(&points).unwrap();
        assert_eq!((line.slope, line.at(100.0)), (2.0, 203.0));
        assert!(line.is_trend());
    }

    #[test]
    fn what_was_flat_before_is_no_part_of_the_ramp() {
        let ramp: Vec<(f64, f64)> = (0..6).map(|x| (f64::from(x), f64::from(x))).collect();
        let line = Line::through(&ramp).unwrap();
        assert!(line.continues(&[(-2.0, -2.0), (-1.0, -1.0)]));
        assert!(!line.continues(&[(-2.0, 0.0), (-1.0, 0.0)]));
    }

    #[test]
    fn too_few_points_make_no_line() {
        assert_eq!(Line::through(&[(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]), None);
        assert_eq!(Line::through(&[(1.0, 0.0); 8]), None);
    }
}
