import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from rag.errors import ModelError
from rag.index.embedder import CARRIED_MODEL, model_folder
from rag.transformer.embedding import TokenEmbedding
from rag.transformer.layer_shape import LayerShape
from rag.transformer.models import Decoder, load_bert_encoder

SHAPE = LayerShape(width=32, num_heads=4, hidden=64)


@pytest.fixture
def bert_folder(tmp_path: Path) -> tuple[Path, BertModel]:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=99, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64)
    model = BertModel(config).eval()
    model.save_pretrained(tmp_path)
    return tmp_path, model


@pytest.mark.parametrize("joint_projection", [False, True])
def test_bert_encoder_gives_the_outputs_of_transformers_padded_and_not(
    bert_folder: tuple[Path, BertModel], *, joint_projection: bool
) -> None:
    folder, theirs = bert_folder
    ours = load_bert_encoder(folder, joint_projection=joint_projection).eval()
    ids = torch.randint(1, 99, (3, 11))
    segments = torch.randint(0, 2, (3, 11))
    valid = torch.ones(3, 11, dtype=torch.bool)
    valid[1, 7:] = False
    with torch.inference_mode():
        expected = theirs(ids, token_type_ids=segments, attention_mask=valid.long()).last_hidden_state
        actual = ours(ids, segments_BT=segments, valid_BT=valid)
    torch.testing.assert_close(actual[valid], expected[valid], atol=1e-4, rtol=0)


def test_carried_embedding_model_gives_the_same_states_in_our_layers() -> None:
    folder = model_folder(CARRIED_MODEL)
    theirs = BertModel.from_pretrained(folder).eval()
    ours = load_bert_encoder(folder).eval()
    ids = torch.randint(1000, 20000, (2, 40))
    valid = torch.ones(2, 40, dtype=torch.bool)
    with torch.inference_mode():
        expected = theirs(ids, attention_mask=valid.long()).last_hidden_state
        torch.testing.assert_close(ours(ids, valid_BT=valid), expected, atol=1e-4, rtol=0)


def test_folder_without_weights_names_the_missing_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match=r"model\.safetensors is missing"):
        load_bert_encoder(tmp_path)


def test_model_of_another_family_is_refused(bert_folder: tuple[Path, BertModel]) -> None:
    folder, _ = bert_folder
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "llama"}))
    with pytest.raises(ModelError, match="llama"):
        load_bert_encoder(folder)


def test_decoder_gives_the_same_states_with_and_without_cache() -> None:
    torch.manual_seed(2)
    decoder = Decoder(SHAPE, num_layers=2).eval()
    memory = decoder.project(torch.randn(3, 7, 32))
    valid = torch.ones(3, 7, dtype=torch.bool)
    valid[0, 5:] = False
    x = torch.randn(3, 6, 32)
    with torch.inference_mode():
        whole, _ = decoder(x, memory=memory, memory_valid_BS=valid)
        past, steps = None, []
        for t in range(6):
            state, past = decoder(x[:, t : t + 1], memory=memory, memory_valid_BS=valid, past=past)
            steps.append(state)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, atol=1e-5, rtol=0)


def test_decoder_does_not_see_what_comes_later_nor_padding_of_its_memory() -> None:
    torch.manual_seed(3)
    decoder = Decoder(SHAPE, num_layers=2).eval()
    memory = torch.randn(1, 7, 32)
    valid = torch.tensor([[True] * 5 + [False] * 2])
    x = torch.randn(1, 6, 32)
    changed_x, changed_memory = x.clone(), memory.clone()
    changed_x[:, 4:] += 1
    changed_memory[:, 5:] += 1
    with torch.inference_mode():
        before, _ = decoder(x, memory=decoder.project(memory), memory_valid_BS=valid)
        after, _ = decoder(changed_x, memory=decoder.project(changed_memory), memory_valid_BS=valid)
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_more_positions_than_learned_raise() -> None:
    embedding = TokenEmbedding(SHAPE, vocabulary=10, max_positions=4, num_segments=0)
    with pytest.raises(ValueError, match="5 positions"):
        embedding(torch.zeros(1, 5, dtype=torch.long))


def test_extra_tensors_of_a_bert_checkpoint_are_left_out(bert_folder: tuple[Path, BertModel]) -> None:
    folder, _ = bert_folder
    weights = load_file(folder / "model.safetensors")
    save_file(
        {**{f"bert.{k}": v for k, v in weights.items()}, "cls.bias": torch.zeros(3)}, folder / "model.safetensors"
    )
    assert load_bert_encoder(folder).shape.width == 32
