"""Nearest neighbours by character n-grams: TF-IDF weights and cosine, in plain Python.

Salton and Buckley 1988, "Term-weighting approaches in automatic text retrieval": weight = (1 + log tf) * idf, vectors of
length 1, closeness = their dot product (0 to 1). Character n-grams of 2 to 4 stay within a word, padded by a space,
so that "holding" is near "hold" and word order hardly matters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

Vector = dict[str, float]


class Index:
    """The weights of a fixed set of texts."""

    def __init__(self, texts: Sequence[str]) -> None:
        grams = [n_grams(text) for text in texts]
        seen = Counter(gram for counted in grams for gram in counted)
        self._count = len(texts)
        self._idf = {gram: self._rarity(times) for gram, times in seen.items()}
        self._vectors = [self._weigh(counted) for counted in grams]

    def closeness(self, text: str) -> list[float]:
        """How near the text is to each text of the index, 0 to 1, in the index's order."""
        asked = self._weigh(n_grams(text))
        return [sum(weight * asked.get(gram, 0.0) for gram, weight in v.items()) for v in self._vectors]

    def _rarity(self, times: int) -> float:
        return math.log((1 + self._count) / (1 + times)) + 1.0

    def _weigh(self, counted: Counter[str]) -> Vector:
        unseen = self._rarity(0)
        raw = {gram: (1 + math.log(times)) * self._idf.get(gram, unseen) for gram, times in counted.items()}
        norm = math.sqrt(sum(weight * weight for weight in raw.values()))
        return {gram: weight / norm for gram, weight in raw.items()} if norm else {}


def n_grams(text: str) -> Counter[str]:
    """The character n-grams of each word, how often each occurs."""
    return Counter(gram for word in text.split() for gram in _word_grams(f" {word} "))


def _word_grams(word: str) -> Iterable[str]:
    for size in (2, 3, 4):
        for start in range(len(word) - size + 1):
            yield word[start : start + size]
