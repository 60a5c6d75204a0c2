//! The directions in which a group of signals usually moves, and what a row looks like from there.
//!
//! Fitting is orthogonal iteration on the rows themselves (Bauer 1957), in f64 and a fixed order of sums, so
//! that a refit gives the same bits on every machine; linfa's principal components are its oracle. A tick only
//! applies the result.
//! Cost of a fit: 32 flops a value and round; 256 rows of 40 signals take 2 ms.

use std::collections::VecDeque;

use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// Directions kept at most: a host has load, memory, traffic, queue, and not much besides.
const COMPONENTS_MAX: usize = 8;
/// By then what stands out of chance has separated from the rest.
const ROUNDS: usize = 16;
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
        let centred = |row: &Vec<f32>| -> Vec<f64> {
            columns.iter().map(|&c| value(row, c).map_or(0.0, |z| f64::from(z - mean[c]))).collect()
        };
        let table: Vec<Vec<f64>> = rows.iter().map(centred).collect();
        let components = principal(&table, columns.len())
            .into_iter()
            .map(|(direction, variance)| {
                let mut weights = vec![0.0; taken.len()];
                for (&column, weight) in columns.iter().zip(direction) {
                    weights[column] = weight as f32;
                }
                Component { weights, variance: variance as f32 }
            })
            .collect();
        let mut model = Subspace { components, covered, mean, unexplained: Vec::new() };
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

/// One number for each component of a column.
type Bundle = [f64; COMPONENTS_MAX];

/// Directions and variances of a centred table that stand out of what chance would give (Marchenko and Pastur
/// 1967), the largest variance first.
fn principal(table: &[Vec<f64>], width: usize) -> Vec<(Vec<f64>, f64)> {
    let (rows, columns) = (table.len() as f64, width as f64);
    let total = table.iter().flatten().map(|x| x * x).sum::<f64>() / rows;
    let chance = total / columns * (1.0 + (columns / rows).sqrt()).powi(2);
    let mut bundle: Vec<Bundle> = (0..width).map(|j| std::array::from_fn(|k| start(j, k))).collect();
    let mut variances = [0.0; COMPONENTS_MAX];
    for _ in 0..ROUNDS {
        orthonormalise(&mut bundle);
        let product = covariance_times(table, &bundle);
        variances = std::array::from_fn(|k| {
            bundle.iter().zip(&product).map(|(b, p)| b[k] * p[k]).sum::<f64>() / rows
        });
        bundle = product;
    }
    orthonormalise(&mut bundle);
    (0..COMPONENTS_MAX.min(width - 1))
        .filter(|&k| variances[k] > chance)
        .map(|k| (bundle.iter().map(|b| b[k]).collect(), variances[k]))
        .collect()
}

