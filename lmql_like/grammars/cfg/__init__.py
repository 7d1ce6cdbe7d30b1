"""Context-free grammars: text -> rules -> one component of an automaton with calls."""
