"""The cells that most tests of calls use."""

import pytest


@pytest.fixture(scope="module")
def lstm():
    return pytest.importorskip("derive.generated.lstm")


@pytest.fixture(scope="module")
def rnn():
    return pytest.importorskip("derive.generated.rnn")
