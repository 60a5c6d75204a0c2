//! Which node of a call graph is the cause, from how odd each is, since when, and who calls whom.
//!
//! A caller waits for what it calls, so oddness travels from the called to the caller and blame the other way.
//! Each odd node starts with its own oddness as blame, keeps the part that is its own and hands the rest to the odd
//! nodes that it calls, in proportion to theirs (as the random walk of MonitorRank, Kim et al., SIGMETRICS 2013,
//! does). What is odd later than its caller explains it but half. In the end the cause has gathered the most.

/// What is known of a node. Rows are those of the incident.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub name: String,
    /// Of each row.
    pub surprises: Vec<f64>,
    /// The nodes that it calls.
    pub calls: Vec<usize>,
}

/// A node that rose by less is no part of the incident. Not more, since two days of a constant (590 rows, as an
/// availability of 100 %) support no surprise above 2.8, however far a value falls.
const ODD: f64 = 2.0;
/// Blame that came later is worth this.
const LATE: f64 = 0.5;
/// Steps down the graph; what still goes in circles after them counts where it is.
const STEPS: usize = 32;

/// The nodes from the likeliest cause on.
pub fn rank(nodes: &[Node]) -> Vec<usize> {
    let oddness: Vec<f64> = nodes.iter().map(oddness).collect();
    let blame = blame(nodes, &oddness);
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    let key = |node: usize| (blame[node], oddness[node], nodes[node].calls.len());
    // Of equals, one that calls others is a service that reports of itself; a leaf may be another's view of it.
    order.sort_by(|&a, &b| {
        let (a, b) = (key(a), key(b));
        b.0.total_cmp(&a.0).then(b.2.cmp(&a.2)).then(b.1.total_cmp(&a.1))
    });
    order
}

/// How much odder a node became; what was odd from the first row on is older than the incident.
fn oddness(node: &Node) -> f64 {
    let before = node.surprises.first().copied().unwrap_or(0.0);
    let rise = node.surprises.iter().fold(0.0, |most: f64, s| most.max(*s)) - before;
    if rise >= ODD { rise } else { 0.0 }
}

fn onset(node: &Node) -> usize {
    node.surprises.iter().position(|s| *s >= ODD).unwrap_or(node.surprises.len())
}

fn blame(nodes: &[Node], oddness: &[f64]) -> Vec<f64> {
    let shares: Vec<Vec<(usize, f64)>> = (0..nodes.len())
        .map(|caller| {
            let odd = nodes[caller].calls.iter().filter(|&&called| called != caller && oddness[called] > 0.0);
            let weight = |called: usize| {
                let late = onset(&nodes[called]) > onset(&nodes[caller]);
                oddness[called] * if late { LATE } else { 1.0 }
            };
            let weights: Vec<(usize, f64)> = odd.map(|&called| (called, weight(called))).collect();
            let whole = oddness[caller] + weights.iter().map(|(_, weight)| weight).sum::<f64>();
            weights.into_iter().map(|(called, weight)| (called, weight / whole)).collect()
        })
        .collect();
    let mut kept = vec![0.0; nodes.len()];
    let mut moving = oddness.to_vec();
    for _ in 0..STEPS {
        let mut next = vec![0.0; nodes.len()];
        for (node, arrived) in moving.iter().enumerate() {
            let handed: f64 = shares[node].iter().map(|(_, share)| share).sum();
            kept[node] += arrived * (1.0 - handed);
            for (called, share) in &shares[node] {
                next[*called] += arrived * share;
            }
        }
        moving = next;
    }
    kept.iter().zip(&moving).map(|(kept, moving)| kept + moving).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes named by letters: surprises by row, and whom each calls.
    fn check(nodes: &[(&str, &[f64], &str)], want: &str) {
        let place = |name: &str| nodes.iter().position(|(other, _, _)| *other == name).unwrap();
        let of = |&(name, surprises, calls): &(&str, &[f64], &str)| Node {
            name: name.into(),
            surprises: surprises.to_vec(),
            calls: calls.split_terminator("").filter(|c| !c.is_empty()).map(place).collect(),
        };
        let nodes: Vec<Node> = nodes.iter().map(of).collect();
        let order: String = rank(&nodes).into_iter().map(|node| nodes[node].name.as_str()).collect();
        assert!(order.starts_with(want), "{order}");
    }

    #[test]
    fn of_a_chain_of_odd_nodes_the_last_called_is_the_cause() {
        let odd: &[f64] = &[0.0, 0.0, 12.0];
        check(&[("a", odd, "b"), ("b", odd, "c"), ("c", &[0.0, 0.0, 9.0], "d"), ("d", &[0.0; 3], "")], "c");
    }

    #[test]
    fn what_was_odd_before_is_not_the_cause() {
        check(&[("a", &[0.0, 9.0], "b"), ("b", &[8.0, 9.0], "")], "a");
    }

    #[test]
    fn who_comes_later_explains_less() {
        let (soon, late): (&[f64], &[f64]) = (&[0.0, 9.0, 9.0], &[0.0, 0.0, 9.0]);
        check(&[("a", soon, "bc"), ("b", late, ""), ("c", soon, "")], "c");
    }

    #[test]
    fn of_equals_the_one_that_reports_of_itself_comes_first() {
        let (odd, calm): (&[f64], &[f64]) = (&[0.0, 12.0], &[0.0, 0.5]);
        check(&[("a", odd, ""), ("b", odd, "c"), ("c", calm, "")], "ba");
    }

    #[test]
    fn circles_and_calm_graphs_have_an_answer() {
        let odd: &[f64] = &[0.0, 5.0];
        check(&[("a", odd, "b"), ("b", odd, "ac"), ("c", &[0.0, 6.0], "")], "c");
        check(&[("a", &[], "a"), ("b", &[0.0], "")], "a");
    }
}
