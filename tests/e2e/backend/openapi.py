"""Holds every answer of the backend against the OpenAPI document that it serves."""

import collections
import functools
import json
import pathlib
import re

import jsonschema

DOCUMENT = json.loads((pathlib.Path(__file__).parents[3] / "src/api/openapi.json").read_text())
seen = collections.Counter()  # operations and statuses that were checked


@functools.cache
def patterns():
    """Literal paths first: they beat {name}. The last parameter of these two takes slashes."""
    slashes = {"/objects/{name}": "name", "/v1/devices/{id}/configuration/{instance}/{topic}": "topic"}
    out = []
    for path in sorted(DOCUMENT["paths"], key=lambda p: p.count("{")):
        expression = re.sub(r"\{(\w+)\}", lambda m: "(.+)" if slashes.get(path) == m[1] else "([^/]+)", re.sub(r"([.])", r"\\\1", path))
        out.append((re.compile(expression + r"\Z"), path))
    return out


@functools.cache
def validator(path, method, status, content_type):
    """None: the document gives no schema for that. KeyError: it does not know such an answer."""
    responses = DOCUMENT["paths"][path][method]["responses"]
    response = responses.get(str(status)) or (responses["default"] if status >= 400 else None)
    if response is None:
        raise KeyError(f"{method} {path}: status {status} is not in the document")
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    content = response.get("content")
    if content is None:
        return None
    if content_type not in content:
        raise KeyError(f"{method} {path} {status}: {content_type} is not in the document")
    schema = content[content_type].get("schema")
    if schema is None:
        return None
    whole = {**schema, "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker())


def check(method, path, answer, streamed=False):
    """Fails where the answer is not as the document says. Paths and methods that are no route have the one error form."""
    path = path.split("?")[0]
    known = next((name for expression, name in patterns() if expression.match(path)), None)
    method = method.lower()
    if known is None or method not in DOCUMENT["paths"][known]:
        assert answer.status_code in (400, 404, 405, 431), (method, path, answer.status_code)
        return
    content_type = answer.headers.get("Content-Type", "").split(";")[0]
    rules = validator(known, method, answer.status_code, content_type)
    seen[f"{method} {known}", answer.status_code] += 1
    if rules is None or streamed or method == "head":
        return
    if content_type == "application/json":
        rules.validate(answer.json())
    elif content_type == "application/x-ndjson":
        for line in answer.text.splitlines():
            rules.validate(json.loads(line))
