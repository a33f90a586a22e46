"""llama.cpp's chat server as cyllama 0.2.18 packs it, with what that forgets; run as `llama_server.py MODEL PORT`.

Three things are put right here; HTTP, tokens, grammar and sampling are the package's. Its handler never clears the
context between two questions, so that every answer after the first is empty. It writes questions without the model's
own template. And it leaves `response_format` out, which llama.cpp's own server turns into a grammar.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from cyllama.llama.llama_cpp import LlamaChatMessage, LlamaSampler, LlamaSamplerChainParams
from cyllama.llama.server import python as served
from cyllama.utils.json_schema_to_grammar import json_schema_to_grammar


class Slot(served.ServerSlot):
    """An empty context and the likeliest word, within the schema where there is one."""

    schema: dict[str, Any] | None = None

    def process_and_generate(self, *question: object, **options: object) -> str:
        self.context.kv_cache_clear()
        return super().process_and_generate(*question, **options)

    def _build_sampler(self, **_: object) -> None:
        self.sampler = LlamaSampler(LlamaSamplerChainParams())
        if Slot.schema:
            self.sampler.add_grammar(self.model.get_vocab(), json_schema_to_grammar(Slot.schema), 'root')
        self.sampler.add_greedy()


class Server(served.PythonServer):
    """Writes the talk as the model was trained to read it, and hands schemas on."""

    def _messages_to_prompt(self, messages: list[served.ChatMessage]) -> str:
        template = self.model.get_default_chat_template()
        talk = [LlamaChatMessage(role=message.role, content=message.content) for message in messages]
        return self.model.chat_apply_template(template, talk, True)

    def _create_request_handler(self) -> type:
        class Handler(super()._create_request_handler()):
            def _handle_chat_completions(self, data: dict[str, Any]) -> None:
                wanted = (data.get('response_format') or {}).get('json_schema') or {}
                Slot.schema = wanted.get('schema')
                super()._handle_chat_completions(data)

        return Handler


if __name__ == '__main__':
    served.ServerSlot = Slot
    config = served.ServerConfig(model_path=sys.argv[1], port=int(sys.argv[2]), n_ctx=4096, n_threads=1)
    with Server(config) as server:
        print(json.dumps({'url': f'http://127.0.0.1:{server.httpd.server_address[1]}/v1'}), flush=True)
        while True:
            time.sleep(1)
