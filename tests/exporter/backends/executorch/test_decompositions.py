from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from exporter.backends.executorch import decompositions
from exporter.backends.executorch.decompositions import attention, product, sorted_values


@pytest.mark.parametrize("case", ["plain", "causal", "boolean mask", "float mask", "scale", "cross"])
def test_attention_is_pytorchs(case):
    torch.manual_seed(0)
    query, key, value = (torch.randn(2, 3, 5, 4) for _ in range(3))
    options = {
        "plain": {},
        "causal": {"is_causal": True},
        "boolean mask": {"attn_mask": torch.ones(5, 5, dtype=torch.bool).tril()},
        "float mask": {"attn_mask": torch.randn(2, 1, 5, 5)},
        "scale": {"scale": 0.3},
        "cross": {},
    }[case]
    if case == "cross":
        key, value = torch.randn(2, 3, 7, 4), torch.randn(2, 3, 7, 6)
    expected = F.scaled_dot_product_attention(query, key, value, **options)
    torch.testing.assert_close(attention(query, key, value, **options), expected)


@pytest.mark.parametrize("rows", [5, 6, 7])
def test_large_attentions_keep_some_rows_scores_at_a_time(monkeypatch, rows):
    torch.manual_seed(0)
    query, key, value = torch.randn(2, 3, rows, 4), torch.randn(2, 3, 8, 4), torch.randn(2, 3, 8, 4)
    whole = attention(query, key, value)
    monkeypatch.setattr(decompositions, "MOST_SCORES", 3 * 8 * 2)
    sizes = []
    monkeypatch.setattr(torch, "softmax", lambda scores, dim: sizes.append(scores.shape[1:]) or scores.softmax(dim))
    torch.testing.assert_close(attention(query, key, value), whole)
    assert max(sizes) == (2, 8) and sum(size[0] for size in sizes) == rows
    sizes.clear()
    attention(query, key, value, attn_mask=torch.zeros(rows, 8))
    assert sizes == [(rows, 8)]


def test_only_products_of_equal_batches_are_taken():
    left, right = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
    torch.testing.assert_close(product(left, right), left @ right)
    assert product(left, right[0]) is NotImplemented
    assert product(left[:1], right) is NotImplemented


@pytest.mark.parametrize("descending", [False, True])
def test_all_of_topk_is_sorted(descending):
    values = torch.randn(2, 9)
    found = sorted_values(values, -1, descending)
    assert torch.equal(found[0], torch.sort(values, -1, descending).values)
