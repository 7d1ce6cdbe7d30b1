"""`F`: a prompt string as a function, used like any other.

python examples/shortlist.py
"""

from lmql_like import F, OneOf, StopsBefore

capital = F("Q: What is the capital of {country}?\nA:[CITY]\n", where=StopsBefore("\n"))
sentiment = F(
    "Review: {review}\nSentiment:[LABEL]\n", where=OneOf([" positive", " neutral", " negative"])
)

print({country: capital(country).strip() for country in ("France", "Spain", "Egypt")})
reviews = [
    "The food was great.",
    "The room was dirty.",
    "The food was great but the room was noisy.",
]
print([review for review in reviews if sentiment(review=review) == " positive"])
