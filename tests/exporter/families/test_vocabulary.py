from __future__ import annotations

from pathlib import Path

import pytest

from exporter.errors import WeightsError
from exporter.families.vocabulary import CLIPS_IDS, require_clips_own

PLACE = Path("weights/tokenizer")


def clips(text):
    return [49406, *CLIPS_IDS[text], 49407]


def test_a_tokenizer_as_large_as_clips_gives_what_clips_gives():
    require_clips_own(clips, 49408, PLACE)
    with pytest.raises(WeightsError, match=r"weights/tokenizer: 'Hello World!' gets the ids .*CLIP's tokenizer.*3306"):
        require_clips_own(lambda text: [token + 1 for token in clips(text)], 49408, PLACE)


def test_a_vocabulary_of_another_size_is_another_tokenizer():
    require_clips_own(lambda text: [1, 2], 679, PLACE)
