"""The example with three broken layers and the mended ones."""

import pytest

from tfk_patterns.parity import check_layer

EXPECTED = {"WarmUp": "python_state", "SequenceMean": "padding_content", "Clip": "config"}


def test_each_broken_layer_fails_one_check_and_no_mended_one_fails(example):
    reports = [check_layer(case, checks="fast", on_fail="report") for case in example.BROKEN]
    found = {report.case: [failure.check for failure in report.failures] for report in reports}
    assert found == {name: [check] for name, check in EXPECTED.items()}
    assert all(check_layer(case, checks="fast") for case in example.MENDED)


@pytest.mark.slow
def test_it_prints_reports_fixes_and_clean_reports(example, capsys):
    reports = example.main()
    assert [report.passed for report in reports["broken"]] == [False] * 3
    assert all(reports["mended"])
    printed = capsys.readouterr().out
    assert "WarmUp fails python_state" in printed
    assert "class MendedWarmUp" in printed
