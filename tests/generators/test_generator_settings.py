"""The settings that choose a generator: what is wrong is named, and no secret is shown."""

import pytest

from rag.config import Settings, load_settings
from rag.errors import InvalidInput


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("gpt", "generator: .*reader, lm:FOLDER or openai:URL"),
        ("reader:x", "generator: "),
        ("lm:", "generator: "),
        ("openai:", "generator: .*needs a URL"),
        ("openai:127.0.0.1:8080", "generator: .*needs a URL"),
        ("openai:ftp://x/v1", "generator: .*needs a URL"),
        ("openai:http://x:port/v1", "generator: .*malformed"),
        ("openai:http://me:hunter2@x/v1", "generator: .*generator_api_key"),
        ("openai:http://x/v1?key=hunter2", "generator: "),
    ],
)
def test_bad_generator_names_the_setting_and_no_secret(value: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        load_settings(generator=value)
    assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)


@pytest.mark.parametrize("key", ["hunter2\nX-Other: 1", "hunter2é", "hunter2\x00"])
def test_bad_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(InvalidInput, match="generator_api_key") as caught:
        load_settings(generator_api_key=key)
    assert "hunter2" not in str(caught.value) + str(caught.value.__cause__)


def test_key_is_not_shown_with_the_settings() -> None:
    settings = Settings(generator_api_key="hunter2", generator="openai:https://models.example/v1/")
    assert "hunter2" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()
    assert settings.generator == "openai:https://models.example/v1"
