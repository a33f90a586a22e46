"""A small language model in this process, through transformers: text only, one answer at a time.

A GGUF file is converted once to a folder in affekt's cache (`gguf_models.py`), which then opens in seconds.
Needs the extra `affekt[llm]` (torch, transformers, gguf), which is imported with the first question.
"""

from __future__ import annotations

import importlib
import threading
from pathlib import Path
from typing import Any

from affekt.errors import LLMError
from affekt.llm.chat import Reply, Request
from affekt.llm.opening import NEEDED, opened_network, unopened


class LocalModel:
    """A causal language model with a chat template, always greedy; schemas are not enforced.

    Args:
        path: a folder written by `save_pretrained`, or a .gguf file.
        model: name of the model; None for the last part of the path.
        threads: number of torch threads; None keeps the current one.

    Raises:
        LLMError: the file or folder is missing.
    """

    def __init__(self, path: Path, model: str | None = None, *, threads: int | None = None) -> None:
        if not path.exists():
            raise LLMError(expected='a folder or a .gguf file with a model', came=str(path), todo='check --local')
        self.model = model or path.name
        """The name under which answers are cached."""
        self._path, self._threads = path, threads
        self._guard = threading.Lock()
        self._loaded: tuple[Any, Any, Any] | None = None

    def ask(self, request: Request) -> Reply:
        """The model's likeliest answer.

        Raises:
            MissingExtraError: torch or transformers is not installed.
            LLMError: the model cannot be loaded, or the question contains more than text.
        """
        messages = [
            {'role': str(message['role']), 'content': _text(message['content'])} for message in request.messages
        ]
        with self._guard:
            torch, tokenizer, network = self._loaded = self._loaded or self._load()
            with torch.inference_mode():
                tokens = tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, return_tensors='pt', return_dict=True
                )
                size = tokens['input_ids'].shape[1]
                answer = network.generate(
                    **tokens,
                    max_new_tokens=request.max_tokens,
                    do_sample=False,
                    pad_token_id=tokenizer.eos_token_id,
                )[0, size:]
        usage = {'prompt_tokens': size, 'completion_tokens': len(answer), 'total_tokens': size + len(answer)}
        is_cut = len(answer) >= request.max_tokens and int(answer[-1]) != tokenizer.eos_token_id
        text = str(tokenizer.decode(answer, skip_special_tokens=True))
        return Reply(text, self.model, 'length' if is_cut else 'stop', usage)

    def _load(self) -> tuple[Any, Any, Any]:
        """Torch, the tokenizer, and the network in evaluation mode."""
        network, folder, arguments = opened_network(self._path, instead='ask a server with --endpoint')
        torch, transformers = (importlib.import_module(name) for name in NEEDED)
        if self._threads is not None:
            torch.set_num_threads(self._threads)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, **arguments)
        except Exception as error:  # a damaged or foreign folder may make transformers raise anything
            raise unopened(self._path, error) from error
        return torch, tokenizer, network


def _text(content: Any) -> str:
    """The text of a message; images and audio are refused."""
    if isinstance(content, str):
        return content
    other_types = sorted({str(part.get('type')) for part in content} - {'text'})
    if other_types:
        raise LLMError(
            expected='a question of text alone',
            came=', '.join(other_types),
            todo='ask a model on a server with --endpoint',
        )
    return ''.join(str(part['text']) for part in content)
