//! The sliced kernel in plain loops over 64 bytes, which the compiler turns into whatever vectors its caller may use.

#![expect(clippy::inline_always, reason = "a function takes on the instructions of the caller it is part of")]

use super::bins::{Planes, ROWS};
use super::complete::{CompleteTree, CompleteTrees, LEAVES, leaf_numbers};

type Lanes = [u8; ROWS];

/// Adds all trees to the sums of a block of rows.
#[inline(always)]
pub(super) fn add_sliced(trees: &CompleteTrees, planes: &Planes, sums: &mut [f32; ROWS]) {
    // No closure for the loop: it would not take on the instructions.
    match trees.depth {
        3 => {
            for tree in &trees.trees {
                add_leaves(tree, leaf_numbers!(3, tree, planes, 1), sums);
            }
        }
        4 => {
            for tree in &trees.trees {
                add_leaves(tree, leaf_numbers!(4, tree, planes, 1), sums);
            }
        }
        5 => {
            for tree in &trees.trees {
                add_leaves(tree, leaf_numbers!(5, tree, planes, 1), sums);
            }
        }
        _ => {
            for tree in &trees.trees {
                add_leaves(tree, leaf_numbers!(6, tree, planes, 1), sums);
            }
        }
    }
}

#[inline(always)]
fn add_leaves(tree: &CompleteTree, numbers: Lanes, sums: &mut [f32; ROWS]) {
    for (sum, &number) in sums.iter_mut().zip(&numbers) {
        *sum += tree.leaves[usize::from(number) % LEAVES];
    }
}

/// 1 where a row goes right.
#[inline(always)]
fn bottom(tree: &CompleteTree, planes: &Planes, node: usize) -> Lanes {
    let plane = &planes.0[usize::from(tree.planes[node])];
    let bin = tree.bins[node];
    let mut lanes = [0; ROWS];
    for (lane, &byte) in lanes.iter_mut().zip(plane) {
        *lane = u8::from(byte > bin);
    }
    lanes
}

/// What the left subtree says, or the right one, whose leaves come `half` later.
#[inline(always)]
fn above(tree: &CompleteTree, planes: &Planes, node: usize, left: Lanes, right: Lanes, half: u8) -> Lanes {
    let plane = &planes.0[usize::from(tree.planes[node])];
    let bin = tree.bins[node];
    let mut lanes = left;
    for ((lane, &right), &byte) in lanes.iter_mut().zip(&right).zip(plane) {
        // All ones where a row goes right: a choice in masks stays a choice in vectors.
        let takes_right = u8::from(byte > bin).wrapping_neg();
        *lane = (*lane & !takes_right) | ((right + half) & takes_right);
    }
    lanes
}
