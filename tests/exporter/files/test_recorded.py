from __future__ import annotations

from exporter.files.recorded import recorded_of


def test_the_files_of_a_stage_are_those_of_no_other(tmp_path):
    for name in ("text_encoder_0001", "text_encoder_0000", "text_encoder_2_0000", "encoder_0000", "text_encoder_x"):
        (tmp_path / f"{name}.npz").touch()
    (tmp_path / "text_encoder_0002.json").touch()

    def names(stage):
        return [path.name for path in recorded_of(tmp_path, stage)]

    assert names("text_encoder") == ["text_encoder_0000.npz", "text_encoder_0001.npz"]
    assert names("text_encoder_2") == ["text_encoder_2_0000.npz"]
    assert names("encoder") == ["encoder_0000.npz"] and names("field") == []
    assert recorded_of(tmp_path / "missing", "field") == []
