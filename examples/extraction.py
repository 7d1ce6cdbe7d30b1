"""A record from a sentence: conditions as objects, values checked by Python, a stream of events.

python examples/extraction.py
"""

from lmql_like import Custom, Int, Regex, SubstringOf, gen, prompt, stream

text = "Alice Baker lives in Rome, works as a pilot and is 41 years old."


def is_name(name: str) -> bool:
    """Check what no mask can say."""
    return name == name.title()


record = prompt(
    f"Text: {text}\n",
    'JSON: {"name": "', gen("NAME", Regex('[^"]+') & SubstringOf(text) & Custom(is_name)),
    '", "age": ', gen("AGE", Int()),
    ', "job": "', gen("JOB", Regex("[a-z ]+") & SubstringOf(text)), '"}\n',
)  # fmt: skip

events = stream(record)
print("".join(f"<{event.text}>" if event.hole else event.text for event in events), end="")
print(dict(events.result.variables))
