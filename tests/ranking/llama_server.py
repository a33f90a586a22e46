"""llama.cpp's chat server as cyllama packs it, with what version 0.2.18 forgets: run as `llama_server.py MODEL PORT`.

Its handler never clears the context between two questions, so that every answer after the first is empty, and it
writes questions without the model's own template. Both are put right here; HTTP, tokens and sampling are the package's.
"""

from __future__ import annotations

import sys
import time

from cyllama.llama.llama_cpp import LlamaChatMessage
from cyllama.llama.server import python as served


class Slot(served.ServerSlot):
    """A context that is empty before each question."""

    def process_and_generate(self, *question: object, **options: object) -> str:
        self.context.kv_cache_clear()
        return super().process_and_generate(*question, **options)


class Server(served.PythonServer):
    """Writes the talk as the model was trained to read it."""

    def _messages_to_prompt(self, messages: list[served.ChatMessage]) -> str:
        template = self.model.get_default_chat_template()
        talk = [LlamaChatMessage(role=message.role, content=message.content) for message in messages]
        return self.model.chat_apply_template(template, talk, True)


if __name__ == '__main__':
    served.ServerSlot = Slot
    config = served.ServerConfig(model_path=sys.argv[1], port=int(sys.argv[2]), n_ctx=2048, n_threads=1)
    with Server(config):
        while True:
            time.sleep(1)
