//! The directions in which a group of signals usually moves, and what a row looks like from there.
//!
//! Fitting is linfa's principal component analysis with its fixed seed; a tick only applies the result,
//! with plain sums in the order of columns.

use std::collections::VecDeque;

use linfa::Dataset;
use linfa::traits::Fit;
use linfa_reduction::Pca;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Directions kept at most: a host has load, memory, traffic, queue, and not much besides.
const COMPONENTS_MAX: usize = 8;
/// Deviation of what a column leaves unexplained never counts as smaller: a column that rested is not a law.
const UNEXPLAINED_MIN: f32 = 0.1;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subspace {
    /// Per column, whether the model covers it.
    covered: Vec<bool>,
    mean: Vec<f32>,
    /// Usual deviation of what is left unexplained of each column.
    unexplained: Vec<f32>,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Component {
    /// Of unit length.
    weights: Vec<f32>,
    variance: f32,
}

/// One row as a model sees it.
pub struct View {
    /// What is left of each column, in its usual deviations; 0 where missing.
    residual: Vec<f32>,
    /// Each column's own deviation from its mean; 0 where missing.
    moved: Vec<f32>,
    /// Position along each component, in its usual deviations.
    scores: Vec<f32>,
    seen: usize,
}

impl Subspace {
    /// Fits the rows (NaN or short is missing and stands at its mean); `None` where there is nothing to relate.
    pub fn fit(rows: &VecDeque<Vec<f32>>, taken: &[bool]) -> Option<Self> {
        let value = |row: &Vec<f32>, column: usize| row.get(column).copied().filter(|z| !z.is_nan());
        let mut mean = vec![0.0; taken.len()];
        let mut covered = vec![false; taken.len()];
        for column in 0..taken.len() {
            let seen: Vec<f32> = rows.iter().filter_map(|row| value(row, column)).collect();
            covered[column] = taken[column] && seen.len() * 2 >= rows.len();
            mean[column] = seen.iter().sum::<f32>() / seen.len().max(1) as f32;
        }
        let columns: Vec<usize> = (0..taken.len()).filter(|&column| covered[column]).collect();
        if columns.len() < 2 {
            return None;
        }
        let table = Array2::from_shape_fn((rows.len(), columns.len()), |(row, i)| {
            f64::from(value(&rows[row], columns[i]).map_or(0.0, |z| z - mean[columns[i]]))
        });
        let mut model = Subspace {
            components: components(&table, &columns, taken.len())?,
            covered,
            mean,
            unexplained: Vec::new(),
        };
        model.unexplained = vec![1.0; taken.len()];
        let mut squares = vec![0.0; taken.len()];
        for row in rows {
            for (square, residual) in squares.iter_mut().zip(model.view(row)?.residual) {
                *square += residual * residual;
            }
        }
        let size = |square: &f32| (square / rows.len() as f32).sqrt().max(UNEXPLAINED_MIN);
        model.unexplained = squares.iter().map(size).collect();
        Some(model)
    }

    /// Looks at a row; `None` where it shows nothing that the model covers.
    pub fn view(&self, row: &[f32]) -> Option<View> {
        let width = self.covered.len();
        let known = |column: usize| self.covered[column] && row.get(column).is_some_and(|z| !z.is_nan());
        let seen = (0..width).filter(|&column| known(column)).count();
        if seen == 0 {
            return None;
        }
        let moved: Vec<f32> = (0..width)
            .map(|column| if known(column) { row[column] - self.mean[column] } else { 0.0 })
            .collect();
        let mut residual = moved.clone();
        let mut scores = Vec::with_capacity(self.components.len());
        for component in &self.components {
            let along: f32 = component.weights.iter().zip(&moved).map(|(w, x)| w * x).sum();
            for (left, weight) in residual.iter_mut().zip(&component.weights) {
                *left -= along * weight;
            }
            scores.push(along / component.variance.sqrt());
        }
        for column in 0..width {
            residual[column] = if known(column) { residual[column] / self.unexplained[column] } else { 0.0 };
        }
        Some(View { residual, moved, scores, seen })
    }

    /// The column that most usually moves with `column`.
    pub fn companion(&self, column: usize) -> Option<usize> {
        let tie = |other: usize| -> f32 {
            self.components
                .iter()
                .map(|c| c.weights[column] * c.weights[other] * c.variance)
                .sum::<f32>()
                .abs()
        };
        (0..self.covered.len())
            .filter(|&other| other != column && self.covered[other] && tie(other) > 0.0)
            .max_by(|&a, &b| tie(a).total_cmp(&tie(b)).then(b.cmp(&a)))
    }

    /// Stops looking at a column.
    pub fn forget(&mut self, column: usize) {
        if let Some(covered) = self.covered.get_mut(column) {
            *covered = false;
        }
    }
}

/// The components of a centred table that stand out of what chance would give (Marchenko and Pastur 1967).
fn components(table: &Array2<f64>, columns: &[usize], width: usize) -> Option<Vec<Component>> {
    let (rows, count) = (table.nrows() as f64, table.ncols() as f64);
    let total = table.iter().map(|x| x * x).sum::<f64>() / rows;
    if total <= 0.0 {
        return None;
    }
    let chance = total / count * (1.0 + (count / rows).sqrt()).powi(2);
    let wanted = COMPONENTS_MAX.min(columns.len() - 1);
    let fitted = Pca::params(wanted).fit(&Dataset::from(table.clone())).ok()?;
    let mut components = Vec::new();
    for (direction, sigma) in fitted.components().rows().into_iter().zip(fitted.singular_values()) {
        let variance = sigma * sigma / rows;
        if !variance.is_finite() || variance <= chance || direction.iter().any(|w| !w.is_finite()) {
            continue;
        }
        let mut weights = vec![0.0; width];
        for (&column, &weight) in columns.iter().zip(direction) {
            weights[column] = weight as f32;
        }
        components.push(Component { weights, variance: variance as f32 });
    }
    Some(components)
}

impl View {
    /// Root mean square of what is unexplained: the root of Q a column.
    pub fn unexplained(&self) -> f32 {
        (self.residual.iter().map(|r| r * r).sum::<f32>() / self.seen as f32).sqrt()
    }

    /// The largest unexplained part.
    pub fn largest(&self) -> f32 {
        self.residual.iter().fold(0.0, |largest, r| r.abs().max(largest))
    }

    /// How far out along the usual directions: the root of T2 a component.
    pub fn along(&self) -> f32 {
        (self.scores.iter().map(|s| s * s).sum::<f32>() / self.scores.len().max(1) as f32).sqrt()
    }

    /// Each column's share in Q.
    pub fn shares_unexplained(&self) -> Vec<f32> {
        shares(&self.residual)
    }

    /// Each column's share in how far the row moved.
    pub fn shares_along(&self) -> Vec<f32> {
        shares(&self.moved)
    }
}

fn shares(parts: &[f32]) -> Vec<f32> {
    let total: f32 = parts.iter().map(|p| p * p).sum();
    parts.iter().map(|p| if total > 0.0 { p * p / total } else { 0.0 }).collect()
}