/// Any directions will do to start from, but always the same: +1 or -1 by a mix of bits.
fn start(column: usize, component: usize) -> f64 {
    let mixed = ((column * COMPONENTS_MAX + component + 1) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    if mixed >> 40 & 1 == 1 { 1.0 } else { -1.0 }
}

/// Rows taken together, so that their sums, each a chain of its own, run side by side.
const ROWS_ABREAST: usize = 4;

/// X'X times each component. Whatever the number of rows abreast, sums run in the order of columns and of rows.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2"))]
fn covariance_times(table: &[Vec<f64>], bundle: &[Bundle]) -> Vec<Bundle> {
    let mut product = vec![[0.0; COMPONENTS_MAX]; bundle.len()];
    let (abreast, rest) = table.as_chunks::<ROWS_ABREAST>();
    for rows in abreast {
        add_rows(rows.each_ref().map(Vec::as_slice), bundle, &mut product);
    }
    for row in rest {
        add_rows([row], bundle, &mut product);
    }
    product
}

/// Adds to `product` each row times its positions along the components. Rows are as long as `bundle`.
#[inline(always)]
fn add_rows<const ROWS: usize>(rows: [&[f64]; ROWS], bundle: &[Bundle], product: &mut [Bundle]) {
    let rows = rows.map(|row| &row[..bundle.len()]);
    let mut along = [[0.0; COMPONENTS_MAX]; ROWS];
    for (column, weights) in bundle.iter().enumerate() {
        for r in 0..ROWS {
            for k in 0..COMPONENTS_MAX {
                along[r][k] += rows[r][column] * weights[k];
            }
        }
    }
    for (column, sums) in product[..bundle.len()].iter_mut().enumerate() {
        for r in 0..ROWS {
            for k in 0..COMPONENTS_MAX {
                sums[k] += rows[r][column] * along[r][k];
            }
        }
    }
}

/// Gram and Schmidt, in the order of components; one that is nothing but the earlier ones becomes zero.
fn orthonormalise(bundle: &mut [Bundle]) {
    for k in 0..COMPONENTS_MAX {
        let before = bundle.iter().map(|b| b[k] * b[k]).sum::<f64>();
        for earlier in 0..k {
            let shared = bundle.iter().map(|b| b[k] * b[earlier]).sum::<f64>();
            for b in bundle.iter_mut() {
                b[k] -= shared * b[earlier];
            }
        }
        let left = bundle.iter().map(|b| b[k] * b[k]).sum::<f64>();
        let scale = if left > 1e-18 * before { 1.0 / left.sqrt() } else { 0.0 };
        for b in bundle.iter_mut() {
            b[k] *= scale;
        }
    }
}

impl View {
    /// Of each column's deviation, the share that the others do not explain, as a ratio of squares in usual deviations,
    /// 0..=1.
    pub fn own(&self, shares: &mut Vec<f32>) {
        shares.clear();
        let share = |(left, moved): (&f32, &f32)| {
            let whole = moved * moved;
            if whole > 0.0 { (left * left / whole).min(1.0) } else { 1.0 }
        };
        shares.extend(self.residual.iter().zip(&self.moved).map(share));
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::Dataset;
    use linfa::traits::Fit;
    use linfa_reduction::Pca;
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    /// Rows of columns that share `loads` hidden ones, of falling weight.
    fn table(rows: usize, width: usize, loads: usize) -> Vec<Vec<f64>> {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(11);
        let mut table: Vec<Vec<f64>> = (0..rows)
            .map(|_| {
                let load: Vec<f64> = (0..loads).map(|_| rng.sample(StandardNormal)).collect();
                let own = |rng: &mut rand_pcg::Pcg64| -> f64 { 0.3 * rng.sample::<f64, _>(StandardNormal) };
                (0..width)
                    .map(|j| load[j % loads] * (1.0 - 0.15 * (j % loads) as f64) + own(&mut rng))
                    .collect()
            })
            .collect();
        for j in 0..width {
            let mean = table.iter().map(|row| row[j]).sum::<f64>() / rows as f64;
            table.iter_mut().for_each(|row| row[j] -= mean);
        }
        table
    }

    #[test]
    fn equals_its_oracle() {
        for (width, loads) in [(2, 1), (5, 1), (12, 3), (40, 4)] {
            let table = table(256, width, loads);
            let got = principal(&table, width);
            assert_eq!(got.len(), loads, "{width} columns");
            let flat = Array2::from_shape_fn((256, width), |(i, j)| table[i][j]);
            let want = Pca::params(loads).fit(&Dataset::from(flat)).unwrap();
            for (k, (direction, variance)) in got.iter().enumerate() {
                let sigma = want.singular_values()[k];
                assert!(
                    (variance / (sigma * sigma / 256.0) - 1.0).abs() < 5e-3,
                    "{width} columns, {k}: {variance} {}",
                    sigma * sigma / 256.0
                );
                let cosine: f64 = direction.iter().zip(want.components().row(k)).map(|(a, b)| a * b).sum();
                assert!(cosine.abs() > 0.99, "{width} columns, {k}: {cosine}");
            }
        }
    }

    #[test]
    fn rows_abreast_change_no_bit() {
        let table = table(67, 23, 3);
        let bundle: Vec<Bundle> =
            (0..23).map(|j| std::array::from_fn(|k| 1.0 / (j + 3 * k + 1) as f64)).collect();
        let mut want = vec![[0.0; COMPONENTS_MAX]; 23];
        for row in &table {
            for k in 0..COMPONENTS_MAX {
                let along: f64 =
                    row.iter().zip(&bundle).fold(0.0, |along, (x, weights)| along + x * weights[k]);
                row.iter().zip(&mut want).for_each(|(x, sums)| sums[k] += x * along);
            }
        }
        assert_eq!(covariance_times(&table, &bundle), want);
    }

    #[test]
    fn noise_and_constants_have_no_direction() {
        let mut rng = rand_pcg::Pcg64::seed_from_u64(12);
        let noise: Vec<Vec<f64>> =
            (0..256).map(|_| (0..20).map(|_| rng.sample(StandardNormal)).collect()).collect();
        assert!(principal(&noise, 20).len() <= 1);
        assert!(principal(&vec![vec![0.0; 20]; 256], 20).is_empty());
    }
}
