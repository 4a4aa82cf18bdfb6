"""The check of the options and the user classes when Locust starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stampede.fixtures import Locust


@pytest.mark.parametrize(("user_class", "feature"), [("TypingUser", "typing notices"), ("FileUploadUser", "uploads")])
def test_a_user_class_needs_the_features_that_it_uses(
    locust: Callable[..., Locust], user_class: str, feature: str
) -> None:
    ended = locust("--headless", "--dialect", "plain", "-u", "2", "-t", "1s", user_class).wait()
    assert ended.code == 2, ended.log
    assert ended.log.splitlines()[-1] == (
        f"locust: error: {user_class} needs {feature}, which the plain dialect does not have: choose other user classes"
    )
