from __future__ import annotations

from t3export.prompts import judged_choice


def test_what_stands_more_than_once_in_a_file_is_judged_once_and_said_so(tmp_path, capsys):
    path = tmp_path / "p.txt"
    path.write_text("a red ball\nA red ball\na blue ball\na red ball\n")
    assert judged_choice(str(path)) == path
    assert f"{path}: captions that stand there more than once are judged once: 'a red ball'" in capsys.readouterr().err
    path.write_text("A red ball\na red ball.\n")
    judged_choice(str(path))
    assert not capsys.readouterr().err
    judged_choice(str(path), clean=True)
    assert "'a red ball.'" in capsys.readouterr().err
