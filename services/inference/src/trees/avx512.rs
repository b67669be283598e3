//! Kernels for processors with AVX-512 as of Ice Lake and Zen 4.
//!
//! The compiler does not find them by itself: it answers plain loops with gathers and shuffles. Nothing here is unsafe: a
//! function with `target_feature` can only be called where the feature is known to be there.

use std::arch::x86_64::{
    __m512, __m512i, _CMP_LE_OQ, _mm512_add_ps, _mm512_castsi512_si128, _mm512_cmp_ps_mask, _mm512_cmpgt_epu8_mask,
    _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32, _mm512_mask_add_epi8, _mm512_mask_blend_epi8,
    _mm512_mask_blend_ps, _mm512_maskz_mov_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutex2var_ps,
    _mm512_permutexvar_ps, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_test_epi32_mask,
};

use bytemuck::must_cast;

use super::bins::{BLOCK_PLANES_MAX, LANES, Planes, ROWS};
use super::complete::{CompleteTree, CompleteTrees, LEAVES, leaf_numbers};

/// Trees whose splits are decided before the first of them is followed to its leaf.
const ABREAST: usize = 32;

/// How many of sixteen thresholds are not above the value; none for NaN.
#[inline]
#[target_feature(enable = "avx512f,popcnt")]
pub(super) fn count(thresholds: &[f32; LANES], value: f32) -> usize {
    let is_reached = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(must_cast(*thresholds), _mm512_set1_ps(value));
    is_reached.count_ones() as usize
}

/// Adds all trees to the sums of a block of rows.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn add_sliced(trees: &CompleteTrees, planes: &Planes, sums: &mut [f32; ROWS]) {
    let mut vectors: [__m512; 4] = must_cast(*sums);
    match trees.depth {
        3 => trees.trees.iter().for_each(|tree| add_leaves(tree, 3, leaf_numbers!(3, tree, planes, 1), &mut vectors)),
        4 => trees.trees.iter().for_each(|tree| add_leaves(tree, 4, leaf_numbers!(4, tree, planes, 1), &mut vectors)),
        5 => trees.trees.iter().for_each(|tree| add_leaves(tree, 5, leaf_numbers!(5, tree, planes, 1), &mut vectors)),
        _ => trees.trees.iter().for_each(|tree| add_leaves(tree, 6, leaf_numbers!(6, tree, planes, 1), &mut vectors)),
    }
    *sums = must_cast(vectors);
}

/// 1 where a row goes right.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn bottom(tree: &CompleteTree, planes: &Planes, node: usize) -> __m512i {
    _mm512_maskz_mov_epi8(goes_right(tree, planes, node), _mm512_set1_epi8(1))
}

/// What the left subtree says, or the right one, whose leaves come `half` later.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn above(tree: &CompleteTree, planes: &Planes, node: usize, left: __m512i, right: __m512i, half: i8) -> __m512i {
    _mm512_mask_add_epi8(left, goes_right(tree, planes, node), right, _mm512_set1_epi8(half))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn goes_right(tree: &CompleteTree, planes: &Planes, node: usize) -> u64 {
    let plane = must_cast(planes.0[usize::from(tree.planes[node])]);
    _mm512_cmpgt_epu8_mask(plane, _mm512_set1_epi32(i32::from_ne_bytes(tree.wide_bins[node])))
}

/// Looks the leaves up in registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add_leaves(tree: &CompleteTree, depth: usize, numbers: __m512i, sums: &mut [__m512; 4]) {
    let leaves: [__m512; 4] = must_cast(tree.leaves);
    let quarters = [
        _mm512_castsi512_si128(numbers),
        _mm512_extracti32x4_epi32::<1>(numbers),
        _mm512_extracti32x4_epi32::<2>(numbers),
        _mm512_extracti32x4_epi32::<3>(numbers),
    ];
    for (quarter, sum) in quarters.into_iter().zip(sums) {
        let numbers = _mm512_cvtepu8_epi32(quarter);
        // Lookups read as many low bits of a number as they need.
        let leaf = match depth {
            3 | 4 => _mm512_permutexvar_ps(numbers, leaves[0]),
            5 => _mm512_permutex2var_ps(leaves[0], numbers, leaves[1]),
            _ => {
                let is_upper = _mm512_test_epi32_mask(numbers, _mm512_set1_epi32(32));
                let lower = _mm512_permutex2var_ps(leaves[0], numbers, leaves[1]);
                let upper = _mm512_permutex2var_ps(leaves[2], numbers, leaves[3]);
                _mm512_mask_blend_ps(is_upper, lower, upper)
            }
        };
        *sum = _mm512_add_ps(*sum, leaf);
    }
}

/// Adds all trees to the sum of one row: all splits of a tree are decided at once, its leaf follows from the answers.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
#[expect(clippy::cast_possible_truncation, reason = "a tree has at most 64 leaves")]
pub(super) fn add_row(trees: &CompleteTrees, planes: &[u8; BLOCK_PLANES_MAX], sum: &mut f32) {
    let planes: [__m512i; 4] = must_cast(*planes);
    for trees_abreast in trees.trees.chunks(ABREAST) {
        let mut answers = [0_u64; ABREAST];
        for (tree, answers) in trees_abreast.iter().zip(&mut answers) {
            let numbers = must_cast(tree.planes);
            let lower = _mm512_permutex2var_epi8(planes[0], numbers, planes[1]);
            let bytes = if trees.n_planes <= BLOCK_PLANES_MAX / 2 {
                lower
            } else {
                let upper = _mm512_permutex2var_epi8(planes[2], numbers, planes[3]);
                _mm512_mask_blend_epi8(_mm512_movepi8_mask(numbers), lower, upper)
            };
            *answers = _mm512_cmpgt_epu8_mask(bytes, must_cast(tree.bins));
        }
        let mut nodes = [1_u64; ABREAST];
        for _ in 0..trees.depth {
            for (node, answers) in nodes.iter_mut().zip(answers) {
                *node = 2 * *node + ((answers >> (*node % 64)) & 1);
            }
        }
        for (tree, node) in trees_abreast.iter().zip(nodes) {
            *sum += tree.leaves[(node - (1 << trees.depth)) as usize % LEAVES];
        }
    }
}
