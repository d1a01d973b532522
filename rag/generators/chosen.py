"""The language model that the settings choose, in this process or on a server."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rag.config import Settings
from rag.generators.chat_model import ModelOptions
from rag.generators.language_model import LocalModel
from rag.generators.openai import OpenAIServer, ServerOptions
from rag.generators.prompted_generator import PromptedGenerator
from rag.store.models import reference_of
from rag.transformer.processor import choose_dtype


def chosen_language_model(settings: Settings, find_folder: Callable[[str], Path]) -> PromptedGenerator | None:
    """A generator over the model that ``generator`` names; None where it names the reader.

    ``find_folder`` gives the folder of what stands after ``lm:``.

    Raises:
        InvalidInput: what stands there is no model of the registry.
        ModelError: the model cannot be loaded from its folder.
    """
    kind, _, place = settings.generator.partition(":")
    if kind == "openai":
        return PromptedGenerator(OpenAIServer(_server_options(settings, place)))
    if kind == "lm":
        int8 = settings.generator_dtype == "int8"
        dtype = choose_dtype("auto" if int8 else settings.generator_dtype)
        model = reference_of(place)
        folder, name = find_folder(place), "" if model is None else str(model)
        options = _model_options(settings)
        return PromptedGenerator(LocalModel.load(folder, options, dtype=dtype, int8=int8, name=name))
    return None


def _model_options(settings: Settings) -> ModelOptions:
    return ModelOptions(
        timeout_s=settings.generator_timeout_s,
        max_new_tokens=settings.generator_max_new_tokens,
        prompt_chars=settings.generator_prompt_chars,
        temperature=settings.generator_temperature,
        seed=settings.generator_seed,
    )


def _server_options(settings: Settings, url: str) -> ServerOptions:
    return ServerOptions(
        **asdict(_model_options(settings)),
        url=url,
        model=settings.generator_model,
        api_key=settings.generator_api_key.get_secret_value(),
        read_timeout_s=settings.generator_read_timeout_s,
        retries=settings.generator_retries,
    )
